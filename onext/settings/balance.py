"""Section `balance:` of the settings: which clusters `onext balance` may move VMs in, and how seldom."""

from __future__ import annotations

from pydantic import Field

from onext.settings.section import Section


class Balance(Section):
    """Off by default: without a cluster nothing moves."""

    clusters: tuple[int, ...] = Field((), description="ids of the clusters in which VMs may be moved")
    approx: float = Field(
        0.1, gt=0, le=1, description="a host is loaded when its used share exceeds the cluster's by this"
    )
    rounds: int = Field(3, ge=1, le=100, description="rounds in a row for which a host must be loaded")
    least_gain: float = Field(
        0.001, ge=0, le=1, description="how much a move must lessen the host's load for each GiB moved"
    )
    moves_per_hour: int = Field(10, ge=0, le=1000, description="the most VMs moved in an hour, by cluster")
    quiet_hours: tuple[int, ...] = Field((), description="hours of local time (0 to 23) without moves")

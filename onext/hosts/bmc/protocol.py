"""What can be asked of one host's BMC and ordered from it; how that fails is in errors.py.

Where to get one: `onext.hosts.bmc.config.BmcConfig.load(paths.own_etc / "bmc.yaml").bmc(host_id, timeout=…)`.
All at once: `onext.hosts.bmc.query.query_all(config, deadline)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Protocol

from onext.hosts.bmc.errors import BmcError


class Power(Enum):
    """Whether a machine has power. Any doubt is UNKNOWN, which is never OFF."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a BMC reported just now, or `failure`: why it is unknown."""

    power: Power
    failure: BmcError | None = None
    seconds: float = 0.0  # from the start of the round to this answer

    @property
    def reason(self) -> str:
        """Return why it is unknown, for people; empty where it is known."""
        return str(self.failure or "")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a BMC reports about its machine; empty where it reports nothing."""

    uuid: str = ""
    serial: str = ""

    def __str__(self) -> str:
        return self.uuid or self.serial


class Bmc(Protocol):
    """One host's BMC.

    Every call is a separate session that ends within the time-out, verifies the identity that bmc.yaml
    names first, and switches only that machine. Orders return when the BMC took them, not when they are
    done, and one that ends Unreachable may have been taken. All but power() raise BmcError.
    """

    proves_off: bool
    """Whether power() can ever be OFF. A host that is suspended is silent, and silence proves nothing."""

    def power(self) -> Reading:
        """Return whether the machine has power; never raises: the reading has the reason."""

    def switch_on(self) -> None:
        """Order power on; a machine that is on stays as it is."""

    def soft_off(self) -> None:
        """Order a shutdown by the operating system."""

    def hard_off(self, not_after: float = inf) -> None:
        """Cut the power, unless CLOCK_BOOTTIME has passed `not_after` when the BMC would be told."""

    def identity(self) -> Identity:
        """Return the machine that the BMC reports, which is the one that bmc.yaml names."""

    def watts(self) -> float | None:
        """Return the machine's power draw, None where the BMC does not measure it."""

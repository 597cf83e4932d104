"""What is configured and the running OpenNebula does not have: named with the release that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from onext.cloud.model import vector
from onext.cloud.snapshot import Cloud
from onext.oned.release import lack, older
from onext.part import Check, Context
from onext.settings import Settings


@dataclass(frozen=True)
class Need:
    """Something that needs a release: what uses it (empty: nothing does), and what happens without it."""

    since: tuple[int, int]
    used: Callable[[Settings, Cloud], str]
    without: str


def _clusters(cloud: Cloud, key: str) -> str:
    found = [cluster.name for cluster in cloud.clusters.values() if key in cluster.template]
    return f"{key} of cluster {', '.join(sorted(found)[:5])}" if found else ""


def _auto_converge(_settings: Settings, cloud: Cloud) -> str:
    vms = (
        vm.id
        for vm in cloud.vms.values()
        if any(
            "MIGRATE_AUTO_CONVERGE" in vector(part, "FEATURES") for part in (vm.template, vm.user_template)
        )
    )
    found = next(vms, None)
    return "" if found is None else f"FEATURES/MIGRATE_AUTO_CONVERGE of VM {found}"


NEEDS = (
    Need((7, 0), lambda _settings, cloud: _clusters(cloud, "ONE_DRS"), "OneDRS is not there"),
    Need(
        (7, 0),
        lambda settings, _cloud: "`balance: clusters:`" if settings.balance.clusters else "",
        "hosts and VMs have no forecasts: balancing goes by what they use now",
    ),
    Need((7, 4), lambda _settings, cloud: _clusters(cloud, "EVC_MODE"), "it has no effect"),
    Need((7, 4), _auto_converge, "the migrate script does not read it"),
)


def lacking(release: str, settings: Settings, cloud: Cloud) -> Iterator[Check]:
    """Yield a warning for each use of what a release does not have; none where its number is not readable."""
    for need in NEEDS:
        use = need.used(settings, cloud) if older(release, need.since) else ""
        if use:
            since = ".".join(map(str, need.since))
            text = lack(release, need.since, use, need.without)
            yield Check("release", "warn", text, f"remove it, or upgrade OpenNebula to {since}")


def checks(context: Context) -> Iterator[Check]:
    """Yield what the running release lacks; raise an OnedError."""
    yield from lacking(context.oned.version(), context.settings, context.cloud())

"""What `onext doctor` checks of availability: clusters, bmc.yaml, identities, leases."""

from __future__ import annotations

from collections.abc import Iterable

from hooks.availability import collect_evidence
from hooks.availability.lease import keys
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import ConfigError
from onext.part import Check, Context


def checks(context: Context) -> Iterable[Check]:
    """Check that fencing is possible, that invalid records are noticed, and that no other hook competes."""
    settings = context.settings.availability
    if not settings.clusters:
        yield Check(
            "clusters", "ok", "none: availability does nothing", "name them in `availability: clusters:`"
        )
        return
    try:
        config = BmcConfig.load(context.paths.own_etc / "bmc.yaml")
    except ConfigError as error:
        yield Check("bmc.yaml", "fail", str(error), "no host can be fenced until it can be read")
        return
    unproven = [number for number, entry in config.entries.items() if not collect_evidence.identified(entry)]
    if unproven:
        text = f"{len(unproven)} entries name no uuid or serial: their BMC proves no death"
        yield Check("identity", "warn", text, "onext power bmc check shows what each BMC reports")
    yield Check("fencing", "ok", f"{len(config.entries)} hosts have a BMC or fence agent")
    if keys.path(context.paths).exists():
        yield _lease_key(context)


def _lease_key(context: Context) -> Check:
    try:
        secret = keys.load(context.paths)
    except keys.NoSecret as error:
        return Check("leases", "fail", str(error), "armed hosts get no grants from this server, and reset")
    return Check("leases", "ok", f"lease.key {secret.name}: the same on each front-end of the zone")

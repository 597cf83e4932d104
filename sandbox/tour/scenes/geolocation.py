"""Hosts that know where they are: the main job."""

from functools import partial

from sandbox.tour import tell
from sandbox.tour.front_end import NODES, add_host
from sandbox.tour.stage import Stage

NEEDS = "var/remotes/hooks/onext/event"


def play(stage: Stage) -> None:
    """Add hosts; oned starts the hook, the worker asks each by ssh, looks up, and writes."""
    tell.chapter("Geolocation: hosts are added; oned starts the hook for each that becomes MONITORED")
    hosts = {name: add_host(stage, name) for name in NODES}
    for name in ("node-stockholm", "node-amsterdam"):
        stage.until(f"{name} has a GEOLOCATION", partial(located, stage, hosts[name]))
    rows = [(number, name, NODES[name], *located_by(stage, number)) for name, number in hosts.items()]
    tell.table(("ID", "NAME", "ADDRESSES", "GEOLOCATION", "SOURCE"), rows)
    stage.typed("onext geo show")
    tell.line("  the hook's executions, as oned logged them:")
    for hook in stage.document("hookpool.info", -2, -1, -1):
        if hook.findtext("NAME") != "onext-host-monitored":
            continue
        for run in stage.document("hook.info", int(hook.findtext("ID", "0"))).iter("HOOK_EXECUTION_RECORD"):
            tell.line(f"    {hook.findtext('NAME')}: exit code {run.findtext('.//CODE')}")


def located(stage: Stage, number: int) -> str:
    """Return a host's GEOLOCATION."""
    return stage.document("host.info", number).findtext("TEMPLATE/GEOLOCATION", "")


def located_by(stage: Stage, number: int) -> tuple[str, str]:
    """Return a host's GEOLOCATION and who told its addresses."""
    host = stage.document("host.info", number)
    return located(stage, number) or "-", host.findtext("TEMPLATE/ONEXT_GEOLOCATION/SOURCE", "-")

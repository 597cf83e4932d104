"""`onext ha drill HOST`: cut the power of a chosen host, and measure until its VMs run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import click

from hooks.availability import cluster_view, collect_evidence, evidence
from hooks.availability.admission import single_loss
from hooks.availability.evidence import Verdict
from hooks.availability.forecast import forecast
from hooks.availability.model import SETTLED, Incident, Phase, Stage
from hooks.availability.part import bmc_config, restricted, subject, timeline_folder, vm_groups
from hooks.availability.policy import TEMPLATE_KEY, Mode, Policy, read
from hooks.availability.records import INCIDENT
from hooks.availability.round_records import Records, records
from hooks.availability.timeline import Timeline
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.command import dry_run_option, find, front_end
from onext.hosts.bmc.errors import BmcError
from onext.oned.documents import Documents
from onext.part import Context
from onext.table import show

LONGEST = 1800.0  # seconds
_PAUSE = 2.0
_ORDER = 30.0  # seconds within which the BMC has to take the order


@click.command("drill")
@click.argument("host")
@click.option("--name", required=True, help="The host's name, typed once more: its VMs lose their power.")
@dry_run_option
@front_end
def drill(context: Context, host: str, name: str, *, dry_run: bool) -> None:
    """Cut the power of HOST and measure until its VMs run elsewhere; refused where one would not."""
    cloud, kept = context.cloud(), records(context)
    found = find(cloud.hosts.values(), host, "host")
    if name != found.name:
        raise click.UsageError(f"host {found.id} is named {found.name}, not {name}")
    settings = context.settings.availability
    policy = read(cluster_view.chosen(cloud, found.cluster_id, TEMPLATE_KEY), settings)
    if reason := next(_refusals(context, cloud, kept, found, policy), ""):
        raise click.ClickException(f"{found.name} is not drilled: {reason}")
    if dry_run:
        rows = forecast(context, cloud, found.id, policy, enabled=True)
        show(rows, ("seconds", "step", "vm", "target", "why"), as_json=False)
        return
    _cut(context, found)
    follow(found, Documents(context.oned, INCIDENT, context.now).get)


def _refusals(context: Context, cloud: Cloud, kept: Records, host: Host, policy: Policy) -> Iterator[str]:
    """Return why a drill would be more than a drill."""
    if host.cluster_id not in context.settings.availability.clusters or policy.mode is not Mode.AUTO:
        yield "its cluster is not enabled with MODE = auto"
    if host.cluster_id in kept.paused:
        yield "its cluster is paused"
    if kept.incidents or kept.invalid:
        yield "there are incidents already"
    if homeless := single_loss(cloud, host, vm_groups(cloud), lambda _: 5).without:
        yield f"no host has room for VMs {', '.join(map(str, homeless[:10]))}"
    shared, trusted = cluster_view.shared_datastores(cloud), restricted(cloud)
    local = [
        vm.id
        for vm in cloud.vms_by_host.get(host.id, ())
        if not cluster_view.vm_of(vm, shared, trusted=trusted).shared
    ]
    if local:
        yield f"VMs {', '.join(map(str, local[:10]))} have disks on it and would wait for it"
    found = collect_evidence.collect(
        subject(context, cloud, kept, host.id), bmc_config(context), context.settings
    )
    judgement = evidence.judge(found)
    if judgement.verdict is not Verdict.ALIVE:
        yield f"it is not well now: {judgement.verdict.value}"
    if not judgement.powered:
        yield "its BMC, whose identity has to be in bmc.yaml, does not report power"


def _cut(context: Context, host: Host) -> None:
    timeline = Timeline(timeline_folder(context))
    timeline.add(context.now(), host.id, "drill", ["a person orders the power off"])
    settings = context.settings
    deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + _ORDER
    try:
        bmc = bmc_config(context).bmc(
            host.id, timeout=settings.power.bmc_timeout, ssh_config=settings.geolocation.ssh_config
        )
        bmc.hard_off(not_after=deadline)
    except BmcError as error:
        raise click.ClickException(f"{host.name}: its BMC did not accept the order: {error}") from error
    click.echo(f"     0 s  {host.name}: its power is cut")


def follow(host: Host, read_record: Callable[[int], object], longest: float = LONGEST) -> None:
    """Print each step of the incident, in seconds since the power was cut; raise where it does not end."""
    began, seen = time.monotonic(), set[str]()
    while (passed := time.monotonic() - began) < longest:
        incident = getattr(read_record(host.id), "value", None)
        if isinstance(incident, Incident):
            for text in _news(incident):
                if text not in seen:
                    seen.add(text)
                    click.echo(f"{passed:6.0f} s  {text}")
            if incident.phase is Phase.DONE:
                failed = [one.vm for one in incident.entries if one.stage is Stage.FAILED]
                if failed:
                    raise click.ClickException(f"VMs {failed} did not start: `onext ha history {host.id}`")
                click.echo(f"{passed:6.0f} s  every VM is settled; power the host on again")
                return
        time.sleep(_PAUSE)
    raise click.ClickException(
        f"not done after {longest:.0f} s: `onext ha status`, `onext ha history {host.id}`"
    )


def _news(incident: Incident) -> Iterator[str]:
    yield f"{incident.phase.value}: {incident.reason}"
    for entry in incident.entries:
        if entry.stage in (*SETTLED, Stage.STARTED):
            where = f" on host {entry.target}" if entry.target >= 0 else ""
            yield f"VM {entry.vm}: {entry.stage.value}{where}"

"""`onext ha check`: which losses of hosts would leave VMs without a place, and what is not set up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import click

from hooks.availability import boot_starts, cluster_view, rival
from hooks.availability.admission import Admission, Loss, admission, wanted
from hooks.availability.part import restricted, vm_groups
from hooks.availability.policy import TEMPLATE_KEY, read
from onext.cloud.snapshot import Cloud
from onext.command import front_end, json_option
from onext.oned.objects import HostState
from onext.part import Context
from onext.table import Row, show


@click.command("check")
@click.option("--hosts", is_flag=True, help="Also ask each host what it starts at boot.")
@json_option
@front_end
def check(context: Context, *, hosts: bool, as_json: bool) -> None:
    """Report which host's loss, or which two hosts' loss, would leave VMs without a place.

    Exit 1 if as many hosts as MAX_DOWN_HOSTS allows, or one, cannot be lost, or if --hosts finds a host that
    starts VMs at boot or that cannot be asked.
    """
    cloud = context.cloud()
    groups, trusted = vm_groups(cloud), restricted(cloud)
    settings = context.settings.availability
    rows, failed = [], False
    for number in settings.clusters:
        policy = read(cluster_view.chosen(cloud, number, TEMPLATE_KEY), settings)
        found = admission(cloud, number, groups, partial(cluster_view.priority, trusted=trusted))
        rows += [_row(number, loss) for loss in (*found.singles, *found.pairs)]
        failed |= found.absorbed < wanted(policy)
        for line in _rest(number, found):
            click.echo(line, err=True)
    show(rows, ("cluster", "host", "vms", "without_a_place"), as_json=as_json)
    if not as_json:
        for line in _advice(context, cloud):
            click.echo(line, err=True)
    for line in _at_boot(context, cloud) if hosts else ():
        click.echo(line, err=True)
        failed = True
    if failed:
        raise SystemExit(1)


def _at_boot(context: Context, cloud: Cloud) -> Iterator[str]:
    enabled = context.settings.availability.clusters
    names = {
        host.id: host.name
        for host in cloud.hosts.values()
        if host.cluster_id in enabled and host.state != HostState.OFFLINE and not host.problem
    }
    found = boot_starts.survey(names, context.settings.geolocation.ssh_config)
    return (f"host {number} ({names[number]}): {text}" for number in names for text in found[number])


def _row(cluster: int, loss: Loss) -> Row:
    return {
        "cluster": cluster,
        "host": " and ".join(host.name for host in loss.hosts),
        "hosts": [host.id for host in loss.hosts],
        "vms": loss.vms,
        "without_a_place": ",".join(map(str, loss.without)),
    }


def _rest(cluster: int, found: Admission) -> Iterator[str]:
    if found.more:
        yield f"cluster {cluster}: {found.more} more pairs of hosts would leave VMs without a place"
    if found.untried:
        yield f"cluster {cluster}: {found.untried} or more pairs of hosts were not tried: too many"


def _advice(context: Context, cloud: Cloud) -> Iterator[str]:
    settings = context.settings.availability
    if not settings.clusters:
        yield "no cluster is enabled: name them in `availability: clusters:` of onext.yaml"
    for number in settings.clusters:
        policy = read(cluster_view.chosen(cloud, number, TEMPLATE_KEY), settings)
        yield from policy.complaints
        if policy.mode.value == "off":
            yield f"cluster {number}: MODE is off; set {TEMPLATE_KEY} = [ MODE = advise ] in its template"
    if not restricted(cloud):
        yield "oned.conf does not restrict ONEXT_HA_*: priorities do not count; ./install.sh --configure"
    if hook := rival.registered(cloud):
        yield f"{hook} is registered: it restarts VMs, too: every incident is held until it is deleted"

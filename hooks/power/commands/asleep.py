"""The hosts that are off, or on their way, because of this software: listed, woken, waited for.

`install.sh --uninstall` uses both commands before it removes what could wake the hosts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import click

from hooks.power import manual_orders, part
from hooks.power.commands import resolve
from hooks.power.commands.orders import PATIENCE, PAUSE
from onext.command import dry_run_option, front_end, json_option
from onext.hosts.actions.world import Failed, Stopped
from onext.hosts.claims import HOST_RECORDS, STATE_KEY, effective
from onext.hosts.inventory.cluster import vector_of
from onext.hosts.model import NOT_OURS, Phase
from onext.oned import stream
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from onext.oned.objects import HostState
from onext.part import Context, Retry
from onext.table import Row, show
from onext.xml import parse

COLUMNS = ("id", "name", "cluster", "phase", "since", "verified", "reason")
Steps = dict[str, tuple[manual_orders.Order, Iterator[str]]]
AWAY = (*(phase for phase in Phase if phase not in (*NOT_OURS, Phase.HELD)), Phase.QUARANTINED)


def away(context: Context) -> list[Row]:
    """Return each host, of any cluster, that is not in service because power switched it off or is at it."""
    records = Documents(context.oned, HOST_RECORDS, context.now).all()
    rows: list[Row] = []
    for data in stream.pool(context.oned.source, "hostpool.info", tag="HOST"):
        host = parse(data)
        number, name = int(host.findtext("ID", "-1")), host.findtext("NAME", "")
        claim, _ = effective(records.get(number), vector_of(host, STATE_KEY), name)
        if claim is not None and claim.phase in AWAY:
            rows.append(
                {
                    "id": number,
                    "name": name,
                    "cluster": int(host.findtext("CLUSTER_ID", "-1")),
                    "phase": claim.phase.value,
                    "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claim.since)),
                    "verified": claim.verified,
                    "reason": claim.reason,
                }
            )
    return sorted(rows, key=lambda row: int(str(row["id"])))


@click.command("asleep")
@json_option
@front_end
def asleep(context: Context, *, as_json: bool) -> None:
    """List the hosts that power switched off, or is switching, in all clusters."""
    show(away(context), COLUMNS, as_json=as_json)


@click.command("wake")
@click.argument("hosts", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Wake every host that `onext power asleep` lists.")
@click.option("--within", default=900.0, show_default=True, help="Seconds to wait for them.")
@dry_run_option
@json_option
@front_end
def wake(
    context: Context, hosts: Sequence[str], within: float, *, every: bool, dry_run: bool, as_json: bool
) -> None:
    """Wake HOSTS (ids or names), all at once, wait until they are in service; exit 1 where one is not."""
    if bool(hosts) is every:
        raise click.UsageError("name HOSTS or give --all")
    named = {resolve.host_id(context, host) for host in hosts}
    wanted = [row for row in away(context) if every or row["id"] in named]
    if missing := named - {row["id"] for row in wanted}:
        some = ", ".join(map(str, sorted(missing)))
        raise click.UsageError(f"not switched off by power: host {some}; see `onext power asleep`")
    if dry_run:
        show(wanted, COLUMNS, as_json=as_json)
        return
    outcome = dict(_woken(context, [str(row["id"]) for row in wanted], within))
    rows: list[Row] = [
        {"id": row["id"], "name": row["name"], "awake": not why, "reason": why}
        for row, why in ((row, outcome[str(row["id"])]) for row in wanted)
    ]
    show(rows, ("id", "name", "awake", "reason"), as_json=as_json)
    if any(outcome.values()):
        sys.exit(1)


def _woken(context: Context, hosts: Sequence[str], within: float) -> Iterator[tuple[str, str]]:
    """Take one step for each host in turn; yield host and, where it did not wake, why."""
    ends = time.monotonic() + within
    last = dict.fromkeys(hosts, "not begun")
    steps: Steps = {}
    while steps or last:
        for host in list(last):
            before = last[host]
            done, last[host] = _step(context, host, steps)
            if last[host] not in (before, ""):
                click.echo(f"host {host}: {last[host]}", err=True)
            if done:
                yield host, last.pop(host)
        if not last:
            return
        if time.monotonic() > ends:
            yield from ((host, f"not awake after {within:.0f} s: {why}") for host, why in last.items())
            return
        time.sleep(PAUSE)


def _step(context: Context, host: str, steps: Steps) -> tuple[bool, str]:
    """Take one step of a host; return whether it came to its end, and why it is not awake."""
    try:
        with part.alone(context, patience=PATIENCE):
            if host not in steps:
                order = manual_orders.Order.of(context, int(host), everywhere=True)
                steps[host] = order, manual_orders.switch_on(order)
            order, turns = steps[host]
            try:
                said = next(turns, None)
            finally:
                order.actuator.release_mandate()
    except manual_orders.Refused as error:
        return True, "" if _in_service(context, int(host)) else str(error)
    except Stopped as error:
        return True, str(error) or "stopped by `onext stop power`"
    except (Failed, Retry) as error:
        return False, str(error)
    return said is None, said or ""


def _in_service(context: Context, host: int) -> bool:
    """Return whether a host is back: the worker may have woken it after it was listed."""
    try:
        state = context.oned.host(host).state
    except OnedError:
        return False
    in_service = state in (HostState.MONITORED, HostState.MONITORING_MONITORED)
    return in_service and all(row["id"] != host for row in away(context))

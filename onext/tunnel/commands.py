"""`onext tunnel`: what is there, does it work between two hosts, take leftovers away, switch off and on."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from onext.command import dry_run_option, find, front_end, json_option
from onext.options import Group
from onext.part import Context
from onext.table import Row, show
from onext.tunnel import clusters, drivers, nodes, validation
from onext.tunnel.nodes import Node, Reply

_CHECK_TIME = 90.0  # seconds: set-up, two seconds of traffic, tear-down, over a slow line


@click.group("tunnel", cls=Group)
def tunnel() -> None:
    """Tunnels of live migrations: the driver opens and closes them by itself."""


@tunnel.command("list")
@click.argument("hosts", nargs=-1)
@json_option
@front_end
def list_tunnels(context: Context, hosts: Sequence[str], *, as_json: bool) -> None:
    """List the tunnels on all HOSTS, or on some, and problems on them. Exit code 1 for a problem."""
    replies = nodes.ask_all(context, _online(_chosen(context, hosts)), ["list"])
    want = drivers.wanted(context.paths.remotes)
    rows = [row for reply in replies for row in rows_of(reply, want)]
    show(rows, ("host", "tunnels", "tunnel", "datapath", "mtu", "remote", "used", "problem"), as_json=as_json)
    sys.exit(any(row["problem"] for row in rows))


@tunnel.command("drivers")
@click.option("--sync", "first_sync", is_flag=True, help="Run `onehost sync --force` before.")
@dry_run_option
@json_option
@front_end
def list_drivers(context: Context, *, first_sync: bool, dry_run: bool, as_json: bool) -> None:
    """List which hosts have the driver of remotes/, and which an old one. Exit code 1 when one has."""
    if first_sync and dry_run:
        click.echo(f"would run: {drivers.SYNC}", err=True)
    elif first_sync:
        click.echo(drivers.sync(context), nl=False)
    found = list(drivers.checks(context))
    rows = [{"state": one.level, "message": one.message, "remedy": one.remedy} for one in found]
    show(rows, ("state", "message", "remedy"), as_json=as_json)
    sys.exit(any(one.level != "ok" for one in found))


@tunnel.command("check")
@click.argument("source")
@click.argument("destination")
@json_option
@front_end
def check(context: Context, source: str, destination: str, *, as_json: bool) -> None:
    """Try a tunnel from SOURCE to DESTINATION: MTU, round trip, throughput, and what is missing where."""
    ends = _chosen(context, [source, destination])
    want = drivers.wanted(context.paths.remotes)
    lacking = [text for reply in nodes.ask_all(context, ends, ["list"]) for text in missing(reply, want)]
    reply = nodes.ask(context, ends[0], ["check", ends[1].name], _CHECK_TIME)
    if as_json:
        click.echo(json.dumps({**reply.answer, "problem": reply.problem, "missing": lacking}))
    else:
        click.echo(sentence(reply, ends[1]))
        for line in lacking:
            click.echo(line)
    sys.exit(bool(reply.problem))


@tunnel.command("sync")
@dry_run_option
@front_end
def sync(context: Context, *, dry_run: bool) -> None:
    """Write the map of hosts to clusters, for TUNNEL="between-clusters"."""
    known = nodes.current(context)
    if dry_run:
        what = "is up to date" if clusters.current(context.paths.remotes, known) else "would be written"
        click.echo(f"{clusters.path(context.paths.remotes)}: {what} ({len(known)} hosts)")
    elif clusters.write(context.paths.remotes, known):
        click.echo(
            f"{clusters.path(context.paths.remotes)}: {len(known)} hosts; due now: onehost sync --force"
        )
    else:
        click.echo(f"{clusters.path(context.paths.remotes)}: up to date ({len(known)} hosts)")


@tunnel.command("validate")
@front_end
def validate(context: Context) -> None:
    """Check remotes/etc/vmm/kvm/onext-migrate.conf before a sync. Exit code 1 when it is invalid."""
    found = validation.problem(context.paths.remotes)
    click.echo(found or f"{context.paths.remotes / validation.CONF}: valid")
    sys.exit(bool(found))


@tunnel.command("reap")
@click.argument("hosts", nargs=-1)
@dry_run_option
@front_end
def reap(context: Context, hosts: Sequence[str], *, dry_run: bool) -> None:
    """Remove tunnels that are not in use (what a crash left) on all HOSTS, or on some."""
    if dry_run:
        _show_unused(nodes.ask_all(context, _online(_chosen(context, hosts)), ["list"]))
        return
    replies = nodes.ask_all(context, _online(_chosen(context, hosts)), ["reap"])
    gone = [
        f"{reply.node.name}: {name}" for reply in replies for name in _strings(reply.answer.get("reaped"))
    ]
    for line in gone:
        click.echo(line)
    click.echo(f"{len(gone)} removed on {len(replies) - len(_failed(replies))} hosts")
    _complain(replies)


@tunnel.command("off")
@click.argument("hosts", nargs=-1)
@dry_run_option
@front_end
def off(context: Context, hosts: Sequence[str] = (), *, dry_run: bool = False) -> None:
    """Migrate without tunnels from the next migration on; running ones continue. Works with oned down."""
    _switch(context, hosts, "off", dry_run=dry_run)


@tunnel.command("on")
@click.argument("hosts", nargs=-1)
@dry_run_option
@front_end
def on(context: Context, hosts: Sequence[str] = (), *, dry_run: bool = False) -> None:
    """Migrate through tunnels again."""
    _switch(context, hosts, "on", dry_run=dry_run)


def rows_of(reply: Reply, want: str) -> list[Row]:
    """Return a table's rows for one node: one for each tunnel, at least one."""
    found = reply.answer.get("tunnels")
    each = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    state = "-" if reply.problem else "off" if reply.answer.get("off") else "on"
    problem = reply.problem or "; ".join(missing(reply, want))
    head = {"host": reply.node.name, "tunnels": state, "problem": problem}
    rows: list[Row] = [
        {**head, **one, "tunnel": one.get("name"), "used": "yes" if one.get("used") else "no"} for one in each
    ]
    return rows or [head]


def missing(reply: Reply, want: str) -> list[str]:
    """Return what a node lacks, a line each; `want` is the digest of the driver that it should have."""
    name = reply.node.name
    if reply.problem:
        return [f"{name}: {reply.problem}"]
    stale = (
        [f"{name}: an old driver or old settings: {drivers.SYNC} {name}"] if drivers.old(reply, want) else []
    )
    absent = [f"{name}: {one} is missing" for one in _strings(reply.answer.get("missing"))]
    return [*stale, *absent, *(f"{name}: {one}" for one in nodes.problems(reply))]


def sentence(reply: Reply, destination: Node) -> str:
    """Print the result of a trial."""
    pair = f"{reply.node.name} -> {destination.name}"
    if reply.problem:
        return f"{pair}: no tunnel: {reply.problem}"
    return (
        "{pair}: {datapath} VXLAN works: MTU {mtu}, round trip {round_trip_ms} ms, {mbit_s} Mbit/s,"
        " up in {up_ms} ms"
    ).format(pair=pair, **reply.answer)


def _show_unused(replies: Sequence[Reply]) -> None:
    found = [row for reply in replies for row in rows_of(reply, "") if row.get("used") == "no"]
    for row in found:
        click.echo(f"{row['host']}: {row['tunnel']}")
    click.echo(f"would remove {len(found)} on {len(replies) - len(_failed(replies))} hosts")
    _complain(replies)


def _switch(context: Context, hosts: Sequence[str], direction: str, *, dry_run: bool) -> None:
    chosen = _chosen(context, hosts)
    if dry_run:
        names = ", ".join(node.name for node in chosen) or "no host"
        click.echo(f"would turn tunnels {direction} on {names}")
        return
    replies = nodes.ask_all(context, chosen, [direction])
    reached = len(replies) - len(_failed(replies))
    click.echo(f"tunnels are {direction} on {reached} of {len(replies)} hosts")
    _complain(replies)


def _chosen(context: Context, words: Sequence[str]) -> list[Node]:
    known, why = nodes.last_known(context)
    if why:
        click.echo(f"oned does not answer ({why}): nodes as last known", err=True)
    return [find(known, word, "KVM host") for word in words] or known


def _online(chosen: Sequence[Node]) -> list[Node]:
    for node in chosen:
        if node.offline:
            click.echo(f"{node.name}: OFFLINE, not checked", err=True)
    return [node for node in chosen if not node.offline]


def _failed(replies: Sequence[Reply]) -> list[Reply]:
    return [reply for reply in replies if reply.problem]


def _complain(replies: Sequence[Reply]) -> None:
    for reply in _failed(replies):
        click.echo(f"{reply.node.name}: not reached: {reply.problem}", err=True)
    if _failed(replies):
        sys.exit(1)


def _strings(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []

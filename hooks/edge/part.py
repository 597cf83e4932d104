"""The edge part of the worker: requests of nodes at any time; hub and ssh files each round."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hooks.edge import (
    counter,
    hub_list,
    office,
    public_certificate,
    secrets,
    ssh_agent,
    ssh_client,
    whereabouts,
)
from hooks.edge.office import NotReady, Office
from hooks.edge.records import ZONE, Book
from hooks.edge.secrets import Secrets, SecretsError
from hooks.edge.ssh_agent import AgentError
from onext import log, metrics
from onext.oned.errors import OnedError
from onext.part import Check, Context, Key, Part, Retry
from onext.unix_service import UnixService

NAME = "edge"
INTERFACES = Path("/sys/class/net")
_NETWORKS = Path("/proc/sys/net")
_log = log.get(NAME)


@dataclass
class _State:
    """What this process keeps: the context of the last round, for requests, and the socket."""

    context: Context | None = None
    counter: UnixService | None = None


_state = _State()


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - there is one key
    """Listen for requests, and let hub and ssh follow the documents."""
    settings = context.settings.edge
    if not settings.enabled:
        _close()
        return ""
    _state.context = context
    _listen(context, settings.parallel)
    try:
        book = Book.of(context.oned)
        view = office.publish(context, book)
    except (NotReady, SecretsError, OSError) as error:
        raise Retry(f"hub and ssh are not up to date: {error}") from error
    if context.oned.raft().acts:
        office.let_names_go(context, book, view)
        whereabouts.write(context, view.valid, whereabouts.read(whereabouts.place(context.paths)))
    peers = sum(node.state.peer for node in view.valid.values())
    invalid = [stored.problem for stored in view.nodes.values() if stored.problem]
    metrics.write(
        context.paths.metrics,
        NAME,
        [
            metrics.Family(
                "onext_edge_nodes", "gauge", "Nodes that may use the tunnel.", [({}, float(peers))]
            ),
            metrics.Family(
                "onext_edge_invalid_records",
                "gauge",
                "Records that cannot be read.",
                [({}, float(len(invalid)))],
            ),
        ],
    )
    agent = _keep_in_agent(context) if peers else ""
    return f"{peers} nodes{agent}" + (f", {len(invalid)} invalid records: {invalid[0]}" if invalid else "")


def _keep_in_agent(context: Context) -> str:
    """Give the ssh agent oneadmin's certificate; return what a person should know, as a part of a line."""
    socket = ssh_agent.place(context.paths) if context.settings.edge.ssh_agent else None
    try:
        if socket is not None:
            ssh_agent.keep(Secrets.of(context.paths), socket, ssh_client.USER_DAYS)
    except AgentError as error:
        return f", ssh agent: {error}"
    return ""


def _listen(context: Context, threads: int) -> None:
    if _state.counter is not None and _state.counter.alive:
        return
    office_of_all = Office(_current)
    try:
        _state.counter = counter.opened(office_of_all, counter.place(context.paths), threads)
    except OSError as error:
        raise Retry(f"{counter.place(context.paths)}: {error}") from error


def _current() -> Context:
    if _state.context is None:
        raise NotReady("the worker has just started")
    return _state.context


def _close() -> None:
    if _state.counter is not None:
        _state.counter.close()
        _state.counter = None


def sweep(context: Context) -> Iterable[Key]:
    """Look once a minute; while it is off, only to stop listening."""
    return [Key(NAME, "pool", 0)] if context.settings.edge.enabled or _state.counter else []


def checks(context: Context) -> Iterable[Check]:
    """Check the keys, the records, the endpoint and the hub of this server."""
    settings = context.settings.edge
    if not settings.enabled:
        return
    kept = Secrets.of(context.paths)
    missing = [name for name in (*secrets.ZONE, secrets.HUB) if not kept.file(name).exists()]
    if missing:
        yield Check("keys", "fail", f"missing in {kept.folder}: {', '.join(missing)}", "onext edge init")
        return
    yield from _keys(context, kept)
    yield _listening(context)
    yield _hub(context)
    yield _forwarding(context)
    if settings.ssh_agent:
        yield _agent(context, kept)


def _agent(context: Context, kept: Secrets) -> Check:
    """Find out whether oneadmin on a node reaches the others."""
    name, service = "ssh agent", "systemctl enable --now opennebula-ssh-agent"
    socket = ssh_agent.place(context.paths)
    if socket is None:
        return Check(name, "warn", "no ssh agent: VMs do not migrate between nodes", service)
    try:
        if ssh_agent.holds(kept, socket):
            return Check(name, "ok", f"{socket} has oneadmin's certificate")
    except AgentError as error:
        return Check(name, "warn", str(error), service)
    return Check(name, "warn", f"{socket} lacks oneadmin's certificate", "the worker adds it within a minute")


def _keys(context: Context, kept: Secrets) -> Iterable[Check]:
    try:
        view = Book.of(context.oned).view()
        zone = office.zone_of(view)
        names = (secrets.TOKEN, secrets.ANSWER, secrets.USER_CA, secrets.HOST_CA)
        here = tuple(map(kept.public, names))
    except (SecretsError, NotReady, OnedError) as error:
        yield Check("keys", "fail", str(error), "onext edge init")
        return
    rotated = kept.public(secrets.USER) in zone.revoked_users
    if here == (zone.token_key, zone.answer_key, zone.user_ca, zone.host_ca) and not rotated:
        yield Check("keys", "ok", f"{kept.folder}: the zone's keys, and this hub's")
    else:
        yield Check(
            "keys", "fail", f"{kept.folder}: not the keys of the zone's record", "onext edge init --from"
        )
    for stored in view.nodes.values():
        if stored.problem:
            yield Check("records", "warn", stored.problem, "undo what a person changed in that document")


def _listening(context: Context) -> Check:
    certificate = public_certificate.place(context.paths)
    if not certificate.exists():
        return Check(
            "endpoint", "fail", f"{certificate} is missing", "systemctl enable --now onext-edge-endpoint"
        )
    if other := _told_otherwise(context):
        return Check("endpoint", "fail", other, "onext edge init")
    if not counter.place(context.paths).exists():
        return Check("endpoint", "warn", "the worker does not listen yet", "it begins with its next round")
    return Check("endpoint", "ok", f"{context.settings.edge.endpoint}, {counter.place(context.paths)}")


def _told_otherwise(context: Context) -> str:
    """Return what nodes are told of this server and is not so, empty for nothing."""
    settings, number = context.settings.edge, max(context.oned.raft().server_id, 0)
    server = Book.of(context.oned).view().front_ends.get(number)
    if server is None:
        return "this server is not recorded: nodes do not know it"
    if (server.endpoint, server.hub) != (settings.endpoint, settings.hub):
        return f"nodes are told {server.endpoint} and {server.hub}, and onext.yaml has others"
    try:
        digest = public_certificate.digest(context.paths)
    except SecretsError as error:
        return str(error)
    return (
        "" if server.digest == digest else "nodes and tokens name another certificate than the endpoint has"
    )


def _hub(context: Context) -> Check:
    name, file = context.settings.edge.interface, hub_list.place(context.paths)
    if not (INTERFACES / name).exists():
        return Check("hub", "fail", f"no interface {name}", "systemctl enable --now onext-edge-hub")
    age = time.time() - file.stat().st_mtime if file.exists() else None
    if age is None:
        return Check("hub", "warn", f"{file} is missing", "the worker writes it in its next round")
    return Check("hub", "ok", f"interface {name} at {context.settings.edge.hub}")


def _forwarding(context: Context) -> Check:
    """Find out whether nodes reach each other through the hub."""
    zone, interface = Book.of(context.oned).zones.get(ZONE), context.settings.edge.interface
    version = zone.value.pool.version if zone and zone.value else 6
    folder = _NETWORKS / f"ipv{version}/conf"
    own = "force_forwarding" if version == 6 else "forwarding"
    for file in (folder / interface / own, folder / "all/forwarding"):
        try:
            if file.read_text().strip() == "1":
                return Check("forwarding", "ok", str(file))
        except OSError:
            continue
    return Check(
        "forwarding",
        "warn",
        f"nodes do not reach each other through this hub: IPv{version} forwarding is off",
        f"sysctl net.ipv{version}.conf.all.forwarding=1, in /etc/sysctl.d too",
    )


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True, leader_only=False)

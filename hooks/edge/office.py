"""The worker's answer to each request: verify, record, then act; every step can be repeated.

One request changes something at a time; a second server of the zone is kept out by Raft and by the versions
of the documents.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hooks.edge import (
    admission,
    answers,
    draining,
    hub_list,
    introductions,
    published_nodes,
    ssh_client,
    verify_token,
    whereabouts,
)
from hooks.edge.addresses import most_nodes
from hooks.edge.admission import ALLOCATING, NO_HOST, Admission, Refused
from hooks.edge.draining import Draining
from hooks.edge.forms import host_of
from hooks.edge.hosts import MARK, Hosts
from hooks.edge.records import ZONE, Book, Node, State, Token, View, Zone
from hooks.edge.requests import JOIN, LEAVE, READY, Join, Request
from hooks.edge.secrets import FORMER_USER, HOST_CA, HUB, USER, Secrets
from onext import lock, log, process
from onext import zone as servers
from onext.hosts import maintenance
from onext.oned.documents import Conflict, Stored
from onext.part import Busy, Context
from onext.process import CommandError

LOCK, _WAIT = "edge-publish.lock", 20.0  # in the folder of the state; seconds
MOST_REASONS = 50  # VMs whose reasons a node is told
CLOCK = 300.0  # seconds by which a node's clock may differ, as certificates tolerate
HOUR = 3600.0  # seconds between two records of a node's certificates
_VERIFY = 20.0  # seconds, waiting for a processor included
_log = log.get("edge")
Values = dict[str, object]


class NotReady(Exception):
    """This server cannot answer now: it does not lead, or `onext edge init` was not run here."""


@dataclass
class Office:
    """Processes requests for one front-end."""

    context: Callable[[], Context]
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)
    own: dict[int, str] = field(
        default_factory=dict
    )  # what nodes state of their own network, until a restart
    draining: Draining = field(default_factory=Draining)
    verifying: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(2))

    def handle(self, request: Request) -> bytes:
        """Return the signed answer; raise NotReady, or an OnedError."""
        context = self.context()
        kept = Secrets.of(context.paths)
        try:
            values = self._values(context, request)
        except Refused as error:
            _log.warning("audit: %s of %s… refused: %s", request.action, request.identity[:16], error)
            values = {"result": "refused", "message": str(error)}
        except (Busy, Conflict) as error:
            raise NotReady(f"try again: {error}") from error
        return answers.signed(kept, request, {**values, "time": int(context.now())})

    def _values(self, context: Context, request: Request) -> Values:
        if not context.settings.edge.enabled or context.stopped("edge"):
            raise NotReady("edge is not enabled on this server")
        if not context.oned.raft().acts:
            raise NotReady("this server does not lead its zone")
        book = Book.of(context.oned)
        if request.action == JOIN:
            assert request.join is not None
            token = self._verified(book, request)
            with self.one_at_a_time:
                return self._join(context, book, request, request.join, token)
        with self.one_at_a_time:
            return self._known(context, book, request)

    def _verified(self, book: Book, request: Request) -> int:
        """Return the number of the token's record; raise Refused."""
        assert request.join is not None
        zone = zone_of(book.view())
        given = {"token": request.join.token, "key": zone.token_key, "name": request.join.name}
        given["node_key"] = request.identity
        with self.verifying:
            return verified(given)

    def _join(self, context: Context, book: Book, request: Request, join: Join, number: int) -> Values:
        view = book.view()
        zone, stored = zone_of(view), book.tokens.get(number)
        if stored is None or stored.value is None:
            raise Refused("the token's record is gone" if stored is None else stored.problem)
        decided = admission.admit(
            join,
            request.identity,
            (number, stored.value),
            view.valid,
            _keys(context, zone, view),
            Hosts(context.oned).names(),
            reserved=_names(context, view),
            free=view.free(zone.pool),
            most=most_nodes(zone.pool),
            now=context.now(),
            session=os.urandom(16).hex(),
        )
        if not join.proven:
            raise Refused("this machine does not prove that the ssh host key is its own: is its program old?")
        self._record(book, view, (number, stored), decided)
        skew = request.time - context.now()
        _log.info(
            "audit: join of node %s (%d, cluster %d) by token %d%s%s",
            join.name,
            decided.number,
            decided.node.cluster,
            number,
            ", again" if decided.repeated else "",
            f", its clock is off by {skew:.0f} s" if abs(skew) > CLOCK else "",
        )
        return self._told(context, book, decided.number, certify=True)

    def _record(self, book: Book, view: View, token: tuple[int, Stored[Token]], decided: Admission) -> None:
        """Write the use of the token, then the node."""
        number, stored = token
        if stored.value != decided.token:
            book.tokens.put(number, decided.token, stored.version)
        if not decided.repeated:
            before = view.nodes.get(decided.number)
            book.nodes.put(decided.number, decided.node, before.version if before else None)

    def _known(self, context: Context, book: Book, request: Request) -> Values:
        """Answer a node that joined before."""
        nodes = book.view().nodes
        number = next((n for n, s in nodes.items() if s.value and s.value.identity == request.identity), None)
        if number is None:
            raise Refused("this node is not known: join with a token")
        node = nodes[number].value
        assert node is not None
        if request.action == LEAVE and node.state is State.LEFT and node.session == request.session:
            return {"result": "ok", "left": True}
        if not node.state.peer:
            raise Refused(f"this node is {node.state.value}")
        if node.session != request.session:
            raise Refused("this request is of an earlier join")
        if request.action == LEAVE:
            _check_time(request, context)
            return self._leave(context, book, number, nodes[number])
        self.own[number] = request.here
        if request.action == READY:
            self._ready(context, book, number, nodes[number])
        return self._told(context, book, number, certify=request.certificate)

    def _ready(self, context: Context, book: Book, number: int, stored: Stored[Node]) -> None:
        """Allocate the node's host once: the intent is recorded before, the id after."""
        node, hosts = stored.value, Hosts(context.oned)
        assert node is not None
        known = hosts.names()
        if node.host >= 0 and node.host in known.values():
            if node.state is State.JOINING:
                book.nodes.put(number, replace(node, state=State.ACTIVE), stored.version)
            return
        if node.host != ALLOCATING:
            if node.name in known:
                raise Refused(f"OpenNebula has a host {node.name} already, which did not join by a token")
            stored = book.nodes.put(number, replace(node, host=ALLOCATING), stored.version)
        settings, host = context.settings.edge, known.get(node.name)
        if host is None:
            host = hosts.allocate(node.name, settings.im_mad, settings.vm_mad, node.cluster)
        context.oned.update_host(host, {MARK: number})
        book.nodes.put(number, replace(node, host=host, state=State.ACTIVE), stored.version)
        _log.info("audit: host %d is node %s", host, node.name)

    def _leave(self, context: Context, book: Book, number: int, stored: Stored[Node]) -> Values:
        node, hosts = stored.value, Hosts(context.oned)
        assert node is not None
        if node.state is not State.LEAVING:
            stored = book.nodes.put(number, replace(node, state=State.LEAVING), stored.version)
            _log.info("audit: node %s leaves", node.name)
        if node.host >= 0:
            try:
                left = self.draining.step(context, node.host)
            except Conflict as error:  # as long as availability or power works on the host
                found = hosts.find(node.host)
                vms = len(found.vm_ids) if found else 0
                return {"result": "ok", "left": False, "vms": vms, "stays": [str(error)]}
            if left:
                stays = [f"VM {vm}: {why}" for vm, why in sorted(left.items())]
                return {"result": "ok", "left": False, "vms": len(left), "stays": stays[:MOST_REASONS]}
            hosts.remove(node.host)
            maintenance.end(context, node.host)
        book.nodes.put(number, replace(node, state=State.LEFT, host=NO_HOST), stored.version)
        _log.info("audit: node %s has left", node.name)
        publish(context, book)
        return {"result": "ok", "left": True}

    def _told(self, context: Context, book: Book, number: int, *, certify: bool) -> Values:
        """Return what a node is told, after hub and ssh know the same."""
        view = publish(context, book)
        zone, node, settings = zone_of(view), view.valid[number], context.settings.edge
        told = answers.state(zone, view.front_ends, view.valid, number, settings)
        if settings.direct:
            seen = whereabouts.endpoints(whereabouts.place(context.paths))
            told["peers"] = introductions.peers(zone, view.valid, number, seen, self.own)
            told["node_ports"] = [list(ports) for ports in settings.node_ports]
        told["result"] = "ok"
        told["host"] = node.host
        told["host_state"] = Hosts(context.oned).state(node.host) if node.host >= 0 else ""
        if certify:
            kept, days = Secrets.of(context.paths), settings.certificate_days
            if kept.public(HOST_CA) != zone.host_ca:
                raise NotReady(
                    "the zone's keys were replaced on another server: `onext edge init --from SERVER`"
                )
            if abs(context.now() - node.certified) > HOUR:  # a node may ask as often as it likes
                renewed = replace(node, certified=context.now())
                book.nodes.put(number, renewed, view.nodes[number].version)
            told["days"] = days
            told["certificate"] = answers.certificate(kept, zone, number, node, now=context.now(), days=days)
            _log.info("audit: host certificate of %s for %d days", node.name, days)
        return told


def _check_time(request: Request, context: Context) -> None:
    """Refuse an old request to leave: the endpoint may have kept it, and the node has changed its mind."""
    skew = request.time - context.now()
    if abs(skew) > CLOCK:
        raise Refused(f"this machine's clock is off by {skew:.0f} s: set it, then leave again")


def _keys(context: Context, zone: Zone, view: View) -> list[str]:
    """Return the public keys of front-ends, which no node may have."""
    kept, hubs = Secrets.of(context.paths), [server.hub_key for server in view.front_ends.values()]
    users = [kept.public(name) for name in (USER, FORMER_USER) if kept.file(name).exists()]
    return [zone.user_ca, zone.host_ca, zone.former_host_ca, *users, *hubs]


def _names(context: Context, view: View) -> set[str]:
    """Return the names by which nodes, oneadmin and programs find front-ends."""
    found = {os.uname().nodename}
    for server in view.front_ends.values():
        found |= {server.name, host_of(server.endpoint), host_of(server.hub)}
    for one in servers.servers(context.oned, context.oned.document("system.config")):
        found |= {one.name, one.host}
    return {name.lower() for name in found}


def publish(context: Context, book: Book) -> View:
    """Write the hub's list, oneadmin's ssh files and the published nodes from the records; return these.

    One process at a time reads and writes: an older reading would let a revoked node in again. Raises
    NotReady, Busy, SecretsError, OSError or an OnedError.
    """
    kept = Secrets.of(context.paths)
    with lock.held(context.paths.state / LOCK, _WAIT, "another process writes the hub's list"):
        view = book.view()
        zone = zone_of(view)
        if kept.file(HUB).exists():
            server = context.oned.raft().server_id
            content = hub_list.document(zone, view.valid, server, context.settings.edge)
            hub_list.write(context.paths, content)
        ssh_client.write(context.paths, zone, view.valid, now=context.now())
        published_nodes.publish(context.paths, view.valid)
    return view


def let_names_go(context: Context, book: Book, view: View) -> None:
    """Note which revoked nodes have no host any more: other machines may have their names."""
    revoked = [
        (number, stored, stored.value)
        for number, stored in view.nodes.items()
        if stored.value and stored.value.state is State.REVOKED and stored.value.host >= 0
    ]
    hosts = set(Hosts(context.oned).names().values()) if revoked else set()
    for number, stored, node in revoked:
        if node.host not in hosts:
            book.nodes.put(number, replace(node, host=NO_HOST), stored.version)


def revoke(context: Context, book: Book, number: int) -> None:
    """Cut a node off: its record first, then the hub and ssh, then its host; raise an OnedError."""
    stored = book.nodes.get(number)
    if stored is None or stored.value is None:
        raise Refused(f"no node {number}" if stored is None else stored.problem)
    if stored.value.state is not State.REVOKED:
        book.nodes.put(number, replace(stored.value, state=State.REVOKED), stored.version)
    publish(context, book)
    _log.info("audit: node %s was revoked", stored.value.name)
    if stored.value.host >= 0:
        Hosts(context.oned).disable(stored.value.host)
        draining.let_go(context, stored.value.host)


def verified(given: Mapping[str, object]) -> int:
    """Return the number of a token's record, by a process that may be killed; raise Refused."""
    program = str(Path(verify_token.__file__))
    try:
        done = process.run(
            [sys.executable, "-I", program],
            timeout=_VERIFY,
            input=json.dumps(given).encode(),
            max_output=4096,
        )
        answer = json.loads(done.stdout)
    except (CommandError, ValueError):
        raise Refused("the token takes too long to evaluate, or cannot be evaluated") from None
    if "id" not in answer:
        raise Refused(str(answer.get("refused")))
    return int(answer["id"])


def zone_of(view: View) -> Zone:
    """Return the zone's record; raise NotReady without a valid one."""
    stored = view.zones.get(ZONE)
    if stored is None or stored.value is None:
        raise NotReady("run `onext edge init` first" if stored is None else stored.problem)
    return stored.value

"""`onext edge init`: the zone's keys and record once, each server's hub key and record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from edge import overlay, word
from edge.overlay import Pool
from hooks.edge import public_certificate, secrets
from hooks.edge.addresses import most_nodes, random_pool, server_address
from hooks.edge.forms import WHERE, matching
from hooks.edge.records import ZONE, Book, Server, Zone
from hooks.edge.secrets import Secrets, SecretsError
from onext import process
from onext import zone as servers
from onext.oned.documents import Stored
from onext.part import Context
from onext.process import CommandError
from onext.settings.edge import Edge

_TIMEOUT = 15.0


class SetupError(SecretsError):
    """The zone cannot be initialised; the message states why and what to do."""


@dataclass(frozen=True)
class Plan:
    """What `init` does: keys to create, and the records as they will be."""

    keys: tuple[str, ...]
    pool: Pool
    record: Stored[Zone] | None
    server: int
    entry: Server
    before: Stored[Server] | None

    def lines(self) -> list[str]:
        """Return the plan for a person."""
        made = [f"create key {name}" for name in self.keys]
        zone = (
            []
            if self.record
            else [f"record the zone: pool {self.pool}, addresses for {most_nodes(self.pool)} nodes"]
        )
        same = self.before is not None and self.before.value == self.entry
        own = f"record this server: endpoint {self.entry.endpoint}, hub {self.entry.hub}"
        return [*made, *zone, *([] if same else [own])]


def plan(context: Context, pool: Pool | None) -> Plan:
    """Return what is to be done; raise SetupError."""
    settings, kept, book = context.settings.edge, Secrets.of(context.paths), Book.of(context.oned)
    _check(settings)
    record = book.zones.get(ZONE)
    if record is not None and record.value is None:
        raise SetupError(record.problem)
    missing = tuple(name for name in (*secrets.ZONE, secrets.HUB) if not kept.file(name).exists())
    if record is not None and record.value is not None:
        if set(missing) & set(secrets.ZONE):
            raise SetupError(
                f"the zone has its keys already, and {kept.folder} lacks {', '.join(missing)}:"
                " `onext edge init --from SERVER` brings them here, or restore the backup;"
                " without one: `onext edge reset`"
            )
        if pool is not None and pool != record.value.pool:
            raise SetupError(f"the zone's pool is {record.value.pool}, and cannot be changed: omit --pool")
        _same(kept, record.value)
    number = context.oned.raft().server_id
    digest = public_certificate.digest(context.paths)
    entry = Server(_name(context), settings.endpoint, digest, settings.hub, "A" * 43 + "=")
    chosen = record.value.pool if record and record.value else pool or random_pool()
    stored = book.servers.get(_place(number))
    if stored is None:  # later nothing can be changed, and the records have to follow the settings
        _check_pool(chosen, number, settings.interface)
    if secrets.HUB not in missing:
        entry = _with_key(entry, kept.public(secrets.HUB))
    return Plan(missing, chosen, record, number, entry, stored)


def carry_out(context: Context, planned: Plan) -> None:
    """Create what is missing; may be repeated after an interruption."""
    kept, book = Secrets.of(context.paths), Book.of(context.oned)
    for name in planned.keys:
        kept.create(name)
    if planned.record is None:
        made = Zone(
            planned.pool,
            kept.public(secrets.TOKEN),
            kept.public(secrets.ANSWER),
            kept.public(secrets.USER_CA),
            kept.public(secrets.HOST_CA),
        )
        book.zones.put(ZONE, made, None)
    entry = _with_key(planned.entry, kept.public(secrets.HUB))
    if planned.before is None or planned.before.value != entry:
        version = planned.before.version if planned.before else None
        book.servers.put(_place(planned.server), entry, version)


def source(context: Context, name: str) -> servers.Server:
    """Return another server of this zone; raise SetupError."""
    others = servers.others(context.oned, context.oned.document("system.config"))
    server = next((one for one in others if name in (one.name, one.host, str(one.id))), None)
    if server is None:
        names = ", ".join(one.name for one in others) or "none"
        raise SetupError(f"no other server {name} in this zone; there are: {names}")
    return server


def bring(context: Context, server: servers.Server) -> None:
    """Copy the zone's keys from another of its servers, over ssh; raise SetupError."""
    kept = Secrets.of(context.paths)
    answer = servers.ask(server, context.paths, ["edge", "keys"])
    try:
        found = json.loads(answer.text) if answer.done else None
    except ValueError:
        found = None
    if not isinstance(found, Mapping) or set(found) - set(secrets.FORMER) != set(secrets.ZONE):
        raise SetupError(f"server {server.name} sent no keys: {answer.text[:200]}")
    sent = {key: str(content)[:4096].encode() for key, content in found.items()}
    former = sent.pop(secrets.FORMER_USER, b"")
    for key, content in sent.items():
        _take(context, kept, key, content, former)


def _take(context: Context, kept: Secrets, name: str, content: bytes, former_user: bytes) -> None:
    """Keep a key that is missing here, or that was replaced on the other server."""
    if not kept.file(name).exists():
        kept.write(name, content)
        return
    record = Book.of(context.oned).zones.get(ZONE)
    if record is None or record.value is None or kept.read(name) == content:
        return
    zone, here = record.value, kept.public(name)
    replaced = {
        secrets.TOKEN: here != zone.token_key,
        secrets.ANSWER: here != zone.answer_key,
        secrets.USER_CA: here != zone.user_ca,
        secrets.HOST_CA: here != zone.host_ca,
        secrets.USER: here in zone.revoked_users or kept.read(name) == former_user,
    }
    if replaced.get(name):
        if name == secrets.ANSWER:
            kept.keep_former(name, secrets.FORMER_ANSWER)
        kept.replace(name, content)


def _check(settings: Edge) -> None:
    for key, value in (("endpoint", settings.endpoint), ("hub", settings.hub)):
        try:
            word.split(matching(WHERE, value, key))
        except ValueError:
            raise SetupError(
                f"set `edge: {key}:` in onext.yaml to HOST:PORT, as nodes reach this server"
            ) from None


def _check_pool(pool: Pool, server: int, interface: str) -> None:
    """Refuse a pool without an address for this server, or with addresses that it reaches otherwise."""
    try:
        server_address(pool, server)
        routes = process.run([*overlay.ip(pool), "route", "show"], timeout=_TIMEOUT).stdout.decode()
    except (ValueError, CommandError) as error:
        raise SetupError(str(error)) from None
    other = overlay.taken(pool, routes, interface)
    if other:
        raise SetupError(f"pool {pool} is not free: this server reaches {other}; take another --pool")


def _same(kept: Secrets, zone: Zone) -> None:
    ours = tuple(map(kept.public, (secrets.TOKEN, secrets.ANSWER, secrets.USER_CA, secrets.HOST_CA)))
    if ours != (zone.token_key, zone.answer_key, zone.user_ca, zone.host_ca):
        raise SetupError(f"{kept.folder} holds other keys than the zone's record: nothing is overwritten")


def _name(context: Context) -> str:
    found = servers.servers(context.oned, context.oned.document("system.config"))
    return next((one.name for one in found if one.here), "front-end")


def _with_key(entry: Server, key: str) -> Server:
    return Server(entry.name, entry.endpoint, entry.digest, entry.hub, key)


def _place(server: int) -> int:
    """Return the number of a server's record; a SOLO one has the id -1."""
    return max(server, 0)

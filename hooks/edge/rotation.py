"""`onext edge rotate`: another key in the place of one; an interrupted one is completed by the next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hooks.edge import secrets, setup
from hooks.edge.office import publish, zone_of
from hooks.edge.records import ZONE, Book
from hooks.edge.secrets import Secrets, SecretsError
from onext import zone as servers
from onext.part import Context

EFFECTS = {
    "token": "another key signs join tokens: those made until now are worthless",
    "user": "oneadmin has another key on nodes, and the former one is revoked there within two minutes",
    "user-ca": "another authority certifies oneadmin; nodes accept no other within two minutes",
    "host-ca": "another authority certifies nodes, which get new certificates within two minutes",
    "answers": "another key signs answers, which nodes that ask learn; the former one serves the others",
    "hub": "this server's hub has another WireGuard key: its nodes reconnect within about two minutes",
}
_PATIENCE = 60.0  # seconds for another server to bring the keys


class Incomplete(SecretsError):
    """Another server of the zone did not take a key; the message names it and what to do."""


def rotate(context: Context, name: str, *, force: bool = False) -> None:
    """Replace a key of EFFECTS; with `force` also where the zone's other servers do not take it.

    Raises SecretsError, NotReady or an OnedError.
    """
    steps = {"token": _token, "answers": _answers, "user": _user, "hub": _hub}
    {**steps, "user-ca": _user_ca, "host-ca": _host_ca}[name](context, force=force)


def _token(context: Context, *, force: bool) -> None:
    _replace(context, secrets.TOKEN, "token_key")
    tokens = Book.of(context.oned).tokens
    for number, stored in tokens.all().items():
        if stored.value is not None and not stored.value.revoked:
            tokens.put(number, replace(stored.value, revoked=True), stored.version)
    if not force:
        _bring_everywhere(context, "it makes no valid join tokens until then")


def _user(context: Context, *, force: bool) -> None:
    """Replace oneadmin's key on all servers, then revoke the former one: none is locked out of the nodes."""
    kept, book = Secrets.of(context.paths), Book.of(context.oned)
    former = kept.file(secrets.FORMER_USER)
    if not former.exists():
        kept.keep_former(secrets.USER, secrets.FORMER_USER)
    if kept.read(secrets.USER) == kept.read(secrets.FORMER_USER):
        kept.replace(secrets.USER)
    publish(context, book)
    if not force:
        _bring_everywhere(context, "the former key is not revoked before")
    view, old = book.view(), kept.public(secrets.FORMER_USER)
    zone = zone_of(view)
    if old not in zone.revoked_users:
        revoked = replace(zone, revoked_users=(*zone.revoked_users, old))
        book.zones.put(ZONE, revoked, view.zones[ZONE].version)
    former.unlink()


def _user_ca(context: Context, *, force: bool) -> None:
    _replace(context, secrets.USER_CA, "user_ca")
    publish(context, Book.of(context.oned))
    if not force:
        _bring_everywhere(context, "it reaches no node until then")


def _answers(context: Context, *, force: bool) -> None:
    """Keep the former key: a node learns the new one from an answer that it can check."""
    _replace(context, secrets.ANSWER, "answer_key", former=secrets.FORMER_ANSWER)
    if not force:
        _bring_everywhere(context, "nodes do not accept its answers until then")


def _host_ca(context: Context, *, force: bool) -> None:
    before = zone_of(Book.of(context.oned).view()).host_ca
    _replace(context, secrets.HOST_CA, "host_ca", former_host_ca=before, host_ca_since=context.now())
    publish(context, Book.of(context.oned))
    if not force:
        _bring_everywhere(context, "it certifies no node until then")


def _hub(context: Context, *, force: bool) -> None:  # noqa: ARG001 - it is this server's alone
    kept, book = Secrets.of(context.paths), Book.of(context.oned)
    recorded = setup.plan(context, None).before
    if recorded is not None and recorded.value and recorded.value.hub_key == kept.public(secrets.HUB):
        kept.replace(secrets.HUB)
    setup.carry_out(context, setup.plan(context, None))
    publish(context, book)


def _replace(context: Context, name: str, field: str, *, former: str = "", **beside: object) -> None:
    """Replace a key, then its public half in the zone's record; an interrupted attempt only records it.

    `former` is the name under which the key before is kept, `beside` further values of the record.
    """
    kept, book = Secrets.of(context.paths), Book.of(context.oned)
    view = book.view()
    zone = zone_of(view)
    if kept.public(name) == getattr(zone, field):
        if former:
            kept.keep_former(name, former)
        kept.replace(name)
    values: dict[str, Any] = {field: kept.public(name), **beside}
    book.zones.put(ZONE, replace(zone, **values), view.zones[ZONE].version)


def _bring_everywhere(context: Context, until_then: str) -> None:
    """Let the zone's other servers copy this one's keys; raise Incomplete where one does not."""
    document = context.oned.document("system.config")
    own = str(context.oned.raft().server_id)
    for server in servers.others(context.oned, document):
        answer = servers.ask(server, context.paths, ["edge", "init", "--from", own], timeout=_PATIENCE)
        if not answer.done:
            raise Incomplete(
                f"server {server.name} did not take the key ({answer.text[:200]}): {until_then};"
                " rotate again once it answers, or with --force"
            )

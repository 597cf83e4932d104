"""The commands of `onext biscuit` that need a front-end; their imports are loaded when they run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click

from onext.biscuit import revocation, token_description, tokens
from onext.biscuit.errors import BiscuitError
from onext.options import dry_run_option
from onext.paths import Paths
from onext.table import Row, show

if TYPE_CHECKING:  # a workstation has neither pyone nor pydantic
    from onext.part import Context
    from onext.xml import Element


@click.command()
@click.argument("token", required=False, metavar="[FILE|-]")
@click.option("--id", "ids", multiple=True, help="A revocation id instead of a token.")
@click.option(
    "--block",
    type=int,
    default=0,
    show_default=True,
    help="Revoke from this block on; 0 revokes the whole token.",
)
@click.option("--now", is_flag=True, help="Also end the user's session in oned's cache.")
@click.option("--user", help="The user of the session (default: the user in the token).")
@click.option("--local", is_flag=True, help="Change only this server; read ids from standard input.")
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def revoke(
    token: str | None,
    ids: tuple[str, ...],
    block: int,
    user: str | None,
    *,
    now: bool,
    local: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Refuse a token, and every token derived from it, on every server of the zone.

    As oneadmin on a front-end. A holder of the private key can make new tokens: replace the stored key.
    """
    paths = Paths.find()
    if dry_run:
        _preview(paths, sys.stdin.read().split() if local else _given(token, ids, block)[1])
        return
    if local:
        new = revocation.add(
            paths.own_etc / revocation.FILE, map(revocation.identifier, sys.stdin.read().split())
        )
        click.echo(f"{len(new)} added" if new else "already there")
        return
    stated, given = _given(token, ids, block)
    name = user or stated
    if now and not name:
        raise click.UsageError("--now ends a user's session: name the user with --user")
    _revoke(paths, given, name or "USER", now=now, as_json=as_json)


def _preview(paths: Paths, ids: Sequence[str]) -> None:
    """Print which ids the list of this server does not have yet."""
    known = set(revocation.read(paths.own_etc / revocation.FILE))
    for one in map(revocation.identifier, ids):
        click.echo(f"{one}: {'already there' if one in known else 'would be added'}")


@click.command()
@click.option("--local", is_flag=True, help="Check only this server; print digests to compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def check(*, local: bool, as_json: bool) -> None:
    """Check driver, list, oned.conf and users on all servers of the zone. Exit code 1 for a failure."""
    try:
        from onext.biscuit.check import findings, here
        from onext.part import Context
    except ModuleNotFoundError as error:
        raise BiscuitError(
            f"this is not a front-end ({error.name} is missing): run the command on a front-end, as oneadmin"
        ) from None

    if local:
        click.echo(json.dumps(asdict(here(Paths.find()))))
        return
    found = list(findings(Context()))
    rows = [{"check": c.name, "state": c.level, "message": c.message, "remedy": c.remedy} for c in found]
    show(rows, ("check", "state", "message", "remedy"), as_json=as_json)
    sys.exit(any(c.level == "fail" for c in found))


def _given(token: str | None, ids: Sequence[str], block: int) -> tuple[str | None, list[str]]:
    """Return the user in the token, and the revocation ids."""
    if ids:
        return None, [revocation.identifier(text) for text in ids]
    if token is None:  # never by default the administrator's own login
        raise click.UsageError("give the token's FILE, - to paste the token, or --id")
    shown = token_description.read(tokens.unverified(tokens.read(token)))
    if not 0 <= block < len(shown.blocks):
        raise click.UsageError(f"--block {block}: the token has blocks 0 to {len(shown.blocks) - 1}")
    users = shown.users
    return (users[0] if len(users) == 1 else None), [shown.blocks[block].revocation_id]


def _revoke(paths: Paths, ids: Sequence[str], user: str, *, now: bool, as_json: bool) -> None:
    """Add to the list of this server first, even if others fail, then to the others, and report."""
    new = revocation.add(paths.own_etc / revocation.FILE, ids)
    here = f"{len(new)} added" if new else "already there"
    rows: list[Row] = [{"server": "here", "result": here, "done": True}]
    sessions: Sequence[Row] = ()
    from onext.oned.errors import OnedError
    from onext.part import Context
    from onext.settings import SettingsError

    try:
        context = Context(paths=paths)
        configuration = context.oned.document("system.config")
        others = _on_the_others(context, configuration, ids)
    except (OnedError, SettingsError) as error:
        rows.append({"server": "the others", "result": f"unknown: {error}", "done": False})
    else:
        rows += [*others, *([_end_session(context, user)] if now else [])]
        ended = now and bool(rows[-1]["done"])
        sessions = _sessions(context, configuration, user, ended=ended, others=bool(others))
    _report(rows, sessions, as_json=as_json)


def _report(rows: Sequence[Row], sessions: Sequence[Row], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"servers": rows, "sessions": sessions}, indent=2))
    else:
        show(rows, ("server", "result"), as_json=False)
    if sessions and not as_json:
        click.echo("\nSessions that may have been opened with it, and when they end at the latest:\n")
        show(sessions, ("session", "until", "end"), as_json=False)
    if not all(row["done"] for row in rows):
        click.echo(
            "\nIncomplete: servers that were not reached still accept the token. Repeat the command.",
            err=True,
        )
        sys.exit(1)


def _on_the_others(context: Context, configuration: Element, ids: Sequence[str]) -> list[Row]:
    from onext import zone

    data = "".join(f"{i}\n" for i in ids).encode()
    others = zone.others(context.oned, configuration)
    answers = [zone.ask(server, context.paths, ["biscuit", "revoke", "--local"], data) for server in others]
    return [{"server": a.server.name, "result": a.text, "done": a.done} for a in answers]


def _end_session(context: Context, user: str) -> Row:
    from onext.biscuit import sessions
    from onext.oned.errors import OnedError

    try:
        sessions.end(context.oned, user)
    except (OnedError, BiscuitError) as error:
        return {"server": "oned's cache", "result": f"not ended: {error}", "done": False}
    return {"server": "oned's cache", "result": f"{user}: ended", "done": True}


def _sessions(
    context: Context, configuration: Element, user: str, *, ended: bool, others: bool
) -> Sequence[Row]:
    from onext.biscuit import sessions

    now = datetime.now(timezone.utc)
    seconds = sessions.cache_seconds(configuration)
    fireedge = context.paths.etc / "fireedge-server.conf"
    return list(sessions.left(user, now, seconds, fireedge, ended=ended, others=others))

"""`onext edge`: set up, make join tokens, see and revoke nodes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from edge import overlay
from edge.overlay import Pool
from hooks.edge import minting, office, setup, ssh_client, whereabouts
from hooks.edge.addresses import node_address
from hooks.edge.forms import PATTERN
from hooks.edge.key_commands import expected_errors, reset, rotate
from hooks.edge.office import NotReady
from hooks.edge.records import ZONE, Book, Node, Token, Zone
from hooks.edge.secrets import Secrets
from onext import zone as servers
from onext.biscuit.tokens import duration
from onext.command import dry_run_option, echo_json, find, front_end, json_option
from onext.oned.documents import Conflict
from onext.options import Group
from onext.part import Context
from onext.table import Row, show

_TRIES = 5
MOST_USES = 200


@click.group("edge", cls=Group)
def edge() -> None:
    """Nodes that join, leave and rejoin by themselves over WireGuard."""


def _pool(_context: click.Context, _option: click.Parameter, value: str | None) -> Pool | None:
    if value is None:
        return None
    try:
        return overlay.pool(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _ttl(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@edge.command("init")
@click.option(
    "--pool",
    callback=_pool,
    help="Network of the overlay: fd12:3456:789a::/64, 10.77.0.0/16 (default: a random IPv6 /64).",
)
@click.option("--from", "source", metavar="SERVER", help="Bring the zone's keys from another server first.")
@json_option
@dry_run_option
@front_end
def init(context: Context, pool: Pool | None, source: str | None, *, as_json: bool, dry_run: bool) -> None:
    """Create the zone's keys and this server's hub key; what exists is never overwritten."""
    with expected_errors():
        if source is not None and _bring(context, source, as_json=as_json, dry_run=dry_run):
            return
        planned = setup.plan(context, pool)
        lines = planned.lines()
        if not dry_run:
            setup.carry_out(context, planned)
            ssh_client.include(context.paths.one_var, context.paths)
            office.publish(context, Book.of(context.oned))
    if as_json:
        echo_json({"pool": str(planned.pool), "server": planned.server, "steps": lines, "done": not dry_run})
        return
    for line in lines or ["nothing to do: keys and records are there"]:
        click.echo(f"would {line}" if dry_run and lines else line)
    if not context.settings.edge.enabled:
        click.echo("`edge: enabled:` is false in onext.yaml: this server answers no node", err=True)
    if lines and not dry_run:
        click.echo(f"Back up {Secrets.of(context.paths).folder}: without its keys all nodes must join anew.")


def _bring(context: Context, name: str, *, as_json: bool, dry_run: bool) -> bool:
    """Bring the zone's keys from another server; return whether that was only shown."""
    server = setup.source(context, name)
    if not dry_run:
        setup.bring(context, server)
        return False
    line = f"bring the zone's keys from {server.name}"
    if as_json:
        echo_json({"steps": [line], "done": False})
    else:
        click.echo(f"would {line}, then what `onext edge init` does")
    return True


@edge.command("token")
@click.option("--cluster", required=True, help="Cluster, by id or name.")
@click.option("--ttl", default="1h", show_default=True, callback=_ttl, help="How long it is valid: 30m, 2d.")
@click.option(
    "--name", "pattern", default="*", show_default=True, help="Host names allowed: edge-1, 'edge-*'."
)
@click.option(
    "--uses", default=1, show_default=True, type=click.IntRange(1, MOST_USES), help="Nodes that may join."
)
@json_option
@dry_run_option
@front_end
def token(
    context: Context, cluster: str, ttl: timedelta, pattern: str, uses: int, *, as_json: bool, dry_run: bool
) -> None:
    """Print a join token: one word, a secret until it is used."""
    if not PATTERN.fullmatch(pattern):
        raise click.BadParameter("letters, digits, dots, dashes, * and ?", param_hint="--name")
    number = find(context.oned.clusters(), cluster, "cluster").id
    now = time.time()
    made = Token(number, pattern.lower(), int(now), int(now + ttl.total_seconds()), uses)
    with expected_errors():
        book = Book.of(context.oned)
        view = book.view()
        zone, entries = office.zone_of(view), [server for _, server in sorted(view.front_ends.items())]
        if dry_run:
            _would_make(made, as_json=as_json)
            return
        identifier = _record(book, made)
        text = minting.word(Secrets.of(context.paths), zone, entries, identifier, made)
    if as_json:
        expires = _stamp(made.expires)
        echo_json({"id": identifier, "token": text, "expires": expires, "public_key": zone.token_key})
    else:
        click.echo(text)


def _would_make(token: Token, *, as_json: bool) -> None:
    expires = _stamp(token.expires)
    if as_json:
        echo_json({"cluster": token.cluster, "names": token.pattern, "uses": token.uses, "expires": expires})
    else:
        click.echo(f"would make a token for cluster {token.cluster}, {token.pattern}, until {expires}")


def _record(book: Book, made: Token) -> int:
    """Write a token's record under a free number; another command may take the same one."""
    for _ in range(_TRIES):
        number = max(book.tokens.all(), default=0) + 1
        try:
            return book.tokens.put(number, made, None).number
        except Conflict:
            continue
    raise click.ClickException("other commands make tokens at the same time: try again")


@edge.command("list")
@click.option("--tokens", is_flag=True, help="List join tokens instead.")
@json_option
@front_end
def list_(context: Context, *, tokens: bool, as_json: bool) -> None:
    """List the nodes and their states."""
    with expected_errors():
        book = Book.of(context.oned)
        if tokens:
            rows = [_token_row(n, s.value, s.problem) for n, s in sorted(book.tokens.all().items())]
            show(rows, ("id", "cluster", "names", "used", "uses", "expires", "state"), as_json=as_json)
            return
        view = book.view()
        zone = office.zone_of(view)
        over = whereabouts.ways(whereabouts.place(context.paths))
        listed = [_node_row(zone, n, s.value, s.problem, over) for n, s in sorted(view.nodes.items())]
    columns = ("id", "name", "state", "cluster", "host", "address", "over", "joined", "problem")
    show(listed, columns, as_json=as_json)


def _node_row(zone: Zone, number: int, node: Node | None, problem: str, over: Mapping[str, str]) -> Row:
    if node is None:
        return {"id": number, "state": "invalid", "problem": problem}
    return {
        "id": number,
        "name": node.name,
        "state": node.state.value,
        "cluster": node.cluster,
        "host": node.host if node.host >= 0 else None,
        "address": str(node_address(zone.pool, number)),
        "over": over.get(node.wireguard, "") if node.state.peer else "",
        "joined": _stamp(node.joined),
        "problem": "",
    }


def _token_row(number: int, token: Token | None, problem: str) -> Row:
    if token is None:
        return {"id": number, "state": f"invalid: {problem}"}
    expired = time.time() > token.expires
    state = "revoked" if token.revoked else "expired" if expired else "valid"
    return {
        "id": number,
        "cluster": token.cluster,
        "names": token.pattern,
        "used": len(token.used),
        "uses": token.uses,
        "expires": _stamp(token.expires),
        "state": "used up" if state == "valid" and len(token.used) >= token.uses else state,
    }


@edge.command("show")
@click.argument("node")
@json_option
@front_end
def show_(context: Context, node: str, *, as_json: bool) -> None:
    """Show NODE (id or name) with its public keys."""
    with expected_errors():
        view = Book.of(context.oned).view()
        zone = office.zone_of(view)
    number = _number(view.valid, node)
    found = view.valid[number]
    row = {
        **_node_row(zone, number, found, "", whereabouts.ways(whereabouts.place(context.paths))),
        "token": found.token,
        "identity": found.identity,
        "wireguard": found.wireguard,
        "ssh_key": found.ssh_key,
        "revoked_keys": list(found.revoked_keys),
    }
    if as_json:
        echo_json(row)
        return
    for key, value in row.items():
        click.echo(f"{key:13} {value}")


def _number(nodes: Mapping[int, Node], text: str) -> int:
    """Return the number of the node that a person names; of several with one name, the one that is a peer."""
    if text.isascii() and text.isdecimal() and int(text) in nodes:
        return int(text)
    same = [number for number, node in nodes.items() if node.name == text.lower()]
    peers = [number for number in same if nodes[number].state.peer]
    if not same:
        raise click.UsageError(f"no node {text}: `onext edge list` lists them")
    return (peers or same)[-1]


@edge.command("revoke")
@click.argument("what")
@click.option("--token", "is_token", is_flag=True, help="WHAT is the id of a join token.")
@json_option
@dry_run_option
@front_end
def revoke(context: Context, what: str, *, is_token: bool, as_json: bool, dry_run: bool) -> None:
    """Cut off a node (id or name), or make a join token worthless. A node's host is disabled, not removed."""
    with expected_errors():
        book = Book.of(context.oned)
        act, text = _token_revocation(book, what) if is_token else _node_revocation(context, book, what)
        if not dry_run:
            act()
    failed = [] if dry_run or is_token else _publish_elsewhere(context)
    if as_json:
        echo_json({"revoked": text, "done": not dry_run, "failed_servers": failed})
    else:
        click.echo(f"would revoke {text}" if dry_run else f"revoked: {text}")
        for line in failed:
            click.echo(f"not yet on {line}: its worker does it within a minute", err=True)


def _token_revocation(book: Book, what: str) -> tuple[Callable[[], object], str]:
    stored = book.tokens.get(int(what)) if what.isascii() and what.isdecimal() and len(what) < 9 else None
    if stored is None or stored.value is None:
        raise click.UsageError(f"no token {what}: `onext edge list --tokens` lists them")
    value = Token(**{**stored.value.__dict__, "revoked": True})
    return (lambda: book.tokens.put(stored.number, value, stored.version)), f"token {what}"


def _node_revocation(context: Context, book: Book, what: str) -> tuple[Callable[[], object], str]:
    nodes = book.view().valid
    number = _number(nodes, what)
    return (lambda: office.revoke(context, book, number)), f"node {nodes[number].name} ({number})"


def _publish_elsewhere(context: Context) -> list[str]:
    """Let the zone's other servers follow at once; return those that did not."""
    others = servers.others(context.oned, context.oned.document("system.config"))
    answers = [servers.ask(server, context.paths, ["edge", "publish"], timeout=5) for server in others]
    return [f"{answer.server.name}: {answer.text}" for answer in answers if not answer.done]


edge.add_command(rotate)
edge.add_command(reset)


@edge.command("program")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=Path("onext-edge.pyz"))
def program(file: Path) -> None:
    """Write the node program, one FILE for every node; copy it there by a way that you trust."""
    from edge import build

    try:
        build.write(str(file))
    except OSError as error:
        hint = ": name a place where oneadmin may write, such as /tmp/onext-edge.pyz"
        denied = isinstance(error, PermissionError)
        raise click.ClickException(f"{file}: {error.strerror}{hint if denied else ''}") from None
    click.echo(f"{file}: sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}")


@edge.command("publish", hidden=True)
@front_end
def publish(context: Context) -> None:
    """Let this server's hub and ssh follow the records now; other servers call it over ssh."""
    with expected_errors():
        office.publish(context, Book.of(context.oned))


@edge.command("keys", hidden=True)
@front_end
def keys(context: Context) -> None:
    """Print the zone's private keys for `init --from` on another server, over ssh as oneadmin."""
    with expected_errors():
        if Book.of(context.oned).zones.get(ZONE) is None:
            raise NotReady("run `onext edge init` first")
        echo_json(Secrets.of(context.paths).exported())


def _stamp(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

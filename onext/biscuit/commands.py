"""`onext biscuit`: keys, tokens and login; on a front-end also revocation and checks."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
from biscuit_auth import Biscuit, PrivateKey

from onext.biscuit import keys, login, policy, revocation, scoped, token_description, tokens
from onext.biscuit.errors import BiscuitError
from onext.biscuit.front_end import check, revoke
from onext.log import escape
from onext.options import Group, dry_run_option

_GIVEN = "The driver gives its checks the time and the user, but no operation or resource."


class _Ttl(click.ParamType[timedelta]):
    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return tokens.duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _private_key_file() -> str:
    return str(Path.home() / ".one/biscuit.key")


_key = click.option(
    "--key", "key_file", type=click.Path(path_type=Path), envvar="ONEXT_BISCUIT_KEY",
    show_default="~/.one/biscuit.key",
    default=_private_key_file, help="The private key's file.",
)  # fmt: skip
_ttl = click.option(
    "--ttl", type=_Ttl(), default="1h", show_default=True, help="How long the token is valid: 30m, 8h, 2d."
)
_block = click.option("--block", "blocks", multiple=True, help="A further restriction, such as 'check if …'.")
_public = click.option("--key", "public", help="The public key: hex, or a file with a public or private key.")
_token = click.argument("token", required=False, metavar="[FILE|-]")


@click.group(cls=Group)
def biscuit() -> None:
    """Create, verify and revoke tokens that replace passwords.

    A token is read from FILE, from standard input (-), or from ONE_AUTH's file.
    """


biscuit.add_command(revoke)
biscuit.add_command(check)


@biscuit.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_private_key_file,
    show_default="~/.one/biscuit.key",
    help="File for the private key.",
)
@click.option(
    "--algorithm",
    type=click.Choice([keys.ED25519, keys.SECP256R1]),
    default=keys.ED25519,
    show_default=True,
    help="Signature algorithm of the key.",
)
@click.option(
    "--format", "form", type=click.Choice(keys.FORMS), default="hex", show_default=True,
    help="hex: the biscuit CLI 0.6; bare: hex for 0.4 and 0.5; pem: 0.6 and openssl.",
)  # fmt: skip
@dry_run_option
def keygen(out: Path, algorithm: str, form: str, *, dry_run: bool) -> None:
    """Create a private key (mode 600); print the public key for the administrator."""
    if dry_run:
        keys.require_free(out)
        click.echo(f"would write a private key ({algorithm}, {form}) to {out}")
        return
    private = keys.generate(algorithm)
    keys.write_private(out, keys.text(private, form))
    public = keys.stored(keys.public_of(private))
    click.echo(f"Private key: {out} (keep it secret)\nPublic key:  {public}")
    click.echo(f"\nThe administrator creates the user with\n  oneuser create NAME {public} --driver biscuit")
    click.echo("and then you log in with\n  onext biscuit login NAME")


@biscuit.command()
@click.option("--user", required=True, help="The user who may log in with the token.")
@_key
@_ttl
@_block
def token(user: str, key_file: Path, ttl: timedelta, blocks: tuple[str, ...]) -> None:
    """Print a token for a user."""
    made = tokens.mint(_private(key_file), user, _now() + ttl, blocks)
    _warn_of_refusal(made, user)
    click.echo(made.to_base64())


@biscuit.command()
@_token
@click.option("--key", "public", required=True, help="The public key that signed it: hex, or a file.")
@click.option("--ttl", type=_Ttl(), help="Let it expire earlier: in 30m, 8h, 2d.")
@_block
@click.option("--operation", "operations", multiple=True, help="Permit only this, such as vm:info.")
@click.option("--vm", "vms", multiple=True, type=click.IntRange(0), help="… and only on this VM.")
@click.option("--resource", "resources", multiple=True, help="… and on this: host:3, or vmpool for a pool.")
@click.option("--gateway", help="The gateway's public key, hex or a file: needed with --operation.")
def attenuate(
    token: str | None,
    public: str,
    ttl: timedelta | None,
    blocks: tuple[str, ...],
    operations: tuple[str, ...],
    vms: tuple[int, ...],
    resources: tuple[str, ...],
    gateway: str | None,
) -> None:
    """Print a narrower token: added blocks can only restrict.

    With --operation the token is accepted by a gateway only, for these operations on these objects.
    """
    if operations or vms or resources:
        blocks = (*blocks, _scope(operations, [*(f"vm:{vm}" for vm in vms), *resources], gateway))
    if ttl is None and not blocks:
        raise click.UsageError("name a restriction: --ttl 10m, --operation vm:info, --block 'check if …'")
    text = tokens.written(token)
    given = tokens.verified(tokens.normal(text), keys.read_public(public))
    expires = None if ttl is None else _now() + ttl
    made = tokens.attenuate(given, expires, blocks)
    join = tokens.join_word(text, made)
    if join is not None:
        click.echo(join)
        return
    if operations:
        click.echo(
            "this token is accepted by the gateway of that key only, not by OpenNebula itself", err=True
        )
    else:
        described = token_description.read(tokens.unverified(made.to_base64()))
        _warn_of_refusal(made, next(iter(described.users), ""))
    click.echo(made.to_base64())


def _scope(operations: Sequence[str], resources: Sequence[str], gateway: str | None) -> str:
    """Return the block of a scoped token; raise UsageError or a BiscuitError."""
    if gateway is None:
        raise click.UsageError("--operation needs --gateway, the public key of the gateway that vouches")
    (key,) = keys.read_public(gateway)
    return scoped.check(operations, resources, key)


@biscuit.command()
@_token
@_public
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def inspect(token: str | None, public: str | None, *, as_json: bool) -> None:
    """Print the content of a token. Without --key its signature is not checked."""
    text = tokens.read(token)
    if public:
        tokens.verified(text, keys.read_public(public))
    shown = token_description.read(tokens.unverified(text))
    if as_json:
        click.echo(json.dumps(_as_json(shown, signed=bool(public)), indent=2))
    else:
        click.echo("\n".join(_in_words(shown, signed=bool(public))))


@biscuit.command()
@_token
@click.option("--user", required=True, help="The user who would log in.")
@click.option(
    "--key", "public", required=True, help="The public key that is stored for the user: hex, or a file."
)
@click.option(
    "--revoked", type=click.Path(path_type=Path, exists=True), help="A revocation list to check against."
)
def verify(token: str | None, user: str, public: str, revoked: Path | None) -> None:
    """Report whether the driver would accept this login now, or which rule refuses it. Exit code 0 or 1."""
    text = tokens.read(token)
    given = tokens.verified(text, keys.read_public(public))
    policy.check(given, user, revocation.read(revoked) if revoked else ())
    expires = token_description.read(tokens.unverified(text)).expires
    click.echo(f"{escape(user)} can log in: {token_description.left(expires, _now())}")


@biscuit.command("login")
@click.argument("user", required=False)
@_key
@_ttl
@_block
@click.option("--print", "separate", is_flag=True, help="Do not change one_auth; print `export ONE_AUTH=…`.")
@click.option("--renew", is_flag=True, help="For timers: replace only a token of this key.")
@click.option("--force", is_flag=True, help="Replace another login without a question (a copy is kept).")
@dry_run_option
def log_in(
    user: str | None,
    key_file: Path,
    ttl: timedelta,
    blocks: tuple[str, ...],
    *,
    separate: bool,
    renew: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Write a new token to the file that oneuser, onevm and pyone read."""
    private = _private(key_file)
    path = tokens.one_auth()
    public = keys.public_of(private)
    if renew:
        user = login.renewed_user(path, user, public)
    user = user or login.signed_user(path, public) or getpass.getuser()
    expires = _now() + ttl
    made = tokens.mint(private, user, expires, blocks)
    _warn_of_refusal(made, user)
    text = made.to_base64()
    if separate:
        path = login.separate_file(user)
    if dry_run:
        lost = None if separate or renew else login.needs_consent(path, user, public)
        click.echo(f"would write a token for {escape(user)} to {path}{f'; {lost}' if lost else ''}")
        return
    if not separate and not renew:
        _consent(path, login.needs_consent(path, user, public), force=force)
    login.write(path, user, text)
    if separate:
        click.echo(f"export ONE_AUTH={shlex.quote(str(path))}")
    else:
        click.echo(
            f"{escape(user)}: token until {token_description.stamp(expires)} in {path}; try `oneuser show`"
        )


def _consent(path: Path, lost: str | None, *, force: bool) -> None:
    if lost is None:
        return
    if not force and not (sys.stdin.isatty() and click.confirm(f"{lost}. Replace it?")):
        raise BiscuitError(f"{lost}: nothing was written; use --force, --print, or another ONE_AUTH")
    click.echo(f"the previous file is now {login.keep(path)}")


def _warn_of_refusal(made: Biscuit, user: str) -> None:
    """Warn when the driver would refuse this token: the driver never learns the operation."""
    if rule := policy.refusal(made, user):
        click.echo(f"warning: OpenNebula will refuse this token: {rule}. {_GIVEN}", err=True)


def _private(path: Path) -> PrivateKey:
    private = keys.read_private(path)
    if keys.others_can_read(path):
        click.echo(
            f"warning: other users can read {path}: chmod 600 {shlex.quote(os.fspath(path))}", err=True
        )
    return private


def _in_words(shown: token_description.Token, *, signed: bool) -> Iterator[str]:
    whom = escape(", ".join(shown.users)) or "no user"
    signature = "signature good" if signed else "signature not checked (give --key)"
    yield f"Token for {whom}; {token_description.left(shown.expires, _now())}; {signature}"
    for block in shown.blocks:
        yield f"\nBlock {block.number} ({block.title})"
        yield from (f"  {escape(statement)}" for statement in block.statements)
        if block.expires:
            yield f"  ends           {token_description.stamp(block.expires)}"
        yield f"  revocation id  {block.revocation_id}"


def _as_json(shown: token_description.Token, *, signed: bool) -> dict[str, object]:
    blocks = [
        {
            "block": block.number,
            "statements": block.statements,
            "expires": block.expires and block.expires.isoformat(),
            "revocation_id": block.revocation_id,
        }
        for block in shown.blocks
    ]
    expires = shown.expires and shown.expires.isoformat()
    return {"users": shown.users, "expires": expires, "signature_checked": signed, "blocks": blocks}


def _now() -> datetime:
    return datetime.now(timezone.utc)

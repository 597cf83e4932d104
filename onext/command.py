"""What the commands of all parts share: the front-end they work on, the objects they name, their options."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from typing import Any, Protocol, TypeVar

import click

from onext.oned.release import lack, older
from onext.options import dry_run_option as dry_run_option  # noqa: PLC0414 - parts import it from here
from onext.part import Context
from onext.table import WIDE, dumps

PATIENCE = 10.0  # seconds for one call to oned while a person waits, unless the settings give them
_given = click.make_pass_decorator(Context, ensure=True)


class Named(Protocol):
    """A host, cluster or VM."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name."""


Object = TypeVar("Object", bound=Named)


def front_end(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the front-end that it works on, with patience for a person who waits.

    The account is given up before, in onext.cli.main.
    """

    @wraps(command)
    def patient(context: Context, *words: object, **options: object) -> object:
        return command(replace(context, patience=PATIENCE), *words, **options)

    return _given(patient)


def find(objects: Iterable[Object], text: str, kind: str) -> Object:
    """Return the one object that a person names by id or name; raise UsageError with what there is.

    Every command finds hosts and clusters this way. A number is an id; a name that several bear is refused.
    """
    known = list(objects)
    if text.isascii() and text.isdecimal() and len(text) < 10:
        same = [item for item in known if item.id == int(text)]
    else:
        same = [item for item in known if item.name == text]
    if len(same) == 1:
        return same[0]
    if same:
        ids = ", ".join(str(item.id) for item in same)
        raise click.UsageError(f"{kind} {text}: several have this name, use an id: {ids}")
    some = ", ".join(f"{item.id} {item.name}" for item in sorted(known, key=lambda item: item.id)[:10])
    more = ", …" if len(known) > 10 else ""
    raise click.UsageError(f"{kind} {text}: not found; there are: {some or 'none'}{more}")


def explain_lack(context: Context, since: tuple[int, int], what: str, without: str) -> None:
    """Print one line where the running OpenNebula is older than `since`; raise an OnedError.

    `what` needs that release; `without` states what happens on an older one.
    """
    version = context.oned.version()
    if older(version, since):
        click.echo(lack(version, since, what, without), err=True)


def echo_json(document: object) -> None:
    """Print a document for scripts."""
    click.echo(dumps(document))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command that prints a table `--json`, and `--wide`, which onext.table heeds."""
    wide = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=_wide,
        help="Do not fit the table to the terminal.",
    )
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(wide(command))


def _wide(context: click.Context, _parameter: click.Parameter, chosen: bool) -> None:  # noqa: FBT001
    context.meta[WIDE] = chosen

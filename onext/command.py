"""What the commands of all parts share: the front-end they work on, and the ways to say things."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from onext.account import become_owner
from onext.part import Context

_given = click.make_pass_decorator(Context, ensure=True)


def front_end(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the front-end that it works on, as OpenNebula's own user where root calls it.

    Root's files in the spool could not be read by the worker, and other hosts know oneadmin's key.
    """

    @wraps(command)
    def as_owner(context: Context, *words: object, **options: object) -> object:
        become_owner(context.paths.var)
        return command(context, *words, **options)

    return _given(as_owner)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")

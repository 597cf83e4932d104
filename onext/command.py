"""What the commands of all parts share: the front-end they work on, and the ways to say things."""

from __future__ import annotations

import click

from onext.part import Context

front_end = click.make_pass_decorator(Context, ensure=True)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")

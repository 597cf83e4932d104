"""The group itself, and which commands it has."""

from __future__ import annotations

import click

from hooks.power.commands import acting, reporting, seeing, studying


@click.group("power")
def power() -> None:
    """Pack VMs, switch off hosts that are not needed, and have them back before they are missed."""


for command in (
    seeing.plan,
    seeing.status,
    seeing.check,
    acting.run_round,
    acting.set_policy,
    acting.switch_off,
    acting.switch_on,
    acting.enroll,
    acting.fence_host,
    studying.simulate,
    studying.advise,
    reporting.report,
):
    power.add_command(command)

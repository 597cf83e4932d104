"""The group itself, and which commands it has."""

from __future__ import annotations

import click

from hooks.power.commands import asleep, bmc, orders, report, show, simulation
from onext.options import Group


@click.group("power", cls=Group)
def power() -> None:
    """Pack VMs, switch off hosts that are not needed, and have them back before they are missed."""


for command in (
    show.plan,
    show.status,
    show.check,
    orders.run_round,
    orders.set_policy,
    orders.switch_off,
    orders.switch_on,
    orders.enroll,
    asleep.asleep,
    asleep.wake,
    orders.fence_host,
    simulation.simulate,
    simulation.advise,
    report.report,
    bmc.bmc,
):
    power.add_command(command)

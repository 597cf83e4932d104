"""The table of the event path: one registration for each state, and every part gets what concerns it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onext import events
from onext.worker.registry import PARTS

HOOKS = Path(__file__).parents[2] / "hooks"


def test_the_registrations_are_those_of_the_table() -> None:
    """A state that was added to the table and not to hooks/ would never be registered at oned."""
    wanted = {f"{state.name}.hook": events.template(state) for state in events.registered(events.INTERESTS)}
    assert {file.name: file.read_text() for file in HOOKS.glob("*.hook")} == wanted


def test_one_registration_for_each_state() -> None:
    """Two hooks of one state take two of oned's ten slots for each event."""
    states = [(s.resource, s.state, s.lcm) for s in events.STATES.values()]
    assert len(states) == len(set(states))


def test_the_table_knows_every_part_and_only_states() -> None:
    """A part that is missing hears of changes once a minute only; a misspelt state never."""
    assert set(events.INTERESTS) <= set(PARTS)
    assert {name for names in events.INTERESTS.values() for name in names} <= set(events.STATES)


@pytest.mark.parametrize(
    ("resource", "state", "lcm", "parts"),
    [
        ("host", 2, 0, {"geolocation", "targets", "power"}),
        ("host", 0, 0, {"targets"}),
        ("vm", 3, 3, {"targets", "power"}),
        ("vm", 3, 16, {"targets"}),
        ("vm", 6, 0, {"targets", "power"}),
        ("vm", 99, 0, {"targets", "power"}),
        ("vm", events.ANY, 0, {"targets", "power"}),
        ("call", events.ANY, 0, set()),
    ],
)
def test_an_event_goes_to_the_parts_that_it_concerns(
    resource: str, state: int, lcm: int, parts: set[str]
) -> None:
    """A part that is left out would act on what was; one too many costs a pass for nothing."""
    found = set(events.parts(resource, state, lcm)) & {"geolocation", "targets", "power"}
    assert found == parts


def test_a_part_that_is_not_installed_registers_nothing() -> None:
    """With geolocation alone, no VM event should start a process."""
    assert [state.name for state in events.registered(["geolocation"])] == ["host-monitored"]

"""Alarms of an incident: each kind of reason is reported once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hooks.availability.model import Incident
from hooks.availability.steps import Alarm, Step

MOST_ALARMS = 500  # a record is a document of at most 64 KiB, compressed


def alarm_once(incident: Incident, reason: str) -> list[Step]:
    """Return an alarm unless the incident had one of the same kind."""
    known = {kind_of(text) for text in incident.alarms}
    return [] if kind_of(reason) in known else [Alarm(incident.host, reason)]


def kind_of(reason: str) -> str:
    """Return a reason without its figures, which change from round to round."""
    return "".join(char for char in reason if not char.isdigit())


def reported(incident: Incident, steps: Sequence[Step]) -> Incident:
    """Return the incident with the alarms of these steps noted."""
    keys = [step.key or step.text for step in steps if isinstance(step, Alarm)]
    return replace(incident, alarms=(*incident.alarms, *keys)[-MOST_ALARMS:])

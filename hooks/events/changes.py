"""What changed between two states of the cloud. The difference is authoritative, hooks only trigger it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from hooks.events.facts import Facts, Object

PREFIX = "io.opennebula.onext"  # of CloudEvents types


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an object: its facts, the id of the last event about it, whether that was its end."""

    facts: Facts
    event: str = ""
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One event to be: `id` is a function of the object's history, `late` marks a missed change."""

    id: str
    type: str
    object: Object
    facts: Facts
    before: Facts = field(default_factory=dict)
    late: bool = False


_NEVER = Known({}, gone=True)


def difference(
    before: Mapping[Object, Known],
    after: Mapping[Object, Facts],
    *,
    unknown: Collection[Object] = (),
    late: bool = False,
) -> Iterator[Change]:
    """Yield a change for each object that is new, differs, or is gone, in the order of their ids.

    Of `unknown` objects nothing could be read now: they are not gone.
    """
    for thing in sorted(before.keys() | after.keys()):
        known, now = before.get(thing, _NEVER), after.get(thing)
        if now is not None and known.gone:
            yield _change(thing, "created", now, Known({}, known.event), late=late)
        elif now is not None and known.facts != now:
            yield _change(thing, _verb(known.facts, now), now, known, late=late)
        elif now is None and not known.gone and thing not in unknown:
            yield _change(thing, "deleted", known.facts, known, late=late)


def _verb(before: Facts, after: Facts) -> str:
    """Name what matters most of a change: placement, then state, then anything else."""
    address = before.get("address")  # of an edge node: at first it has none
    if before.get("host") != after.get("host") or (address and address != after.get("address")):
        return "moved"
    if (before.get("state"), before.get("lcm_state")) != (after.get("state"), after.get("lcm_state")):
        return "state"
    return "renewed" if before.get("certified") != after.get("certified") else "updated"


def _change(thing: Object, verb: str, facts: Facts, known: Known, *, late: bool) -> Change:
    kind = f"{PREFIX}.{thing.kind}.{verb}"
    return Change(identity(thing, verb, facts, known.event), kind, thing, facts, _changed(known, facts), late)


def _changed(known: Known, facts: Facts) -> Facts:
    return {key: value for key, value in known.facts.items() if facts.get(key) != value}


def identity(thing: Object, verb: str, facts: Facts, previous: str) -> str:
    """Return the id of an event: a hash of object, what happened, facts and the object's event before it.

    The chain makes two equal changes at different times differ, without any counter or clock.
    """
    text = json.dumps([str(thing), verb, facts, previous], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]

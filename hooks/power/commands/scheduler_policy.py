"""How new VMs are placed, and what it takes that the scheduler packs them: a diff of its real file.

Both schedulers read their file afresh at each placement, so a change counts at once; each has one policy for
all clusters. Format and meaning: OpenNebula 7.0's schedulers/rank.conf and schedulers/one_drs.conf.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

FOLDER = "schedulers"
EXCEPTION = ", and a VM with a SCHED_RANK of its own is placed by that"
STRIPING = "1"  # the default of rank
POLICIES = {
    "0": "packing",
    STRIPING: "striping (spread over hosts)",
    "2": "load-aware (the least busy host)",
    "3": "custom (its RANK)",
    "4": "fixed (PRIORITY of hosts and clusters)",
}
_VECTOR = re.compile(r"^[ \t]*DEFAULT_SCHED\s*=\s*\[(?P<inside>[^\]]*)\]", re.MULTILINE | re.IGNORECASE)
_POLICY = re.compile(r'(?P<key>\bPOLICY\s*=\s*"?)(?P<value>\w+)', re.IGNORECASE)
_PLACE = re.compile(r"^PLACE:[ \t]*(?:#.*)?\n(?P<inside>(?:[ \t]+.*\n?|[ \t]*(?:#.*)?\n)*)", re.MULTILINE)
_CHOICE = re.compile(r"""(?P<key>^[ \t]+POLICY:[ \t]*["']?)(?P<value>\w+)""", re.MULTILINE)


@dataclass(frozen=True)
class Policy:
    """What a scheduler's file chooses, in its own words and for people, and its text if it packed."""

    value: str
    meaning: str
    packing: str


def scheduler(arguments: str) -> str:
    """Return who places new VMs by the ARGUMENTS of oned's SCHED_MAD: `-t 15 -p rank -o one_drs`."""
    found = re.search(r"(?:^|\s)(?:-p|--placer)[\s=]*(\S+)", arguments)
    return found[1] if found else "rank"


def rank(text: str) -> Policy:
    """Read rank.conf; the first DEFAULT_SCHED outside comments counts."""
    vector = _VECTOR.search(text)
    found = _POLICY.search(vector["inside"]) if vector else None
    if vector is None or found is None:
        return Policy("", POLICIES[STRIPING], f"{text.rstrip()}\n\nDEFAULT_SCHED = [\n   POLICY = 0\n]\n")
    start = vector.start("inside") + found.start("value")
    meaning = POLICIES.get(found["value"], "unknown")
    return Policy(found["value"], meaning, _replaced(text, start, found["value"], "0"))


def one_drs(text: str) -> Policy:
    """Read one_drs.conf, which is YAML: POLICY below PLACE, BALANCE by default."""
    place = _PLACE.search(text)
    found = _CHOICE.search(place["inside"]) if place else None
    if place is None:
        return Policy("", "BALANCE", f'{text.rstrip()}\nPLACE:\n  POLICY: "PACK"\n')
    if found is None:
        at = place.start("inside")
        return Policy("", "BALANCE", f'{text[:at]}  POLICY: "PACK"\n{text[at:]}')
    start = place.start("inside") + found.start("value")
    return Policy(found["value"], found["value"], _replaced(text, start, found["value"], "PACK"))


def _replaced(text: str, start: int, old: str, new: str) -> str:
    return text[:start] + new + text[start + len(old) :]


READERS: Mapping[str, tuple[Callable[[str], Policy], str]] = {
    "rank": (rank, "0"),
    "one_drs": (one_drs, "PACK"),
}


def placement(arguments: str, etc: Path, clusters: Mapping[str, int]) -> Iterator[str]:
    """Show which scheduler places new VMs, and how; where it does not pack, the change that is needed.

    `etc` is OpenNebula's folder of settings, `clusters` all clusters by name with their number of hosts.
    """
    name = scheduler(arguments)
    if name not in READERS:
        yield f"new VMs are placed by {name}: see its own documentation for how to make it pack"
        return
    file = etc / FOLDER / f"{name}.conf"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        yield f"new VMs are placed by {name}; its policy is not known: {file}: {reason}"
        return
    reader, packs = READERS[name]
    policy = reader(text)
    yield f"new VMs are placed by {name}, policy {policy.meaning}, by {file}"
    if policy.value.upper() == packs:
        return
    yield "it works against packing: VMs are put where hosts could become empty. To pack, apply this"
    diff = unified_diff(text.splitlines(), policy.packing.splitlines(), str(file), str(file), "", "", 2, "")
    yield from (f"  {line}" for line in diff)
    yield f"it counts from the next placement on, without a restart, for all clusters: {_named(clusters)};"
    yield f"running VMs stay where they are{EXCEPTION if name == 'rank' else ''}"


def _named(clusters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({hosts} hosts)" for name, hosts in clusters.items()) or "none yet"

"""Many BMCs at once, or one: the parent's side of the child process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from hooks.power.bmc.credentials import Entry
from hooks.power.model import Bmc
from onext import process

GRACE = 3.0  # seconds that the child may take beyond its own deadline, its start included
MOST_OUTPUT = 4 << 20


@dataclass(frozen=True)
class Answer:
    """What a BMC said; `error` is empty when it answered as it should. No answer is SILENT, never OFF."""

    state: Bmc
    identity: str = ""
    watts: float | None = None
    error: str = ""


SILENCE = Answer(Bmc.SILENT, error="no answer in time")


def query(entries: Mapping[int, Entry], deadline: float, *, watts: bool = False) -> dict[int, Answer]:
    """Ask all BMCs for power and identity within `deadline` seconds; every one gets an Answer."""
    what = "watts" if watts else "query"
    return _ask([{**entry.job(), "id": host, "what": what} for host, entry in entries.items()], deadline)


def switch(entry: Entry, what: str, identity: str, deadline: float) -> Answer:
    """Ask one BMC for `on`, `off-soft` or `off-hard`, only if it is the machine with this identity.

    The state in the answer was read right after: most machines take longer.
    """
    return _ask([{**entry.job(), "id": 0, "what": what, "identity": identity}], deadline)[0]


def _ask(jobs: list[dict[str, object]], deadline: float) -> dict[int, Answer]:
    answers = {int(str(job["id"])): SILENCE for job in jobs}
    if not jobs:
        return {}
    order = json.dumps({"jobs": jobs, "deadline": deadline}).encode()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = process.run(
            [sys.executable, "-m", "hooks.power.bmc.child"],
            timeout=deadline + GRACE,
            input=order,
            max_output=MOST_OUTPUT,
            env=environment,
        )
    except process.CommandError as error:
        failed = Answer(Bmc.SILENT, error=f"the child that asks BMCs failed: {error}"[:300])
        return dict.fromkeys(answers, failed)
    for line in done.stdout.splitlines():
        number, answer = _read(line)
        answers[number] = answer
    return answers


def _read(line: bytes) -> tuple[int, Answer]:
    said = json.loads(line)
    states = {"on": Bmc.ON, "off": Bmc.OFF}
    state = Bmc.SILENT if said.get("error") else states.get(said.get("power", ""), Bmc.SILENT)
    return said["id"], Answer(state, said.get("identity", ""), said.get("watts"), said.get("error", ""))

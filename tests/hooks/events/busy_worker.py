"""A process that commits changes and serves one sink, for tests that kill it: the worker's own code.

Arguments: the outbox, the sink's settings as JSON, how many events to commit in all, the least seconds between
two commits. Time for retries runs a thousand times as fast. Prints `ready`, and `done` once every event was
committed and delivered.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path

from hooks.events.changes import difference
from hooks.events.epoch import Epoch
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox
from hooks.events.senders import Sender
from hooks.events.sinks.configured import build
from onext.settings.events import EventSink

OBJECTS = 200


def clock() -> float:
    """Return a time whose pauses are a thousandth as long."""
    return time.time() * 1000.0


def step(outbox: Outbox, chance: random.Random, changes: int) -> None:
    """Commit some changes of VMs: new ones, other states, ends."""
    known = outbox.known()
    after: dict[Object, Facts] = {one: state.facts for one, state in known.items() if not state.gone}
    for _ in range(changes):
        vm = Object("vm", chance.randrange(OBJECTS))
        if vm in after and chance.random() < 0.2:
            del after[vm]
        else:
            after[vm] = {"state": chance.choice(["ACTIVE", "POWEROFF"]), "cluster": 0, "n": chance.random()}
    outbox.append(difference(known, after), {"sink": lambda _: True}, time.time())


def main() -> None:
    """Run until every event was delivered."""
    file, settings, most, pause = (
        Path(sys.argv[1]),
        json.loads(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
    )
    outbox, chance = Outbox(file), random.Random()
    epoch = Epoch()
    epoch.number, epoch._until = 1, float("inf")
    halted = threading.Event()
    sender = Sender(build(EventSink(**settings), "/zone/0"), file, epoch, halted.is_set, clock, idle=0.05)
    sender.start()
    print("ready", flush=True)
    while outbox.newest() < most:
        step(outbox, chance, 20)
        sender.wake()
        time.sleep(pause)
    while (state := outbox.sink("sink")).lag:
        if state.stopped:
            outbox.resume("sink")  # what a person does
        sender.wake()
        time.sleep(0.05)
    print("done", flush=True)


if __name__ == "__main__":
    main()

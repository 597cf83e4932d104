"""A worker that is killed again and again while its broker fails: afterwards the receiver knows the cloud.

`python -m tests.hooks.events.kills` is the long run of `make soak`.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hooks.events.outbox import Outbox
from tests.hooks.events.brokers import MAKERS, Broker
from tests.hooks.events.receiver import receiver
from tests.hooks.events.receivers import READERS, Reader
from tests.hooks.events.replica import Replica
from tests.waiting import until

Fault = Callable[[random.Random], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    events: int
    kills: int
    duplicates: int
    seconds: float


def settings(folder: Path, kind: str, url: str) -> dict[str, object]:
    """Return the settings of a sink for an address."""
    (folder / "url").write_text(url)
    return {"name": "sink", "kind": kind, "url_file": str(folder / "url"), "private": True}


def killed(folder: Path, sink: dict[str, object], events: int, kills: int, fault: Fault, seed: int) -> None:
    """Run workers on one outbox; kill each but the last at a random point, and let the sink fail meanwhile."""
    chance, done = random.Random(seed), 0
    command = [sys.executable, "-m", "tests.hooks.events.busy_worker", str(folder / "events.db")]
    command += [json.dumps(sink), str(events), "0.01"]
    while True:
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        with worker.stdout:
            assert worker.stdout.readline() == "ready\n"
            if done == kills:
                assert worker.stdout.readline() == "done\n"
                worker.terminate()
                worker.wait()
                return
            time.sleep(chance.uniform(0.0, 0.4))
            fault(chance)
            time.sleep(chance.uniform(0.0, 0.2))
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        done += 1


def agree(folder: Path, replica: Replica, events: int) -> None:
    """Assert that the receiver knows what the outbox knows, and that it got every number."""
    outbox = Outbox(folder / "events.db")
    try:
        known = {str(one): dict(state.facts) for one, state in outbox.known().items() if not state.gone}
        last = outbox.sink("sink").last
    finally:
        outbox.close()
    assert last >= events
    assert replica.missing() == []
    assert max(replica.numbers) == last
    assert replica.objects == known


def through_broker(broker: Broker, folder: Path, events: int, kills: int, seed: int) -> Outcome:
    """Send to a broker that hangs and restarts; read it to its end."""
    began, replica = time.monotonic(), Replica()
    reader: Reader = READERS[broker.kind](broker)
    reader.prepare()

    def fault(chance: random.Random) -> None:
        if chance.random() < 0.3:
            broker.hang(chance.uniform(0.05, 0.4))

    try:
        killed(folder, settings(folder, broker.kind, broker.url), events, kills, fault, seed)
        while reader.drain(replica):  # as long as any come, however slowly
            pass
        until(lambda: reader.drain(replica) == 0 and max(replica.numbers, default=0) >= events, "every event")
        agree(folder, replica, events)
    finally:
        reader.close()
    return Outcome(len(replica.numbers), kills, replica.duplicates, time.monotonic() - began)


def through_http(folder: Path, events: int, kills: int, seed: int) -> Outcome:
    """Send to a receiver that answers 500, 429 and 410 at times."""
    began, replica = time.monotonic(), Replica()
    with receiver() as got:

        def fault(chance: random.Random) -> None:
            got.status = chance.choice([204, 204, 500, 429, 410, 301])
            time.sleep(chance.uniform(0.0, 0.2))
            got.status = 204

        killed(folder, settings(folder, "http", got.url), events, kills, fault, seed)
        for _, body in got.got:
            replica.take(body)
    agree(folder, replica, events)
    return Outcome(len(replica.numbers), kills, replica.duplicates, time.monotonic() - began)


def main(arguments: Sequence[str]) -> None:
    """Run the soak: 100,000 events and 200 kills for each sink, or the two numbers given, then the sinks."""
    events, kills = (int(arguments[0]), int(arguments[1])) if arguments else (100_000, 200)
    seed = time.time_ns() % 2**32
    print(f"{events} events, {kills} kills for each sink, seed {seed}")
    for kind in arguments[2:] or ("http", *MAKERS):
        with tempfile.TemporaryDirectory() as name, ExitStack() as at_end:
            folder = Path(name)
            if kind == "http":
                outcome = through_http(folder, events, kills, seed)
            else:
                broker = MAKERS[kind](folder)
                at_end.callback(broker.kill)
                broker.start()
                outcome = through_broker(broker, folder, events, kills, seed)
        print(
            f"{kind}: {outcome.events} events, {outcome.kills} kills, {outcome.duplicates} duplicates with equal"
            f" ids, {outcome.seconds:.0f} s; the receiver knows what the cloud is"
        )


if __name__ == "__main__":
    main(sys.argv[1:])

"""What events cost at 1,250 hosts and 10,000 VMs: the difference, a snapshot, 1,000 changes a second.

The floor of delivery is the same bodies, posted one after the other on a kept connection to the same receiver
in its own process, without an outbox. CPU is that of this process.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hooks.events import cloudevent, facts
from hooks.events.changes import difference
from hooks.events.epoch import Epoch
from hooks.events.outbox import Outbox
from hooks.events.senders import Sender
from hooks.events.sinks.http import HttpSink
from onext.cloud.model import Cluster, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.http import Http

HOSTS, VMS, CHANGES, SECONDS = 1250, 10_000, 1000, 10
_RECEIVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def cloud(step: int = 0, changed: int = 0) -> Cloud:
    """Return a cloud whose first VMs have another state after a step."""
    hosts = [Host(n, f"host{n}", 2, cluster_id=100 + n % 10, max_cpu=6400) for n in range(HOSTS)]
    vms = [
        Vm(n, f"vm{n}", state=3, lcm_state=3, stay=Stay(0, n % HOSTS, "h", 100, 0, "kvm", "ssh", 1.0, 0.0, 0))
        for n in range(VMS)
    ]
    vms[:changed] = [dataclasses.replace(vm, lcm_state=3 + step) for vm in vms[:changed]]
    return Cloud.of(hosts, vms, [Cluster(n, f"c{n}") for n in range(100, 110)])


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of a piece of work."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - used


def main() -> None:
    """Print one line for each figure."""
    receiver = subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder), f"http://127.0.0.1:{int(receiver.stdout.readline())}/events")
    finally:
        receiver.kill()
        receiver.wait()
        receiver.stdout.close()


def run(folder: Path, url: str) -> None:
    """Measure on one outbox."""
    outbox = Outbox(folder / "events.db")
    sinks = {"web": lambda _: True}
    before = cloud()
    outbox.append(difference({}, facts.facts(before)), sinks, 1.0)
    outbox.acknowledged("web", outbox.sink("web").last)
    same = measured(lambda: list(difference(outbox.known(), facts.facts(before))))
    print(f"difference, nothing changed           {same[0]:6.2f} s, {same[1]:.2f} s CPU (bound 1.5)")
    after = cloud(1, CHANGES)
    some = measured(lambda: outbox.append(difference(outbox.known(), facts.facts(after)), sinks, 2.0))
    print(f"difference and commit, {CHANGES} changed    {some[0]:6.2f} s, {some[1]:.2f} s CPU")
    floor = posted(outbox, url)
    print(f"floor: {CHANGES} bodies posted              {floor[0]:6.2f} s, {floor[1]:.2f} s CPU   1.00")
    sent = delivered(folder, outbox, url)
    print(
        f"the same through the outbox           {sent[0]:6.2f} s, {sent[1]:.2f} s CPU   {sent[0] / floor[0]:.2f}"
    )
    whole = measured(lambda: outbox.snapshot("web", lambda _: True, "e1", 3.0))
    arrived = delivered(folder, outbox, url, batch=50)
    print(
        f"snapshot of {VMS + HOSTS + 10} objects, batch 50: queued in {whole[0]:.2f} s, delivered in"
        f" {arrived[0]:.2f} s (bound 5 together)"
    )
    for batch in (1, 50):
        stream(folder, outbox, url, batch)
    outbox.close()


def posted(outbox: Outbox, url: str) -> tuple[float, float]:
    """Post what waits, one body after the other, without acknowledging it."""
    bodies = [cloudevent.structured(event, "/", 1) for event in outbox.pending("web", CHANGES)]
    http = Http(connections=1)
    return measured(lambda: [http.post(url, body, timeout=20.0) for body in bodies])


def sender(folder: Path, url: str, batch: int) -> Sender:
    """Return a sender as the worker has it."""
    epoch = Epoch()
    epoch.number, epoch._until = 1, float("inf")
    sink = HttpSink("web", url, "/", Http(connections=1), batch=batch)
    return Sender(sink, folder / "events.db", epoch, lambda: False)


def delivered(folder: Path, outbox: Outbox, url: str, batch: int = 1) -> tuple[float, float]:
    """Let a sender deliver what waits."""
    serving = sender(folder, url, batch)

    def serve() -> None:
        serving.start()
        while outbox.sink("web").lag:
            time.sleep(0.01)

    taken = measured(serve)
    serving.stop()
    return taken


def stream(folder: Path, outbox: Outbox, url: str, batch: int) -> None:
    """Commit 1,000 changes each second for ten seconds while a sender delivers; print what lags at the end."""
    serving = sender(folder, url, batch)
    serving.start()
    clouds = [cloud(2 + step % 2, CHANGES) for step in range(SECONDS)]
    began, used = time.perf_counter(), os.times()
    for step, state in enumerate(clouds):
        outbox.append(difference(outbox.known(), facts.facts(state)), {"web": lambda _: True}, 10.0 + step)
        serving.wake()
        time.sleep(max(0.0, began + step + 1 - time.perf_counter()))
    wall, lag = time.perf_counter() - began, outbox.sink("web").lag
    while outbox.sink("web").lag:
        time.sleep(0.01)
    spent = os.times()
    cpu = spent.user + spent.system - used.user - used.system
    rest = time.perf_counter() - began - wall
    print(
        f"{CHANGES} changes/s for {SECONDS} s, batch {batch}: {wall:.1f} s to commit, {lag} events behind at the end, gone after"
        f" {rest:.1f} s; {cpu:.1f} s CPU"
    )
    serving.stop()

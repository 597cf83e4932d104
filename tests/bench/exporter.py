"""What a scrape of 10,000 VMs and 1,250 hosts costs, against the floor measured in the same run.

The floor: the same bytes read from the socket, unescaped in bulk, parsed by the fastest parser here (expat
without handlers, or lxml where it is installed) and thrown away. Times are CPU and wall of this process.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.parsers import expat

from exporter.collection import Collection
from exporter.power.rounds import Rounds
from onext.oned import stream
from onext.settings.exporter import Exporter, Power
from tests.exporter import made_up
from tests.exporter.answers import Answers, compact
from tests.exporter.monitoring import exporter, pages

VMS, HOSTS, REPEATS = 10_000, 1_250, 5
NETWORKS, USERS, SERVICES, JOBS = 200, 1_000, 300, 20
RECORDINGS = Path(__file__).parents[1] / "fixtures/opennebula-7.0.2"
SCAPHANDRE = "scaph_host_power_microwatts 48710291\n" + "".join(
    f'scaph_process_power_consumption_microwatts{{exe="qemu-kvm-one",cmdline="-nameguest=one-{n},x"}} 125986\n'
    for n in range(600)
)


def many(file: str, tag: str, number: int, smallest: int) -> bytes:
    """Return a pool of so many recorded elements, under new ids."""
    document = (RECORDINGS / file).read_bytes()
    found = [
        e
        for e in re.findall(rb"<%b>.*?</%b>" % (tag.encode(), tag.encode()), document, re.DOTALL)
        if len(e) > smallest
    ]
    opening = rb"^<%b><ID>\d+" % tag.encode()
    body = b"".join(
        re.sub(opening, b"<%b><ID>%d" % (tag.encode(), n), found[n % len(found)]) for n in range(number)
    )
    return b"<%b_POOL>%b</%b_POOL>" % (tag.encode(), body, tag.encode())


def oned(ready: multiprocessing.Queue[int]) -> None:
    """Serve the answers from memory, in a process of its own."""
    network = compact((RECORDINGS / "vnetpool.xml").read_bytes())
    user = re.findall("<USER><ID>2<.*?</USER>\\s*<QUOTAS>.*?</QUOTAS>", made_up.USERS, re.DOTALL)[0]
    users = "".join(user.replace("<ID>2<", f"<ID>{n}<") for n in range(2, USERS))
    body = {"state": 2, "roles": [{"name": f"role-{n}", "nodes": list(range(20))} for n in range(20)]}
    services = "".join(made_up.service(n, body) for n in range(SERVICES))
    jobs = "".join(made_up.job().replace("<ID>3<", f"<ID>{n}<", 1) for n in range(JOBS))
    answers = Answers(
        {
            "vnpool.info": b"<VNET_POOL>%b</VNET_POOL>"
            % (network[len(b"<VNET_POOL>") : -len(b"</VNET_POOL>")] * NETWORKS),
            "userpool.info": f"<USER_POOL>{users}</USER_POOL>".encode(),
            "grouppool.info": made_up.GROUPS.replace("\n", "").encode(),
            "documentpool.info": f"<DOCUMENT_POOL>{services}</DOCUMENT_POOL>".encode(),
            "backupjobpool.info": f"<BACKUPJOB_POOL>{jobs}</BACKUPJOB_POOL>".encode(),
            "system.version": b"7.4.0",
            "hostpool.info": many("hostpool.raw.xml", "HOST", HOSTS, 6000),
            "vmpool.infoextended": many("vmpool.infoextended.raw.xml", "VM", VMS, 4000),
            "datastorepool.info": compact((RECORDINGS / "datastorepool.xml").read_bytes()),
            "zonepool.info": compact((RECORDINGS / "zonepool.xml").read_bytes()),
        }
    )
    made = {method.encode(): answers.answer(method) for method in answers.documents}
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    ready.put(listener.getsockname()[1])

    def one(connection: socket.socket) -> None:
        with connection:
            call = connection.recv(65536)
            while b"</methodCall>" not in call:
                call += connection.recv(65536)
            connection.sendall(next(made[method] for method in made if b"one." + method + b"<" in call))

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


@contextmanager
def child(serve: Callable[[multiprocessing.Queue[int]], None]) -> Iterator[int]:
    """Run a server in a process of its own and return its port."""
    context = multiprocessing.get_context("spawn")
    ready: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=serve, args=(ready,), daemon=True)
    process.start()
    yield ready.get()
    process.terminate()
    process.join()


def documents(source: stream.Source) -> Iterator[Iterator[bytes]]:
    """Make the calls of a scrape."""
    everything = (-2, -1, -1)
    yield stream.document(source, "hostpool.info")
    yield stream.document(source, "vmpool.infoextended", *stream.ALL_VMS)
    for method in ("datastorepool", "zonepool", "userpool", "grouppool"):
        yield stream.document(source, f"{method}.info")
    for method in ("vnpool", "backupjobpool"):
        yield stream.document(source, f"{method}.info", *everything)
    yield stream.document(source, "documentpool.info", *everything, 100)


def floors(source: stream.Source) -> dict[str, Callable[[], object]]:
    """Return the ways to read, unescape, parse and throw away all pools."""

    def by_expat() -> None:
        for document in documents(source):
            parser = expat.ParserCreate()
            for chunk in document:
                parser.Parse(chunk, False)
            parser.Parse(b"", True)

    found: dict[str, Callable[[], object]] = {"floor, expat": by_expat}
    try:
        from lxml import etree  # type: ignore[import-untyped]  # has no types
    except ImportError:
        return found

    def by_lxml() -> None:
        for document in documents(source):
            parser = etree.XMLParser(target=Nothing(), huge_tree=True)
            for chunk in document:
                parser.feed(chunk)
            parser.close()

    class Nothing:
        """A target that keeps nothing."""

        def close(self) -> None:
            pass

    return found | {"floor, lxml": by_lxml}


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def scrapes(endpoint: str) -> None:
    """Print the floor, and what a scrape costs."""
    source = stream.Source(endpoint, "u:p")
    settings = Exporter(power=Power(sources=[]))

    collect = Collection(source, settings, Path("/nonexistent"), version="1", server="fe")
    ways = floors(source) | {"scrape": collect}
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(REPEATS):  # in turn, so that others on the machine disturb all alike
        for name, call in ways.items():
            results[name].append(timed(call))
    floor = min(
        (name for name in ways if name.startswith("floor")), key=lambda name: median(results[name], 1)
    )
    print(f"{VMS} VMs, {HOSTS} hosts, median of {REPEATS}      wall s   CPU s   / floor (wall, CPU)")
    for name, found in results.items():
        wall, cpu = median(found, 0), median(found, 1)
        ratios = f"{wall / median(results[floor], 0):.2f}, {cpu / median(results[floor], 1):.2f}"
        print(f"{name:38}  {wall:6.2f}  {cpu:6.2f}   {ratios}")


def median(found: list[tuple[float, float]], index: int) -> float:
    """Return the median of one column."""
    return statistics.median(one[index] for one in found)


@contextmanager
def running(endpoint: str) -> Iterator[tuple[str, int]]:
    """Run the exporter without power; its address and process."""
    settings = "exporter: {power: {sources: []}}\n"
    with tempfile.TemporaryDirectory() as folder, exporter(endpoint, Path(folder), settings) as listen:
        command = ["pgrep", "-f", f"listen {listen}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        yield listen, int(found.stdout.split()[0])


def memory_and_crowd(endpoint: str) -> None:
    """Print what the first scrape of a process costs, what it holds above idle, and what twenty at once cost."""
    first = []
    for _ in range(REPEATS):
        with running(endpoint) as (listen, pid):
            first.append(spent(pid, lambda: scrape(listen)))
    with running(endpoint) as (listen, pid):
        idle = status(pid, "VmRSS")
        scrape(listen)
        single = [spent(pid, lambda: scrape(listen)) for _ in range(REPEATS)]
        crowd = [spent(pid, lambda: at_once(listen, 20)) for _ in range(REPEATS)]
        print(f"memory above idle ({idle >> 20} MB), at most: {(status(pid, 'VmHWM') - idle) >> 20} MB")
    for name, column in (("wall", 0), ("CPU", 1)):
        new, one, twenty = (median(found, column) for found in (first, single, crowd))
        print(f"over HTTP, {name}: the first of a process {new:.2f} s, each after it {one:.2f} s,", end=" ")
        print(f"twenty at once {twenty:.2f} s = {twenty / one:.2f} of one")


def spent(pid: int, call: Callable[[], None]) -> tuple[float, float]:
    """Return the wall seconds of a call, and the CPU seconds that another process took meanwhile."""
    before = cpu_of(pid)
    wall = timed(call)[0]
    return wall, cpu_of(pid) - before


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, from /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid: int, key: str) -> int:
    """Return bytes from /proc/PID/status."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def scrape(listen: str) -> None:
    """Ask as Prometheus does."""
    request = urllib.request.Request(f"http://{listen}/metrics", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.read()


def at_once(listen: str, number: int) -> None:
    """Ask so many times at once."""
    threads = [threading.Thread(target=scrape, args=(listen,)) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def nodes(ready: multiprocessing.Queue[int]) -> None:
    """Be 200 hosts, of which 60 accept a connection and say nothing, in a process of its own."""

    def page(address: str, _path: str) -> str | None:
        time.sleep(0.05)
        return None if int(address.rpartition(".")[2]) <= 60 else SCAPHANDRE

    with pages(page) as port:
        ready.put(port)
        threading.Event().wait()


def power() -> None:
    """Print rounds over them."""
    logging.getLogger("onext").setLevel(logging.ERROR)
    now = [1000.0]
    hosts = {n: f"127.0.0.{n}" for n in range(1, 201)}
    with child(nodes) as port:
        rounds = Rounds(Power(sources=["scaphandre"], scaphandre_port=port), lambda: now[0])
        for name in ("first", "second", "third"):
            begun = time.perf_counter()
            found = rounds.gather(hosts)
            took = time.perf_counter() - begun
            up = sum(host.reading is not None for host in found.values())
            print(f"power, 200 hosts, 60 silent, budget 2.5 s: {name} round {took:.2f} s, {up} with figures")
            now[0] += 15


def main() -> None:
    """Print everything."""
    with child(oned) as port:
        endpoint = f"http://127.0.0.1:{port}/RPC2"
        scrapes(endpoint)
        memory_and_crowd(endpoint)
    power()


if __name__ == "__main__":
    main()

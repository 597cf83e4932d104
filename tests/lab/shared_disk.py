"""What a test of availability has at hand in the laboratory: a VM on a shared disk, front-ends, a lease daemon.

Node a runs the VM, node b takes it. The cluster has a third host, because two hosts need two proofs: it is
node b under a second address. Front-ends run between the nodes, where all of the network passes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hooks.availability.lease.grants import ARMED, Armed, Arming
from onext.oned.documents import Documents
from tests.lab.disk_vm import DiskVm
from tests.lab.front_end import HOSTS, SECRET, SOURCE, Oned, Times
from tests.lab.laboratory import Laboratory
from tests.lab.node import HERE, Node, until
from tests.lab.readable import open_to_all
from tests.lab.vm import build_initrd

ROOT = HERE.parent.parent
LEASE = ROOT / "hooks/availability/lease/onext_lease"
PORT = 4129
SHORT = Times(suspicion=3.0, monitored=5.0, unknown=5.0, confirm=4.0, lease=10.0, watchdog=5.0, fresh=5.0)
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]


@dataclass
class SharedDisk:
    """The scene of one test; `end` takes it away."""

    lab: Laboratory
    folder: Path
    times: Times = SHORT
    stubborn: bool = False
    fronts: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> None:
        """Write what front-ends and the node read, and run the VM on node a."""
        open_to_all(self.folder)
        initrd = build_initrd(self.folder, "disk_init.c")
        names = {name: str(self.folder / name) for name in ("disk", "console")}
        self.vm = DiskVm(str(self.lab.kernel), str(initrd), **names)
        self.vm.make_disk()
        content = {
            "leader": 0,
            "documents": {},
            "refused": {},
            "held": "",
            "hosts": {str(host): 2 for host in HOSTS},
            "vm": {"host": SOURCE, "seq": 0, "lcm": 3, "lock": 0, "starts": 1},
        }
        (self.folder / "oned.json").write_text(json.dumps(content))
        setup = {"times": asdict(self.times), "stubborn": self.stubborn, "vm": asdict(self.vm)}
        (self.folder / "setup.json").write_text(json.dumps(setup))
        self._network()
        definition = self.folder / "one-1.xml"
        definition.write_text(self.vm.xml(SOURCE, 0))
        self.lab.a.virsh("create", str(definition))
        self.wait_for_writes(0)

    def _network(self) -> None:
        self.lab.address("10.99.0.250/24")
        self.lab.b.run("ip", "address", "replace", "10.99.0.3/24", "dev", "ul0")
        for where in (self.lab.in_wan("sh", "-c"), self.lab.b.command("sh", "-c", user="root")):
            quick = "for each in br0 ul0; do echo 100 >/proc/sys/net/ipv4/neigh/$each/retrans_time_ms; done"
            subprocess.run(
                [*where, quick], check=False, capture_output=True
            )  # who does not answer is known sooner
        nodes: dict[str, Node] = {"lab-a": self.lab.a, "lab-b": self.lab.b, "lab-c": self.lab.b}
        lines, known = [], []
        for name, address in HOSTS.values():
            lines.append(f"Host {name}\nHostName {address}\n")
            known.append(f"{address} {nodes[name].host_key}\n")
        (self.folder / "known_hosts").write_text("".join(known))
        common = f"Host *\nUser oneadmin\nIdentityFile {self.lab.folder}/key\nUserKnownHostsFile {self.folder}/known_hosts\n"
        (self.folder / "ssh").write_text("".join(lines) + common)

    def end(self) -> None:
        """End every process of this scene."""
        for process in [*self.fronts.values(), *self.others]:
            process.kill()
            process.wait()
        subprocess.run(self.lab.in_wan("ip", "route", "flush", "type", "blackhole"), check=False)
        self.lab.cut(self.lab.a, off=False)

    def front(self, number: int, *, beside: Node | None = None, wait: bool = True) -> None:
        """Start a front-end between the nodes, or in the network of one of them."""
        words = [sys.executable, "-m", "tests.lab.front_end", str(self.folder), str(number)]
        inside = ["ip", "netns", "exec", beside.namespace, *words] if beside else self.lab.in_wan(*words)
        with (self.folder / f"front-{number}.log").open("wb") as log:
            self.fronts[number] = subprocess.Popen(
                [*DIES_WITH_US, *inside], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if wait:
            until(lambda: self.report(number), f"front-end {number}: {self.folder}/front-{number}.log")

    def front_follows(self, number: int) -> None:
        """Start a front-end that does not lead; it reports once it does."""
        self.front(number, wait=False)

    def refused(self, number: int) -> int:
        """Return how many writes of a front-end oned has refused because another leads."""
        with Oned(self.folder / "oned.json", -1).opened() as content:
            return int(content["refused"].get(str(number), 0))

    def lead(self, number: int) -> None:
        """Let another front-end lead the zone."""
        with Oned(self.folder / "oned.json", -1).opened() as content:
            content["leader"] = number

    def report(self, number: int = 0) -> dict[str, Any]:
        """Return what a front-end reported last."""
        file = self.folder / f"front-{number}.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def starts(self) -> int:
        """Return how often the VM was started."""
        with Oned(self.folder / "oned.json", -1).opened() as content:
            return int(content["vm"]["starts"])

    def wait_for_writes(self, start: int, seconds: float = 180.0) -> None:
        """Wait until a start of the VM writes from now on."""
        before = len(self.vm.records(start))
        until(lambda: len(self.vm.records(start)) > before + 5, f"writes of start {start}", seconds)

    def record_lease(self) -> None:
        """Record that node a is to be armed, as `onext ha arm` does."""
        armed = Armed(Arming.ARMING, "lab-a", "salt", SECRET.name, PORT, 0.0)
        Documents(Oned(self.folder / "oned.json", 0), ARMED).put(SOURCE, armed, None)  # type: ignore[arg-type]

    def install_lease(self) -> None:
        """Start the lease daemon on node a, as its unit does: it is started again whenever it ends."""
        place = self.folder / "lease"
        (place / "etc").mkdir(parents=True)
        shutil.copytree(LEASE, place / "onext_lease", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(HERE / "lease_node.py", place)
        config = {"host": SOURCE, "key": SECRET.key(SOURCE, "salt").hex(), "port": PORT}
        (place / "etc/onext-lease.json").write_text(json.dumps(config))
        os.mkfifo(place / "watchdog")
        watchdog = [sys.executable, str(HERE / "watchdog_stand_in.py"), str(place / "watchdog")]
        words = [*watchdog, str(self.lab.a.first_process), str(self.folder / "reset")]
        self.others.append(subprocess.Popen([*DIES_WITH_US, *words]))
        unit = f"while :; do python3 -B {place}/lease_node.py {place}; sleep 1; done"
        with (self.folder / "lease.log").open("wb") as log:
            self.others.append(
                subprocess.Popen(
                    [*DIES_WITH_US, *self.lab.a.command("sh", "-c", unit, user="root")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def armed(self, number: int = 0) -> None:
        """Wait until a front-end has node a as armed, and would take an expiry for a proof."""
        until(
            lambda: all(self.report(number).get(key) for key in ("armed", "held", "proving")),
            f"node a to be armed: {self.folder}/lease.log",
        )

    def daemon(self) -> int:
        """Return the process id of the lease daemon."""
        found: dict[int, str] = {}

        def runs() -> bool:
            found.update(self.lab.a.processes(r"^python3 -B .*lease_node\.py"))
            return bool(found)

        until(runs, "the daemon")
        return next(iter(found))

    def signal_daemon(self, number: signal.Signals) -> None:
        """Send the lease daemon a signal."""
        os.kill(self.daemon(), number)

    def was_reset(self) -> bool:
        """Return whether the watchdog has reset node a."""
        return (self.folder / "reset").exists()

    def moved(self, seconds: float = 180.0) -> None:
        """Wait until the VM runs on node b; check that node a was reset and that its instance wrote nothing since."""
        until(self.was_reset, "the reset of node a", seconds)
        before = self.vm.records(0)
        self.wait_for_writes(1, seconds)
        self.wait_for_writes(1)
        assert self.vm.records(0) == before, "the first instance wrote after the reset"
        assert self.vm.mixed() == []
        assert self.starts() == 2
        assert {record.host for record in self.vm.records(1)} == {1}
        assert self.vm.records(1)[0].after == 0

    def stays(self, seconds: float) -> None:
        """Check that for so long the VM runs on where it is, and nowhere else."""
        before = len(self.vm.records(0))
        until(lambda: len(self.vm.records(0)) > before + seconds * 5, "the VM to write on")
        assert self.starts() == 1
        assert self.vm.records(1) == []
        assert not self.was_reset()

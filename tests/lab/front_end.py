# ruff: noqa: ARG002 - effects that this cloud does not have
"""One front-end of the laboratory: what availability decides, its evidence, its steps and its leases, all real.

The stand-in is oned alone: one file that all front-ends share, with the documents, the hosts and the VM. As
Raft does, it takes writes from its leader only. Called as: front_end.py FOLDER NUMBER, inside a network
namespace; reports each round in FOLDER/front-NUMBER.json.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from hooks.availability import collect_evidence, decide, evidence, probe
from hooks.availability.act import Executor
from hooks.availability.collect_evidence import Subject, collect
from hooks.availability.evidence import Evidence, Judgement
from hooks.availability.lease import ledger
from hooks.availability.lease.granter import Granter, Zone
from hooks.availability.lease.grants import GRANTS, Grants
from hooks.availability.lease.keys import Secret
from hooks.availability.lease.ledger import Ledger
from hooks.availability.memory import Memory
from hooks.availability.model import Cluster, Host, Incident, Vm
from hooks.availability.policy import Mode, Policy
from hooks.availability.records import INCIDENT
from hooks.availability.vm_states import Course
from hooks.availability.world import Failed
from onext import process, ssh
from onext.hosts.bmc.config import BmcConfig
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from onext.oned.objects import HostState
from onext.settings import Settings
from onext.xml import Element
from tests.lab.disk_vm import DiskVm
from tests.onext.hosts.document_pool import DocumentPool

SOURCE, TARGET = 0, 1
HOSTS = {0: ("lab-a", "10.99.0.1"), 1: ("lab-b", "10.99.0.2"), 2: ("lab-c", "10.99.0.3")}
SECRET = Secret(b"s" * 32)
ACTIVE, BOOT, RUNNING, UNKNOWN = 3, 2, 3, 16


@dataclass(frozen=True)
class Times:
    """Seconds: as in production, or shorter by the same rules."""

    suspicion: float = decide.SUSPICION
    monitored: float = collect_evidence.MONITORED_WITHIN
    unknown: float = 180.0  # of silence, after which oned has the VM as UNKNOWN
    confirm: float = 90.0
    lease: float = 60.0
    watchdog: float = ledger.WATCHDOG
    fresh: float = 25.0

    def apply(self) -> None:
        """Let this process use them."""
        decide.SUSPICION = self.suspicion
        collect_evidence.MONITORED_WITHIN = self.monitored
        ledger.WATCHDOG = self.watchdog


class Oned(DocumentPool):
    """The file; `server` may write while it leads."""

    def __init__(self, file: Path, server: int) -> None:
        super().__init__()
        self.file, self.server = file, server

    @contextmanager
    def opened(self) -> Iterator[dict[str, Any]]:
        """Give the file's content to one process at a time, and keep what it became."""
        with self.file.open("r+") as stream:
            flock(stream, LOCK_EX)
            before = stream.read()
            content = json.loads(before)
            yield content
            after = json.dumps(content)
            if after != before:
                stream.seek(0)
                stream.truncate()
                stream.write(after)
                stream.flush()

    @contextmanager
    def written(self) -> Iterator[dict[str, Any]]:
        """Give the content for a write; raise OnedError on a server that does not lead."""
        with self.opened() as content:
            leads = content["leader"] == self.server
            if leads:
                yield content
            else:
                count = content["refused"].get(str(self.server), 0)
                content["refused"][str(self.server)] = count + 1
        if not leads:
            raise OnedError("not the leader")

    def call(self, method: str, *arguments: object) -> int:
        """Write a document."""
        with self.written() as content:
            self._take(content)
            result = super().call(method, *arguments)
            content["documents"] = self.documents
            return result

    def document(self, method: str, *arguments: object) -> Element:
        """Read documents; a follower may."""
        with self.opened() as content:
            self._take(content)
            return super().document(method, *arguments)

    def _take(self, content: dict[str, Any]) -> None:
        self.documents = {int(n): (name, values) for n, (name, values) in content["documents"].items()}


@dataclass
class FrontEnd:
    """The effects, and what one worker remembers."""

    folder: Path
    server: int
    term: int = 1
    memory: Memory = field(default_factory=Memory)
    last: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setup = json.loads((self.folder / "setup.json").read_text())
        self.times, self.stubborn = Times(**setup["times"]), bool(setup["stubborn"])
        self.times.apply()
        self.disk_vm = DiskVm(**setup["vm"])
        self.oned = Oned(self.folder / "oned.json", self.server)
        self.incidents: Documents[Incident] = Documents(self.oned, INCIDENT)  # type: ignore[arg-type]
        self.grants: Documents[Grants] = Documents(self.oned, GRANTS)  # type: ignore[arg-type]
        self.settings = Settings.model_validate({"geolocation": {"ssh_config": str(self.folder / "ssh")}})
        self.bmcs = BmcConfig.load(self.folder / "no-bmc.yaml")
        self.granter = Granter(
            Ledger(self.times.lease, self.times.fresh), lambda name, port: (dict(HOSTS.values())[name], port)
        )
        self.policy = Policy(Mode.AUTO, confirm=self.times.confirm, quiet=0.0)

    def grant_for_ever(self) -> None:
        """Grant leases; `stubborn`: also where it does not lead any more, as one that has not noticed."""
        zone = Zone(self.oned, self.server, self.term)  # type: ignore[arg-type]
        while True:
            if self.stubborn or self.leads():
                with suppress(OnedError):
                    self.granter.round(zone, SECRET)
            else:
                self.granter.ledger.lost()
            time.sleep(self.granter.pause)

    def leads(self) -> bool:
        """Return whether this server leads the zone."""
        with self.oned.opened() as content:
            return bool(content["leader"] == self.server)

    def round(self) -> None:
        """Look, decide and act once, as the worker does."""
        self.memory.heard.note(probe.greetings({n: (ip, 22) for n, (_, ip) in HOSTS.items()}, timeout=1.0))
        if not self.leads():
            return
        self._notice()
        cluster = self._cluster()
        suspects = [h.id for h in cluster.hosts if h.silent >= decide.SUSPICION or h.id in cluster.incidents]
        judgements = {host: self._judge(host) for host in suspects}
        around = decide.Round(
            cluster, self.policy, judgements, self.now(), self.memory.waited(cluster.incidents),
            self.memory.suspected(cluster.incidents), frozenset(self.memory.cleaned),
        )  # fmt: skip
        steps = decide.decide(around, lambda vms, _: dict.fromkeys(vms, TARGET))
        outcome = Executor(self, self.policy, 1, self.memory.cleaned).run(steps)
        self._report(judgements, outcome)

    def _judge(self, host: int) -> Judgement:
        return evidence.judge(self.evidence(host))

    def _report(self, judgements: Mapping[int, Judgement], outcome: Mapping[int, str]) -> None:
        incident = self.incident(SOURCE)
        judgement = judgements.get(SOURCE)
        with self.granter._lock:
            contacts = self.granter.ledger.contacts.get(SOURCE)
        self.last = {
            "at": time.time(),
            "phase": incident.phase.value if incident else "",
            "reason": incident.reason if incident else "",
            "verdict": judgement.verdict.value if judgement else "",
            "reasons": list(judgement.reasons) if judgement else [],
            "armed": SOURCE in self.granter.armed(),
            "held": bool(contacts and contacts.held),
            "granted_at": contacts.at if contacts else 0.0,
            "proving": self._proving(),
            "outcome": dict(outcome),
        }
        file = self.folder / f"front-{self.server}.json"
        file.with_suffix(".new").write_text(json.dumps(self.last))
        file.with_suffix(".new").rename(file)

    def _proving(self) -> bool:
        """Return whether this leader would take an expiry for a proof by now."""
        found = self.granter.ledger
        return found._since is not None and time.monotonic() >= found._since + found._wait

    def _notice(self) -> None:
        """Let oned notice that the VM's host is silent."""
        with self.oned.written() as content:
            vm = content["vm"]
            silent = self.memory.heard.silent(vm["host"])
            if vm["lcm"] in (RUNNING, UNKNOWN):
                vm["lcm"] = UNKNOWN if silent > self.times.unknown else RUNNING

    def _cluster(self) -> Cluster:
        with self.oned.opened() as content:
            states, vm, held = content["hosts"], _vm(content["vm"]), bool(content["held"])
        silent = {host: self.memory.heard.silent(host) for host in HOSTS}
        armed = self.granter.armed()
        hosts = tuple(
            Host(n, name, HostState(states[str(n)]), silent[n], armed=n in armed, held=held and n == SOURCE)
            for n, (name, _) in HOSTS.items()
        )
        stored = self.incidents.all()
        incidents = {n: one.value for n, one in stored.items() if one.value is not None}
        answering = frozenset(host for host, seconds in silent.items() if seconds < self.times.suspicion)
        return Cluster(100, "lab", hosts, (vm,), answering, incidents=incidents)

    def now(self) -> float:
        """Return the Unix time."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds of a clock that only advances."""
        return time.monotonic()

    def stopped(self) -> bool:
        """Return that nobody stops it."""
        return False

    def evidence(self, host: int) -> Sequence[Evidence]:
        """Ask sshd, the peers and the lease, over the laboratory's network."""
        name, address = HOSTS[host]
        peers = [other for number, (other, _) in HOSTS.items() if number != host]
        silent = self.memory.heard.answered(host)
        lease = self.granter.status(host, silent=silent, record=self.grants)
        subject = Subject(host, name, self.memory.heard.silent(host), peers, None, (address, 22), lease, None)
        return collect(subject, self.bmcs, self.settings)

    def incident(self, host: int) -> Incident | None:
        """Read the record of a host's incident."""
        stored = self.incidents.get(host)
        return stored.value if stored else None

    def write(self, incident: Incident) -> None:
        """Write a record."""
        try:
            stored = self.incidents.get(incident.host)
            self.incidents.put(incident.host, incident, stored.version if stored else None)
        except OnedError as error:
            raise Failed(str(error)) from error

    def forbidden(self, incident: Incident) -> str:
        """Return that nobody forbids it."""
        return ""

    def withdraw(self, host: int) -> None:
        """Nobody confirms anything here."""
        raise Failed("no confirmation")

    def forget(self, host: int) -> None:
        """Remove a record."""
        stored = self.incidents.get(host)
        if stored is not None:
            self.incidents.remove(host, stored.version)

    def vm(self, vm: int) -> Vm | None:
        """Read the VM."""
        with self.oned.opened() as content:
            return _vm(content["vm"])

    def _set(self, **values: int) -> None:
        try:
            with self.oned.written() as content:
                content["vm"] |= values
        except OnedError as error:
            raise Failed(str(error)) from error

    def _state(self, host: int, state: HostState) -> None:
        with self.oned.written() as content:
            content["hosts"][str(host)] = int(state)

    def disable(self, host: int) -> None:
        """Disable a host."""
        self._state(host, HostState.DISABLED)

    def enable(self, host: int) -> None:
        """Enable a host."""
        self._state(host, HostState.MONITORED)

    def protect(self, vm: int) -> None:
        """Lock the VM."""
        self._set(lock=3)

    def lock(self, vm: int, level: int) -> None:
        """Lock the VM."""
        self._set(lock=level)

    def unlock(self, vm: int) -> None:
        """Unlock the VM."""
        self._set(lock=0)

    def drop_plan(self, cluster: int) -> None:
        """There is none."""

    def fence(self, host: int, deadline: float) -> None:
        """There is no BMC."""
        raise Failed("no BMC")

    def claim(self, host: int, held: str) -> None:
        """Claim a host, or release it."""
        with self.oned.written() as content:
            content["held"] = held

    def wake(self, host: int) -> None:
        """There are no spares."""

    def start(self, vm: int, target: int, course: Course, deadline: float) -> None:
        """Start the VM on the target, as OpenNebula's driver does: its definition over ssh, then libvirt."""
        with self.oned.written() as content:
            found = content["vm"]
            if found["lock"]:
                raise Failed("the VM is locked")
            if self.monotonic() > deadline:
                raise Failed("the proof of death is too old by now")
            content["vm"] = found | {"host": target, "lcm": BOOT, "starts": found["starts"] + 1, "seq": 1}
            start = found["starts"]
        name = HOSTS[target][0]
        words = ["virsh", "-c", "qemu:///system", "create", "/dev/stdin"]
        definition = self.disk_vm.xml(target, start).encode()
        try:
            ssh.run(name, words, timeout=60.0, config=self.folder / "ssh", input=definition)
        except process.CommandError as error:
            raise Failed(str(error)) from error
        self._set(lcm=RUNNING)

    def recover(self, vm: int) -> None:
        """Nothing is recovered here."""
        raise Failed("not here")

    def resume(self, vm: int) -> None:
        """Nothing is resumed here."""
        raise Failed("not here")

    def move_back(self, vm: int, host: int) -> None:
        """Nothing moves back here."""
        raise Failed("not here")

    def clean(self, host: int) -> bool:
        """Return that it runs nothing that is elsewhere: the test looks itself."""
        return True

    def alarm(self, host: int, text: str) -> None:
        """Keep what people would be told."""
        with (self.folder / f"front-{self.server}.alarms").open("a") as file:
            file.write(text + "\n")


def _vm(values: Mapping[str, int]) -> Vm:
    return replace(Vm(1, "vm", values["host"], values["seq"], ACTIVE, values["lcm"]), lock=values["lock"])


def main() -> None:
    """Work until the end."""
    front = FrontEnd(Path(sys.argv[1]), int(sys.argv[2]))
    threading.Thread(target=front.grant_for_ever, daemon=True).start()
    while True:
        with suppress(OnedError):
            front.round()
        time.sleep(0.5)


if __name__ == "__main__":
    main()

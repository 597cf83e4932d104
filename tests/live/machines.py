"""A cluster of pretended hosts that can really be switched: each with a BMC that others wrote, and an ssh node."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ruamel.yaml import YAML

from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.model import Record
from onext.oned.documents import Documents
from onext.oned.objects import HostState
from onext.process import Completed, run
from tests.fixtures_bmc import IpmiPeer
from tests.live.front_end import wait_until
from tests.live.installation import Installation
from tests.live.scene import Scene
from tests.live.ssh_node import DOMAINS, DRIVERS, node

SETTINGS = """\
oned:
  timeout: 10
geolocation:
  ssh_config: {ssh_config}
power:
  clusters: [{cluster}]
  highest_mode: auto
  lowest_min_hosts: 1
  spare_host: false
  highest_parallel_off: 9
  highest_cycles_per_day: 48
  soft_off_timeout: 10
"""
_DUMMY_ACTIONS = Path("/tmp/opennebula_dummy_actions")
_HUNG = "hung"
BY_HAND = 300.0  # seconds for an order by hand: a host is monitored again only after some time


@dataclass(frozen=True)
class Machine:
    """One host of the front-end and the machine behind it."""

    host: int
    name: str
    bmc: IpmiPeer
    folder: Path  # what `onehost sync` brought lies below it

    @property
    def powered(self) -> bool:
        """Whether it has power, as somebody else's client says it."""
        said = self.bmc.ipmitool("power", "status")
        assert said in ("Chassis Power is on", "Chassis Power is off"), said
        return said.endswith("on")

    def hang(self) -> None:
        """Let its kernel hang: it has power, and answers nothing."""
        (self.folder / _HUNG).touch()

    def reboot(self, *domains: str) -> None:
        """Give it power again; its libvirt starts these VMs."""
        (self.folder / _HUNG).unlink()
        (self.folder / DOMAINS).write_text("\n".join(domains))
        self.bmc.power = "on"

    @property
    def domains(self) -> list[str]:
        """The VMs that its libvirt runs."""
        return (self.folder / DOMAINS).read_text().split()

    @property
    def has_drivers(self) -> bool:
        """Whether OpenNebula's drivers were copied to it."""
        return (self.folder / DRIVERS / "VERSION").is_file()


class Machines:
    """A cluster of its own with machines; it lives as long as `stack`."""

    def __init__(self, installation: Installation, scene: Scene, stack: ExitStack, ssh_config: Path) -> None:
        self.installation, self.scene, self._stack = installation, scene, stack
        self.folder, self._ssh_config = scene.folder(), ssh_config
        self.cluster, self.datastore = scene.cluster(), scene.system_datastore()
        scene.oned.call("cluster.adddatastore", self.cluster, self.datastore)
        self.machines: list[Machine] = []
        self._configs: list[str] = []
        self.settings()

    def add(self, *hosts: int) -> list[Machine]:
        """Give these hosts machines, and tell onext of them all."""
        added = [self._machine(host) for host in hosts]
        self.machines += added
        self._ssh_config.write_text("".join(self._configs))
        os.chown(self._ssh_config, *self._owner)
        self.book({machine.host: machine.bmc.entry() for machine in self.machines})
        return added

    def settings(self, more: str = "") -> None:
        """Write onext.yaml: this cluster, and `more` lines of its section `power`."""
        text = SETTINGS.format(cluster=self.cluster, ssh_config=self._ssh_config)
        self.installation.write_settings(text + more)

    def book(self, entries: Mapping[int, Mapping[str, object]]) -> None:
        """Write bmc.yaml as an administrator does."""
        file = self.installation.paths.own_etc / "bmc.yaml"
        if not file.exists():
            self._stack.callback(file.unlink)
        file.touch(mode=0o640)
        os.chown(file, *self._owner)
        with file.open("w") as stream:
            YAML(typ="safe").dump({host: dict(entry) for host, entry in entries.items()}, stream)

    def _machine(self, host: int) -> Machine:
        name, folder = self.scene.oned.host(host).name, self.folder / f"node-{host}"
        folder.mkdir()
        shutil.chown(folder, *self._owner)
        peer = IpmiPeer(self.installation.folder / f"bmc-{uuid4().hex[:8]}", str(uuid4()))
        self._stack.callback(peer.stop)
        peer.wait_until_ready()
        hung = folder / _HUNG
        config = self._stack.enter_context(
            node(folder, [], names=name, answers=lambda: peer.power == "on" and not hung.exists())
        )
        self._configs.append(config.read_text())
        return Machine(host, name, peer, folder)

    @property
    def _owner(self) -> tuple[int, int]:
        found = self.folder.stat()
        return found.st_uid, found.st_gid

    def power(self, *words: str, check: bool = True) -> Completed:
        """Run `onext power WORDS`."""
        command = [str(self.installation.paths.bin / "onext"), "power", *words]
        return run(command, timeout=BY_HAND, check=check)

    def round(self) -> None:
        """Let a whole round happen now: one by hand, as soon as the worker's own leaves room for it."""
        wait_until("a round was made", lambda: self.power("run", check=False).exit_code == 0)

    def policy(self, *changes: str) -> None:
        """Set the cluster's policy: one that acts within minutes, and these changes."""
        quick = ("MIN_HOSTS=1", "BUFFER_VMS=0", "IDLE_MINUTES=1", "MIN_ON_MINUTES=0", "MAX_PARALLEL_OFF=3")
        self.power("set", str(self.cluster), *quick, "TARGET_UTILISATION=100", "CYCLES_PER_DAY=48", *changes)

    def high_availability(self, machine: Machine) -> Completed:
        """Run OpenNebula's own host_error.rb for a host, with the fence_host.sh that the README names."""
        paths, folder = self.installation.paths, self.folder / "ft"
        if not folder.exists():
            folder.mkdir()
            shutil.copy2(paths.remotes / "hooks/ft/host_error.rb", folder)
            shutil.copy2(paths.current / "parts/hooks/power/fence_host.sh", folder)
        payload = base64.b64encode(str(self.scene.oned.call("host.info", machine.host, False)).encode())
        words = payload + b" --migrate --pause 0"  # its arguments come on standard input (ARGUMENTS_STDIN)
        return self.installation.as_owner(str(folder / "host_error.rb"), timeout=BY_HAND, input=words)

    def guest(self, machine: Machine) -> int:
        """Run a small guest on a machine."""
        guest = self.scene.guest(f'SCHED_REQUIREMENTS="CLUSTER_ID = {self.cluster}"\n')
        self.scene.oned.call("vm.deploy", guest, machine.host, False, self.datastore)
        self.scene.wait_for_running(guest)
        return guest

    def load(self, cores: int) -> int:
        """Let a guest of so many cores wait for a place in this cluster, as a user's does."""
        text = f'NAME="{self.scene.name("load")}"\nCPU="{cores}"\nMEMORY="128"\n'
        return self.scene.pending(f'{text}SCHED_REQUIREMENTS="CLUSTER_ID = {self.cluster}"\n')

    def running(self, guests: Sequence[int]) -> int:
        """Count those that run."""
        return sum(self.scene.oned.vm(guest).running for guest in guests)

    def prove(self, *machines: Machine) -> None:
        """Say of machines that they were enrolled a moment ago."""
        past = Record(proven=time.time(), boot_seconds=5.0, on_since=1.0)
        records = Documents(self.scene.oned, HOST_RECORDS)
        for machine in machines or self.machines:
            known = records.get(machine.host)
            record = HostRecord(machine.name, None, past)
            records.put(machine.host, record, known.version if known else None)

    @contextmanager
    def slow_migrations(self, seconds: int) -> Iterator[None]:
        """Let the pretended driver take so long for each migration (one_vmm_dummy.rb, retrieve_result)."""
        file = _DUMMY_ACTIONS / "migrate"
        file.write_text(f"success {seconds}\n")
        try:
            yield
        finally:
            file.unlink()

    def state(self, machine: Machine) -> HostState:
        """Return the host's state at oned."""
        return self.scene.oned.host(machine.host).state

    def claim(self, machine: Machine) -> dict[str, str]:
        """Return what onext wrote about what it is doing with a host; empty where it does nothing."""
        found = self.scene.oned.host(machine.host).template.get("ONEXT_POWER_STATE", {})
        return {} if isinstance(found, str) else dict(found)

    def status(self) -> dict[int, dict[str, object]]:
        """Return `onext power status` by host id."""
        return {row["id"]: row for row in json.loads(self.power("status", "--json").stdout)}

    def asleep(self) -> list[Machine]:
        """Return the machines that onext switched off, is done with, and that are off."""
        return [m for m in self.machines if self.claim(m).get("PHASE") == "off" and not m.powered]

    def wait_until_asleep(self, count: int, *, seconds: float) -> Sequence[Machine]:
        """Return the machines that are asleep when there are `count`, which the worker does by itself."""
        wait_until(f"{count} hosts are off", lambda: len(self.asleep()) == count, seconds=seconds)
        return self.asleep()

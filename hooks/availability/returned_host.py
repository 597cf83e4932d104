"""A host that is back: VMs that run elsewhere by now are destroyed on it, and its drivers are synced."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hooks.availability.boot_starts import at_boot
from hooks.availability.evidence import FRESH
from hooks.availability.model import Vm
from hooks.availability.world import Failed
from onext import log, process, ssh
from onext.paths import Paths

SSH_TIMEOUT, SYNC_TIMEOUT, PAUSE = 20.0, 120.0, 5.0  # seconds; the last between two checks of libvirt
_ACTIVE, _RUNNING = 3, 3
_VIRSH = ("virsh", "--connect", "qemu:///system")
_LIST = (*_VIRSH, "--readonly", "list", "--name")  # every active domain, whatever it is doing
_log = log.get("availability")


@dataclass(frozen=True)
class Returned:
    """One host; `vm` reads a VM of oned afresh, `record` adds to the incident's timeline."""

    id: int
    name: str
    paths: Paths
    config: Path | None  # of ssh
    vm: Callable[[int], Vm | None]
    record: Callable[[str, Sequence[str]], None]
    monotonic: Callable[[], float]

    def clean(self) -> bool:
        """Check libvirt twice; destroy VMs that oned has RUNNING elsewhere; then sync the drivers."""
        for turn in range(2):
            if turn:
                time.sleep(PAUSE)
            running = self._running()
            foreign = [vm for vm in running if self._elsewhere(vm)]
            for vm in foreign:
                self._destroy(vm)
            if foreign:
                return False
        self._warn_of_starts()
        self._sync()
        return True

    def _running(self) -> list[int]:
        try:
            done = ssh.run(self.name, _LIST, timeout=SSH_TIMEOUT, config=self.config)
        except (process.CommandError, ValueError) as error:
            raise Failed(f"host {self.id}: its libvirt did not answer: {error}") from error
        names = done.stdout.decode("utf-8", "replace").split()
        numbers = [word.removeprefix("one-") for word in names if word.startswith("one-")]
        return [
            int(number) for number in numbers if number.isascii() and number.isdecimal() and len(number) < 10
        ]

    def _elsewhere(self, vm: int) -> bool:
        """Return whether oned has a VM on another host; raise Failed where a person has to decide."""
        found = self.vm(vm)
        if found is None or found.host == self.id:
            return False
        if (found.state, found.lcm) != (_ACTIVE, _RUNNING):
            raise Failed(f"VM {vm} runs on host {self.id}, and oned has it on host {found.host}, not RUNNING")
        return True

    def _destroy(self, vm: int) -> None:
        """Destroy what is not the VM's own instance, read once more: it may have moved here since."""
        began = self.monotonic()
        if not self._elsewhere(vm):
            raise Failed(f"VM {vm} moved to host {self.id} meanwhile")
        if self.monotonic() - began > FRESH:
            raise Failed(f"VM {vm} was read too long ago to be destroyed on host {self.id}")
        self.record("stale VM", [f"VM {vm} runs elsewhere and is destroyed here"])
        _log.warning("host %d: VM %d runs elsewhere: its old instance is destroyed", self.id, vm)
        try:
            ssh.run(self.name, [*_VIRSH, "destroy", f"one-{vm}"], timeout=SSH_TIMEOUT, config=self.config)
        except (process.CommandError, ValueError) as error:
            raise Failed(f"host {self.id}: VM {vm} was not destroyed: {error}") from error

    def _warn_of_starts(self) -> None:
        """Report what would run twice if the host failed again and came back by itself."""
        try:
            found = at_boot(self.name, self.config)
        except ValueError as error:
            found = [f"what it starts at boot is not known: {error}"]
        for text in found:
            self.record("boot", [text])
            _log.warning("host %d: %s", self.id, text)

    def _sync(self) -> None:
        tool = self.paths.bin / "onehost"
        argv = [str(tool) if tool.exists() else "onehost", "sync", "--force", self.name]
        try:
            process.run(argv, timeout=SYNC_TIMEOUT)
        except process.CommandError as error:
            raise Failed(f"host {self.id}: its drivers were not synced: {error}") from error

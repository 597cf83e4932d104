"""What a live test makes on the front-end: named after itself, and taken back at its end."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from contextlib import ExitStack, suppress
from enum import IntEnum
from pathlib import Path

import pytest

from onext.oned.errors import NotFound, OnedError
from onext.oned.objects import HostState, Vm, VmState
from tests.live.front_end import FrontEnd, wait_until
from tests.live.recorder import Recorder

_DEFAULT_CLUSTER = 0
_NETWORK_READY = "1"
_IMAGE_READY = ("1", "2")  # READY, USED
_MONITORING = 60  # seconds that a test waits for the next monitoring
_SUBSCRIPTION = 0.5  # seconds that ZeroMQ may take to tell the publisher of a new hook


class HostStatus(IntEnum):
    """What one.host.status takes."""

    ENABLED = 0
    DISABLED = 1
    OFFLINE = 2


class Scene:
    """Hosts, guests and hooks of one test; `close` of `stack` removes them, the last one first."""

    def __init__(self, front_end: FrontEnd, stack: ExitStack) -> None:
        self.front_end = front_end
        self.oned = front_end.oned
        self._stack = stack

    @staticmethod
    def name(kind: str) -> str:
        """Return a name that nobody else has."""
        return f"onext-live-{kind}-{uuid.uuid4().hex[:8]}"

    def host(self) -> int:
        """Make a pretended host and return its id when it is MONITORED."""
        return self.hosts(1)[0]

    def hosts(self, count: int, cluster: int = _DEFAULT_CLUSTER) -> list[int]:
        """Make pretended hosts and return their ids when all are MONITORED."""
        made = [self.unmonitored_host("dummy", cluster) for _ in range(count)]
        for host in made:
            self.wait_for_host(host, HostState.MONITORED)
        return made

    def unmonitored_host(self, driver: str, cluster: int = _DEFAULT_CLUSTER) -> int:
        """Make a host that is monitored by `driver`: by kvm it ends in ERROR, as nobody has its name."""
        host = int(self.oned.call("host.allocate", self.name("host"), driver, "dummy", cluster))
        self._stack.callback(self._remove, "host.delete", host)
        return host

    def switch(self, host: int, status: HostStatus, *, until: HostState) -> None:
        """Enable, disable or set offline, and wait for the state that follows."""
        self.oned.call("host.status", host, int(status))
        self.wait_for_host(host, until)

    def wait_for_host(self, host: int, state: HostState) -> None:
        """Return when the host is in `state`."""
        wait_until(f"host {host} is {state.name}", lambda: self.oned.host(host).state is state)

    def capacity(self, host: int) -> dict[str, str]:
        """Return TOTAL_* and MAX_* of a host's share."""
        share = self.oned.document("host.info", host, False).find("HOST_SHARE")
        assert share is not None
        return {key: share.findtext(key, "") for key in ("TOTAL_CPU", "TOTAL_MEM", "MAX_CPU", "MAX_MEM")}

    def cluster(self) -> int:
        """Make an empty cluster and return its id."""
        cluster = int(self.oned.call("cluster.allocate", self.name("cluster")))
        self._stack.callback(self._remove, "cluster.delete", cluster)
        return cluster

    def system_datastore(self) -> int:
        """Make a datastore that guests can be deployed to without a disk being moved."""
        text = f'NAME="{self.name("datastore")}"\nTYPE="SYSTEM_DS"\nTM_MAD="dummy"\n'
        datastore = int(self.oned.call("datastore.allocate", text, _DEFAULT_CLUSTER))
        self._stack.callback(self._remove, "datastore.delete", datastore)
        return datastore

    def network(self, address: str, *, allowed: bool = True, shared: bool = False) -> int:
        """Make a network that leases `address`; `allowed` lets its VMs be scraped, `shared` lets several have it."""
        part = f'TYPE="IP4", IP="{address}", SIZE="1"' + (', SHARED="YES"' if shared else "")
        text = f'NAME="{self.name("network")}"\nVN_MAD="dummy"\nBRIDGE="none"\nAR=[ {part} ]\n'
        text += 'ONEXT_SCRAPE="YES"\n' if allowed else ""
        network = int(self.oned.call("vn.allocate", text, _DEFAULT_CLUSTER))
        self._stack.callback(self._remove, "vn.delete", network)
        wait_until(
            f"network {network} is ready",
            lambda: self.oned.document("vn.info", network).findtext("STATE") == _NETWORK_READY,
        )
        return network

    def image(self, megabytes: int) -> int:
        """Make an empty image in a datastore of its own and return its id when it is ready."""
        text = f'NAME="{self.name("images")}"\nTYPE="IMAGE_DS"\nDS_MAD="dummy"\nTM_MAD="dummy"\n'
        datastore = int(self.oned.call("datastore.allocate", text, _DEFAULT_CLUSTER))
        self._stack.callback(self._remove, "datastore.delete", datastore)
        text = f'NAME="{self.name("image")}"\nTYPE="DATABLOCK"\nSIZE="{megabytes}"\nPERSISTENT="NO"\n'
        image = int(self.oned.call("image.allocate", text, datastore, True))  # its capacity is not known yet
        self._stack.callback(self._remove, "image.delete", image)
        wait_until(f"image {image} is ready", lambda: self._image_state(image) in _IMAGE_READY)
        return image

    def _image_state(self, image: int) -> str:
        return self.oned.document("image.info", image).findtext("STATE", "")

    def guest(self, template: str = "") -> int:
        """Make a guest without disks that waits to be deployed (HOLD) and return its id."""
        text = f'NAME="{self.name("guest")}"\nCPU="0.1"\nMEMORY="16"\n{template}'
        guest = int(self.oned.call("vm.allocate", text, True))
        self._stack.callback(self.end_guest, guest)
        wait_until(f"guest {guest} is held", lambda: self.oned.vm(guest).state is VmState.HOLD)
        return guest

    def pending(self, template: str) -> int:
        """Make a guest that the scheduler has to place and return its id."""
        guest = int(self.oned.call("vm.allocate", template, False))
        self._stack.callback(self.end_guest, guest)
        return guest

    def wait_for_running(self, guest: int, *, seconds: float = 60.0) -> Vm:
        """Return the guest when it runs."""
        wait_until(f"guest {guest} runs", lambda: self.oned.vm(guest).running, seconds=seconds)
        return self.oned.vm(guest)

    def folder(self) -> Path:
        """Make a folder for the front-end's own user."""
        folder = self.front_end.paths.one_var / self.name("folder")
        folder.mkdir(mode=0o750)
        self._stack.callback(shutil.rmtree, folder)
        owner = (self.front_end.paths.remotes / "hooks").stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        return folder

    def recorder(self) -> Recorder:
        """Place a command that records its events."""
        recorder = Recorder.install(self.front_end.paths.remotes / "hooks", self.name("hook"))
        self._stack.callback(recorder.remove)
        return recorder

    def hook(self, text: str) -> int:
        """Register a hook and return its id when the hook manager listens for it.

        It must: one that is deleted before the hook manager has read it ends that one's loop, silently and for
        every hook of the front-end (onehem-server.rb of 7.0.2, HookMap.delete), until it is restarted.
        """
        hook = int(self.oned.call("hook.allocate", f'NAME="{self.name("hook")}"\nTYPE="state"\n{text}'))
        self._stack.callback(self._remove, "hook.delete", hook)
        wait_until(f"the hook manager knows hook {hook}", lambda: self.front_end.listens_for(hook))
        time.sleep(_SUBSCRIPTION)
        return hook

    def exit_codes(self, hook: int) -> list[int]:
        """Return the exit codes in the hook's log, as oned keeps them."""
        log = self.oned.document("hook.info", hook)
        return [int(code.text or "") for code in log.iterfind(".//EXECUTION_RESULT/CODE")]

    def hook_codes(self, name: str) -> list[int]:
        """Return the exit codes in the log of a registered hook."""
        pool = self.oned.document("hookpool.info", -2, -1, -1)
        (hook,) = (int(item.findtext("ID", "")) for item in pool if item.findtext("NAME") == name)
        return self.exit_codes(hook)

    def monitored_again(self, host: int) -> None:
        """Return after the next monitoring of `host`; skip the test where that takes minutes."""

        def newest() -> int:
            records = self.oned.document("host.monitoring", host).iterfind(".//TIMESTAMP")
            return max((int(record.text or 0) for record in records), default=0)

        before, deadline = newest(), time.monotonic() + _MONITORING
        while newest() == before:
            if time.monotonic() > deadline:
                pytest.skip(
                    f"hosts are monitored less than every {_MONITORING} s here (monitord.conf, MONITOR_HOST)"
                )
            time.sleep(1)

    def end_guest(self, guest: int) -> None:
        """Terminate the guest as soon as its state allows it, and wait until it is DONE."""

        def gone() -> bool:
            if self.oned.vm(guest).state is VmState.DONE:
                return True
            with suppress(OnedError):  # it is being migrated, or ends already
                self.oned.call("vm.action", "terminate-hard", guest)
            return False

        wait_until(f"guest {guest} is gone", gone)

    def _remove(self, method: str, number: int) -> None:
        def gone() -> bool:
            try:
                self.oned.call(method, number)
            except NotFound:
                return True
            except OnedError:  # still in use: a guest's end takes its time
                return False
            return True

        wait_until(f"{method} {number} is accepted", gone)

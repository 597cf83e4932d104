"""The real world: oned, the host's BMC, ssh and `onehost sync`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from onext import bounds, process, ssh
from onext.cloud.snapshot import clock
from onext.hosts.actions.world import Answer, Failed, MoveRefused, Sight
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import BmcError
from onext.hosts.bmc.protocol import Bmc as BmcOf
from onext.hosts.bmc.protocol import Power
from onext.hosts.claims import (
    HOST_RECORDS,
    RECORD_KEY,
    STATE_KEY,
    HostRecord,
    claim_vector,
    effective,
    expects,
    record_vector,
)
from onext.hosts.inventory.cluster import exclusion
from onext.hosts.inventory.vms import BOUND
from onext.hosts.model import NOT_OURS, OPEN, Bmc, Claim, Record
from onext.oned import stream
from onext.oned.documents import Documents, Stored
from onext.oned.errors import NotFound, OnedError, Refused, Unauthorised
from onext.oned.objects import HostState, VmState, attribute
from onext.part import Context
from onext.xml import Element, MalformedXML, parse

ENABLED, DISABLED, OFFLINE = 0, 1, 2  # the argument of one.host.status
NO_DATASTORE, LIVE, COLD = -1, True, False
SSH_TIMEOUT, SYNC_TIMEOUT = 10.0, 120.0
T = TypeVar("T")


@dataclass(frozen=True)
class Access:
    """How hosts are reached, and which are never switched off."""

    bmc_timeout: float = 8.0  # seconds
    ssh_config: Path | None = None
    front_end_hosts: Sequence[str] = ()


class Effects:
    """Effects on behalf of this server, in the Raft term in which it began."""

    def __init__(
        self, context: Context, book: BmcConfig, server: int, term: int, access: Access = Access()
    ) -> None:
        self.context, self.book, self.access = context, book, access
        self.server, self.term = server, term
        self.migrations: list[float] = []
        self.moved: list[tuple[int, int]] = []  # (VM, source host)
        self._records: Documents[HostRecord] | None = None
        self._stored: dict[int, tuple[str, Stored[HostRecord] | None]] = {}  # name and document as last read

    @property
    def records(self) -> Documents[HostRecord]:
        """The documents of all hosts."""
        if self._records is None:
            self._records = Documents(self.context.oned, HOST_RECORDS, self.context.now)
        return self._records

    def now(self) -> float:
        """Return the time of day."""
        return self.context.now()

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return clock()

    def stopped(self) -> bool:
        """Whether `onext stop` was given for this part, or for all."""
        return self.context.stopped("power")

    def see(self, host: int, *, whole: bool = False) -> Sight:
        """Read a host and its document; `whole`: also, in the pool of VMs, what its own list leaves out."""
        element = _tried(lambda: self.context.oned.document("host.info", host, False))
        name = element.findtext("NAME", "")
        stored = _tried(lambda: self.records.get(host))
        self._stored[host] = name, stored
        claim, record = effective(stored, _vector(element, STATE_KEY), name)
        listed = {int(item.text or -1) for item in element.iterfind("VMS/ID")}
        return Sight(
            host,
            name,
            HostState(int(element.findtext("STATE", "0"))),
            frozenset(listed | (self._bound(host) if whole else set())),
            _wild(element),
            claim,
            record,
            _capacity(element),
            float(element.findtext("MONITORING/TIMESTAMP", "0") or 0),
            int(element.findtext("CLUSTER_ID", "-1")),
            exclusion(lambda key: element.findtext(f"TEMPLATE/{key}", ""), name, self.access.front_end_hosts),
        )

    def _bound(self, host: int) -> set[int]:
        """Return the VMs whose last history record is this host, in any state that binds them to it."""
        here = re.compile(b"<HID>%d</HID>" % host)
        source = self.context.oned.source

        def read() -> set[int]:
            pool = stream.pool(source, "vmpool.info", *stream.ALL_VMS, tag="VM")
            elements = (parse(vm) for vm in pool if here.search(vm))
            return {
                int(vm.findtext("ID", "-1"))
                for vm in elements
                if _last_host(vm) == host and VmState(int(vm.findtext("STATE", "0"))) in BOUND
            }

        return _tried(read)

    def others(self, host: int) -> int:
        """Count the hosts of the same cluster, but this one, that take VMs now."""
        source = self.context.oned.source
        hosts = _tried(lambda: [parse(one) for one in stream.pool(source, "hostpool.info", tag="HOST")])
        records = _tried(self.records.all)
        clusters = {one.findtext("ID"): one.findtext("CLUSTER_ID") for one in hosts}
        same = (one for one in hosts if one.findtext("CLUSTER_ID") == clusters.get(str(host)))
        return sum(_takes_vms(one, records) for one in same if one.findtext("ID") != str(host))

    def write(
        self, host: int, claim: Claim | None, record: Record | None = None, *, before: Claim | None = None
    ) -> None:
        """Write the host's document, and then the copy in its template."""
        if host not in self._stored:
            self.see(host)
        name, stored = self._stored[host]
        known = stored.value if stored else None
        if not expects(known, before):
            raise Failed(f"host {host}: another writer has changed its record meanwhile")
        value = HostRecord(name, claim, record or (known.record if known else Record()))
        version = stored.version if stored else None
        self._stored[host] = name, _tried(lambda: self.records.put(host, value, version))
        vector = claim_vector(claim) if claim else None
        copy = {STATE_KEY: vector, RECORD_KEY: record_vector(value.record)}
        _tried(lambda: self.context.oned.update_host(host, copy))

    def disable(self, host: int) -> None:
        """Let the scheduler place nothing more."""
        self._status(host, DISABLED)

    def offline(self, host: int) -> None:
        """Take the host OFFLINE."""
        self._status(host, OFFLINE)

    def enable(self, host: int) -> None:
        """Let the host take VMs."""
        self._status(host, ENABLED)

    def _status(self, host: int, status: int) -> None:
        _tried(lambda: self.context.oned.call("host.status", host, status))

    def migrate(self, number: int, source: int, target: int) -> bool:
        """Begin a migration if the VM is still on its source and may move now."""
        try:
            vm = self.context.oned.vm(number)
        except NotFound:
            return False
        except OnedError as error:
            raise Failed(str(error)) from error
        parked = vm.state in (VmState.POWEROFF, VmState.SUSPENDED)
        if vm.host_id != source or not (vm.running or parked):
            return False
        live = COLD if parked else LIVE
        # live, enforce: oned itself refuses what does not fit
        try:
            self.context.oned.call("vm.migrate", number, target, live, True, NO_DATASTORE, 0)
        except (Refused, Unauthorised) as error:
            raise MoveRefused(bounds.words(str(error), 200)) from error
        except OnedError as error:
            raise Failed(str(error)) from error
        self.migrations.append(self.now())
        self.moved.append((number, source))
        return True

    def ask_bmc(self, host: int) -> Answer:
        """Ask for power; a host without an entry is SILENT."""
        try:
            reading = self._bmc(host).power()
        except BmcError as error:
            return Answer(Bmc.SILENT, str(error))
        states = {Power.ON: Bmc.ON, Power.OFF: Bmc.OFF}
        return Answer(states.get(reading.power, Bmc.SILENT), reading.reason)

    def _bmc(self, host: int) -> BmcOf:
        return self.book.bmc(host, timeout=self.access.bmc_timeout, ssh_config=self.access.ssh_config)

    def proves_off(self, host: int) -> bool:
        """Whether its BMC can report OFF; a missing one proves nothing."""
        try:
            return self._bmc(host).proves_off
        except BmcError:
            return True

    def switch_bmc(self, host: int, what: str) -> str:
        """Order `on`, `off-soft` or `off-hard`."""
        try:
            bmc = self._bmc(host)
            {"on": bmc.switch_on, "off-soft": bmc.soft_off, "off-hard": bmc.hard_off}[what]()
        except BmcError as error:
            return str(error)
        return ""

    def reachable(self, host: int) -> bool:
        """Whether the host lets us in by ssh."""
        name = _tried(lambda: self.context.oned.host(host)).name
        try:
            ssh.run(name, ["true"], timeout=SSH_TIMEOUT, config=self.access.ssh_config)
        except (process.CommandError, ValueError):
            return False
        return True

    def sync(self, host: int) -> None:
        """Run `onehost sync --force` for this host: it skips OFFLINE hosts, which wake with old drivers."""
        name = _tried(lambda: self.context.oned.host(host)).name
        tool = self.context.paths.bin / "onehost"
        argv = [str(tool) if tool.exists() else "onehost", "sync", "--force", name]
        try:
            process.run(argv, timeout=SYNC_TIMEOUT)
        except process.CommandError as error:
            raise Failed(str(error)) from error


def _tried(call: Callable[[], T]) -> T:
    try:
        return call()
    except (OnedError, MalformedXML) as error:
        raise Failed(str(error)) from error


def _takes_vms(element: Element, records: Mapping[int, Stored[HostRecord]]) -> bool:
    stored = records.get(int(element.findtext("ID", "-1")))
    claim, _ = effective(stored, _vector(element, STATE_KEY), element.findtext("NAME", ""))
    free = claim is None or claim.phase in NOT_OURS or not claim.verified
    return free and element.findtext("STATE") in {str(state.value) for state in OPEN}


def _vector(element: Element, key: str) -> dict[str, str] | str | None:
    found = element.find(f"TEMPLATE/{key}")
    value = attribute(found) if found is not None else None
    return dict(value) if value is not None and not isinstance(value, str) else value


def _wild(element: Element) -> int:
    """Count the VMs on a host that OpenNebula does not know."""
    found = bounds.whole(element.findtext("TEMPLATE/TOTAL_WILDS", "0"), 0, 10**6)
    return len(element.findall("TEMPLATE/VM")) if found is None else found


def _last_host(vm: Element) -> int:
    """Return the host of the last history record, -1 without one."""
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    found = bounds.whole(records[-1].findtext("HID"), -1, 2**31) if records else None
    return -1 if found is None else found


def _capacity(element: Element) -> dict[str, str]:
    """Return what oned forgets of an OFFLINE host."""
    share = element.find("HOST_SHARE")
    if share is None or share.findtext("TOTAL_CPU", "0") == "0":
        return {}
    kept = {key: share.findtext(key, "0") for key in ("TOTAL_CPU", "TOTAL_MEM", "MAX_CPU", "MAX_MEM")}
    kept |= {key: element.findtext(f"TEMPLATE/{key}", "") for key in ("RESERVED_CPU", "RESERVED_MEM")}
    cores = [node.findall("CORE") for node in share.iterfind("NUMA_NODES/NODE")]
    kept["NUMA"] = " ".join(str(len(node)) for node in cores)
    kept["PCI"] = " ".join(pci.findtext("SHORT_ADDRESS", "") for pci in share.iterfind("PCI_DEVICES/PCI"))[
        :400
    ]
    return kept

"""Metrics of the VM pool: lines written straight from the bytes of each element.

This is the loop that decides what a scrape of 10,000 VMs costs. Hence no object per VM, and the lines that
come from a VM's templates and history are kept until those bytes change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.exposition import Samples, escape
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed

MIB = 1 << 20
_STATE = re.compile(rb"<STATE>(\d+)</STATE>\s*<LCM_STATE>(\d+)</LCM_STATE>")
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)
_SCALARS, _NICS = {b"CPU", b"MEMORY", b"VCPU"}, {b"NIC", b"PCI"}
# What is remembered of a VM, each a line or more of its metric, in this order.
_FIXED = (
    "opennebula_vm_info",
    "opennebula_vm_host_id",
    "opennebula_vm_ut_flavours",
    "opennebula_vm_disks",
    "opennebula_vm_nics",
    "opennebula_vm_mem_total_bytes",
    "opennebula_vm_cpu_ratio",
    "opennebula_vm_cpu_vcpus",
    "opennebula_vm_disk_size_bytes",
)
_LINES = b"\0".join(
    b'%b{one_vm_id="%%b"%b} %%b\n' % (metric.encode(), b"%b" if metric == _FIXED[0] else b"")
    for metric in _FIXED[:-1]
)


@dataclass
class Vms:
    """What a pool gave: samples, the host of each VM by id, and how many VMs could not be read."""

    samples: Samples = field(default_factory=Samples)
    hosts: dict[int, int] = field(default_factory=dict)
    errors: int = 0


class _Known(NamedTuple):
    """What followed from a VM's name, templates and history, and the hash of those bytes."""

    hash: int
    host: int
    cluster: int
    lines: tuple[bytes, ...]


class Reader:
    """Reads pool after pool, and remembers of each VM what will not change by itself."""

    def __init__(self, clusters: Collection[int] = ()) -> None:
        self._clusters = clusters
        self._known: dict[bytes, _Known] = {}

    def read(self, elements: Iterable[bytes]) -> Vms:
        """Return the metrics of every `<VM>` (on hosts of the clusters, where given)."""
        found, known, total = Vms(), dict[bytes, _Known](), 0
        for element in elements:
            try:
                total += self._vm(element, found, known)
            except (ValueError, Malformed):
                total += 1
                found.errors += 1
        self._known = known  # without those that are gone
        found.samples.add("opennebula_vm_total", total)
        return found

    def _vm(self, element: bytes, found: Vms, known: dict[bytes, _Known]) -> bool:
        vm, at = section(element, b"ID")
        states = _STATE.search(element, at)
        template = element.find(b"<TEMPLATE>", at)
        if states is None or template < 0:
            raise Malformed(f"VM {vm!r} has no state or no template")
        # Between the two stand PERMISSIONS, LAST_POLL and MONITORING, which change and are not shown.
        fixed = hash((element[: element.find(b"<PERMISSIONS>")], element[template:]))
        one = self._known.get(vm)
        if one is None or one.hash != fixed:
            one = _Known(fixed, *_read(vm, element, at, template))
        known[vm] = one
        if self._clusters and one.cluster not in self._clusters:
            return False
        found.hosts[int(vm)] = one.host
        lines, (state, lcm_state) = found.samples.lines, states.groups()
        lines["opennebula_vm_state"].append(b'opennebula_vm_state{one_vm_id="%b"} %b\n' % (vm, state))
        lines["opennebula_vm_lcm_state"].append(
            b'opennebula_vm_lcm_state{one_vm_id="%b"} %b\n' % (vm, lcm_state)
        )
        for metric, line in zip(_FIXED, one.lines, strict=True):
            lines[metric].append(line)
        return True


def _read(vm: bytes, element: bytes, at: int, template_at: int) -> tuple[int, int, tuple[bytes, ...]]:
    """Return host, cluster and lines of a VM that is new or has changed."""
    user, at = section(element, b"UNAME", at)
    group, at = section(element, b"GNAME", at)
    name, at = section(element, b"NAME", at)
    template, at = section(element, b"TEMPLATE", template_at)
    user_template, at = section(element, b"USER_TEMPLATE", at)
    host, cluster = _place(section(element, b"HISTORY_RECORDS", at)[0])
    named = b',name="%b",user="%b",group="%b"' % (_label(name), _label(user), _label(group))
    resources, sizes = _resources(vm, template)
    values = (b"%d" % host, flavours(user_template), *resources)
    filled = _LINES % (vm, named, b"1", *(part for value in values for part in (vm, value)))
    return host, cluster, (*(filled.split(b"\0")), sizes)


def _resources(vm: bytes, template: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Return disks, interfaces, memory, CPU and virtual CPUs, and the lines of the disks' sizes."""
    disks = nics = 0
    sizes = b""
    scalars = {b"VCPU": b"1"}
    for tag, content in children(template):
        if tag in _SCALARS:
            scalars[tag] = _inner(content) or scalars.get(tag, b"")
        elif tag == b"DISK":
            if disk := _inner(section(content, b"DISK_ID")[0]):
                disks += 1
                sizes += _size(vm, int(disk), _inner(section(content, b"SIZE")[0]))
        elif tag in _NICS:
            nics += b"<NIC_ID>" in content
    cpu, memory = float(scalars.get(b"CPU", b"")), int(scalars.get(b"MEMORY", b"")) * MIB
    values = (disks, nics, memory, cpu, int(scalars[b"VCPU"]))
    return tuple([repr(value).encode() for value in values]), sizes


def _size(vm: bytes, disk: int, size: bytes) -> bytes:
    if not size:
        return b""
    line = b'opennebula_vm_disk_size_bytes{one_vm_id="%b",disk_id="%d"} %d\n'
    return line % (vm, disk, int(size) * MIB)


def _place(records: bytes) -> tuple[int, int]:
    """Return host and cluster of the last history record, -1 where there is none."""
    last = records.rfind(b"<HID>")
    if last < 0:
        return -1, -1
    return int(section(records, b"HID", last)[0]), int(section(records, b"CID", last)[0] or b"-1")


def flavours(user_template: bytes) -> bytes:
    """Return FLAVOURS where it is a plain number, else -1."""
    if b"<FLAVOURS>" not in user_template:
        return b"-1"
    found = (text(content).strip() for tag, content in children(user_template) if tag == b"FLAVOURS")
    value = next(found, "")
    return value.encode() if _NUMBER.fullmatch(value) else b"-1"


def _label(raw: bytes) -> bytes:
    """Return a name as a label's value; NUL, which XML cannot hold, parts our lines."""
    return raw if raw.isalnum() else escape(text(raw)).replace("\0", "").encode()


def _inner(raw: bytes) -> bytes:
    return raw[9:-3] if raw.startswith(b"<![CDATA[") else raw

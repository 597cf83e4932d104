"""Metrics of the VM pool: lines written straight from the bytes of each element.

This is the loop that decides what a scrape of 10,000 VMs costs. Hence no object per VM: its element is
searched for the few tags that count, and all lines of a metric are written at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from exporter.exposition import Samples, escape
from onext.oned.elements import children, end_of, section, text
from onext.oned.errors import Malformed

MIB = 1 << 20
# What follows a metric's name, VM by VM.
_LINES = {
    "opennebula_vm_state": b'{one_vm_id="%b"} %b',
    "opennebula_vm_lcm_state": b'{one_vm_id="%b"} %b',
    "opennebula_vm_info": b'{one_vm_id="%b",%b} 1',
    "opennebula_vm_host_id": b'{one_vm_id="%b"} %d',
    "opennebula_vm_ut_flavours": b'{one_vm_id="%b"} %b',
    "opennebula_vm_disks": b'{one_vm_id="%b"} %d',
    "opennebula_vm_nics": b'{one_vm_id="%b"} %d',
    "opennebula_vm_mem_total_bytes": b'{one_vm_id="%b"} %d',
    "opennebula_vm_cpu_ratio": b'{one_vm_id="%b"} %a',
    "opennebula_vm_cpu_vcpus": b'{one_vm_id="%b"} %d',
}
_SIZES = "opennebula_vm_disk_size_bytes"
_SIZE_LINE = b'opennebula_vm_disk_size_bytes{one_vm_id="%b",disk_id="%d"} %d\n'
_NAME = rb"((?:<!\[CDATA\[)?[^<]*)"
_HEAD = re.compile(
    rb"<VM>\s*<ID>(\d+)</ID>(?:\s*<[UG]ID>\d+</[UG]ID>)*"
    rb"\s*<UNAME>%b</UNAME>\s*<GNAME>%b</GNAME>\s*<NAME>%b</NAME>" % (_NAME, _NAME, _NAME)
)
_STATE = re.compile(rb"<STATE>(\d+)</STATE>\s*<LCM_STATE>(\d+)</LCM_STATE>")
# What counts in a template: three values, where no end tag of a vector follows (the last one's is the
# template's own), and vectors, which hold values only: those that are looked into, or passed over, whole.
_VALUE = rb"<[^<>/]+(?:/>|>(?:<!\[CDATA\[)?[^<]*</[^>]+>)"
_VALUES = [
    rb"%b>(?:<!\[CDATA\[)?(?P<%b>[^<\]]*)[^<]*</[^>]+>(?!(?:%b)*</(?!TEMPLATE>))" % (tag, tag, _VALUE)
    for tag in (b"CPU", b"MEMORY", b"VCPU")
]
_VECTORS = {name: name.encode() for name in ("CONTEXT", "DISK", "NIC", "PCI", "TEMPLATE")}
_CHILD = re.compile(
    b"<(?:%b|/TEMPLATE>(?P<END>))"
    % b"|".join([*_VALUES, *(b"%b>(?P<%b>)" % (tag, tag) for tag in _VECTORS.values())])
)
_DISK_ID, _SIZE = (re.compile(rb"<%b>(?:<!\[CDATA\[)?([^<\]]+)" % tag) for tag in (b"DISK_ID", b"SIZE"))
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)


@dataclass
class Vms:
    """What a pool gave: samples, the host of each VM by id, and how many VMs could not be read."""

    samples: Samples = field(default_factory=Samples)
    hosts: dict[int, int] = field(default_factory=dict)
    errors: int = 0


# A VM's id, and its values in the order of _LINES.
_Row = tuple[bytes, bytes, bytes, bytes, int, bytes, int, int, int, float, int]


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Vms:
    """Return the metrics of every `<VM>` (on hosts of `clusters`, where given)."""
    found, rows, total = Vms(), list[_Row](), 0
    for element in elements:
        try:
            total += _vm(element, clusters, rows, found)
        except (ValueError, Malformed):
            total += 1
            found.errors += 1
    ids, *columns = zip(*rows, strict=True) if rows else [()]
    for (metric, line), column in zip(_LINES.items(), columns, strict=False):
        found.samples.table(metric, line, zip(ids, column, strict=True))
    found.samples.add("opennebula_vm_total", total)
    return found


def _vm(element: bytes, clusters: Collection[int], rows: list[_Row], found: Vms) -> bool:
    head = _HEAD.match(element)
    states = _STATE.search(element, head.end()) if head else None
    if head is None or states is None:
        raise Malformed(f"no name or no state: {element[:80]!r}")
    vm, user, group, name = head.groups()
    values, disks, nics, at = _template(element, states.end())
    user_template, at = section(element, b"USER_TEMPLATE", at)
    place = element.rfind(b"<HID>", at)  # of the last history record
    host = int(section(element, b"HID", place)[0]) if place >= 0 else -1
    if clusters and (place < 0 or int(section(element, b"CID", place)[0]) not in clusters):
        return False
    info = b'name="%b",user="%b",group="%b"' % (_label(name), _label(user), _label(group))
    cpu, memory, vcpus = float(values["CPU"]), int(values["MEMORY"]) * MIB, int(values["VCPU"] or 1)
    sizes = [_SIZE_LINE % (vm, int(disk), int(size) * MIB) for disk, size in disks if size]
    state, lcm_state = states.groups()
    rows.append(
        (vm, state, lcm_state, info, host, flavours(user_template), len(disks), nics, memory, cpu, vcpus)
    )
    found.samples.lines[_SIZES] += sizes
    found.hosts[int(vm)] = host
    return True


def _template(element: bytes, at: int) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]], int, int]:
    """Return CPU, MEMORY and VCPU, the id and size of each disk, how many interfaces, and where it ends."""
    values = {"CPU": b"", "MEMORY": b"", "VCPU": b""}
    disks: list[tuple[bytes, bytes]] = []
    nics = 0
    at = element.find(b"<TEMPLATE>", at) + len(b"<TEMPLATE>")
    while child := _CHILD.search(element, at):
        name, at = child.lastgroup or "", child.end()
        if name in values:
            values[name] = child[name]
            continue
        if name == "END":
            return values, disks, nics, at
        end = end_of(_VECTORS[name], element, at)
        if name == "DISK" and (disk := _DISK_ID.search(element, at, end)):
            size = _SIZE.search(element, at, end)
            disks.append((disk[1], size[1] if size else b""))
        elif name in ("NIC", "PCI"):
            nics += element.find(b"<NIC_ID>", at, end) >= 0
        at = end + len(name) + len("</>")
    raise Malformed(f"no end of the template: {element[:80]!r}")


def flavours(user_template: bytes) -> bytes:
    """Return FLAVOURS where it is a plain number, else -1."""
    if b"<FLAVOURS>" not in user_template:
        return b"-1"
    found = (text(content).strip() for tag, content in children(user_template) if tag == b"FLAVOURS")
    value = next(found, "")
    return value.encode() if _NUMBER.fullmatch(value) else b"-1"


def _label(raw: bytes) -> bytes:
    return raw if raw.isalnum() else escape(text(raw)).encode()

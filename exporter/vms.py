"""Metrics of the VM pool: lines written straight from the bytes of each element.

This is the loop that decides what a scrape of 10,000 VMs costs. Hence no object per VM: its element is
searched for the few tags that count, and all lines of a metric are written at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from exporter.collected import Collected, label, number, plain, whole
from onext.oned.elements import children, end_of, section, text
from onext.oned.errors import Malformed

MIB = 1 << 20
_DIGITS = 18  # of a disk's id and size together
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
# template's own), and vectors, which hold values only: those that are read, or skipped, as a whole.
_VALUE = rb"<[^<>/]+(?:/>|>(?:<!\[CDATA\[)?[^<]*</[^>]+>)"
# Where so many values follow that reading all of them for each would take long, MANY_* is matched instead.
_MANY = b"(?=(?P<MANY_%b>(?:%b){100}))"
_VALUES = [
    rb"%b>(?:<!\[CDATA\[)?(?P<%b>[^<\]]*)(?:\][^<]*)?</[^>]+>(?:%b|(?!(?:%b)*</(?!TEMPLATE>)))"
    % (tag, tag, _MANY % (tag, _VALUE), _VALUE)
    for tag in (b"CPU", b"MEMORY", b"VCPU")
]
_VECTORS = {name: name.encode() for name in ("CONTEXT", "DISK", "NIC", "PCI", "TEMPLATE")}
_CHILD = re.compile(
    b"<(?:%b|/TEMPLATE>(?P<END>))"
    % b"|".join([*_VALUES, *(b"%b>(?P<%b>)" % (tag, tag) for tag in _VECTORS.values())])
)
_DISK_ID, _SIZE = (re.compile(rb"<%b>(?:<!\[CDATA\[)?([^<\]]+)" % tag) for tag in (b"DISK_ID", b"SIZE"))
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)


# A VM's id, and its values in the order of _LINES; None for what is missing or unreadable.
_Row = tuple[bytes, bytes, bytes, bytes, int, bytes, int, int, int | None, float | None, int | None]


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Collected:
    """Return the metrics of every `<VM>` (on hosts of `clusters`, where given); `places` has each VM's host.

    An unreadable value produces no sample; a VM without a readable id, name or state is left out whole.
    """
    pool = _Pool(clusters)
    total = 0
    for element in elements:
        try:
            total += pool.add(element)
        except (ValueError, Malformed):
            total += 1
            pool.found.errors += 1
    samples = pool.found.samples
    ids, *columns = zip(*pool.rows, strict=True) if pool.rows else [()]
    for (metric, line), column in zip(_LINES.items(), columns, strict=False):
        pairs = zip(ids, column, strict=True)
        samples.table(
            metric, line, (pair for pair in pairs if pair[1] is not None) if None in column else pairs
        )
    samples.add("opennebula_vm_total", total)
    return pool.found


class _Pool:
    """What is put together while a pool is read."""

    def __init__(self, clusters: Collection[int]) -> None:
        self._clusters = clusters
        self.found = Collected()
        self.found.places = self._hosts = dict[int, int]()
        self._sizes = self.found.samples.lines[_SIZES]
        self.rows: list[_Row] = []

    def add(self, element: bytes) -> bool:
        """Read a VM; return whether it counts. Raises Malformed where it has no name or state."""
        head = _HEAD.match(element)
        states = _STATE.search(element, head.end()) if head else None
        if head is None or states is None:
            raise Malformed(f"no name or no state: {element[:80]!r}")
        vm, user, group, name = head.groups()
        values, disks, nics, at = _template(element, states.end())
        user_template, at = section(element, b"USER_TEMPLATE", at)
        place = element.rfind(b"<HID>", at)  # of the last history record
        if self._clusters and (place < 0 or whole(section(element, b"CID", place)[0]) not in self._clusters):
            return False
        host = whole(section(element, b"HID", place)[0]) if place >= 0 else None
        cpu, memory, vcpus = (
            number(values["CPU"]),
            whole(values["MEMORY"], MIB),
            whole(values["VCPU"] or b"1"),
        )
        readable = (cpu is not None or not values["CPU"]) and (memory is not None or not values["MEMORY"])
        self.found.errors += not (self._disks(vm, disks) and readable and vcpus is not None)
        info = b'name="%b",user="%b",group="%b"' % (label(name), label(user), label(group))
        state, lcm_state = states.groups()
        placed = -1 if host is None else host
        flavour = flavours(user_template)
        self.rows.append((vm, state, lcm_state, info, placed, flavour, len(disks), nics, memory, cpu, vcpus))
        self._hosts[int(vm)] = placed
        return True

    def _disks(self, vm: bytes, disks: list[tuple[bytes, bytes]]) -> bool:
        """Add the disks' sizes; return whether all that are there could be read."""
        readable = True
        for disk, size in disks:
            if disk.isdigit() and size.isdigit() and len(disk) + len(size) < _DIGITS:
                self._sizes.append(_SIZE_LINE % (vm, int(disk), int(size) * MIB))
            elif size:
                readable = False
        return readable


def _template(element: bytes, at: int) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]], int, int]:
    """Return CPU, MEMORY and VCPU, the id and size of each disk, how many interfaces, and where it ends."""
    values = {"CPU": b"", "MEMORY": b"", "VCPU": b""}
    disks: list[tuple[bytes, bytes]] = []
    nics = 0
    begin = at
    at = element.find(b"<TEMPLATE>", at) + len(b"<TEMPLATE>")
    while child := _CHILD.search(element, at):
        name, at = child.lastgroup or "", child.end()
        if name in values:
            values[name] = child[name]
            continue
        if name == "END":
            return values, disks, nics, at
        if name not in _VECTORS:
            return _large_template(element, begin)
        end = end_of(_VECTORS[name], element, at)
        if name == "DISK" and (disk := _DISK_ID.search(element, at, end)):
            size = _SIZE.search(element, at, end)
            disks.append((disk[1], size[1] if size else b""))
        elif name in ("NIC", "PCI"):
            nics += element.find(b"<NIC_ID>", at, end) >= 0
        at = end + len(name) + len("</>")
    raise Malformed(f"no end of the template: {element[:80]!r}")


def _large_template(element: bytes, at: int) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]], int, int]:
    """Return the same as _template, in time that grows with the template's length alone."""
    values = {"CPU": b"", "MEMORY": b"", "VCPU": b""}
    disks: list[tuple[bytes, bytes]] = []
    nics = 0
    template, end = section(element, b"TEMPLATE", at)
    for tag, content in children(template):
        name = tag.decode("utf-8", "replace")
        if name in values:
            values[name] = plain(content)
        elif name == "DISK" and (disk := _DISK_ID.search(content)):
            size = _SIZE.search(content)
            disks.append((disk[1], size[1] if size else b""))
        elif name in ("NIC", "PCI"):
            nics += b"<NIC_ID>" in content
    return values, disks, nics, end + len(b"</TEMPLATE>")


def flavours(user_template: bytes) -> bytes:
    """Return FLAVOURS where it is a plain number, else -1."""
    if b"<FLAVOURS>" not in user_template:
        return b"-1"
    found = (text(content).strip() for tag, content in children(user_template) if tag == b"FLAVOURS")
    value = next(found, "")
    return value.encode() if _NUMBER.fullmatch(value) else b"-1"

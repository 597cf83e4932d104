"""Metrics of the VM pool: lines written straight from the bytes of each element.

This is the loop that decides what a scrape of 10,000 VMs costs. Hence no object per VM: its element, in
escaped plain form (onext.oned.escaped), is searched for the few tags that count, and all lines of a metric
are written at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from exporter.collected import Collected, label, number, plain, whole
from onext.oned.elements import children, closing_at, text
from onext.oned.errors import Malformed
from onext.oned.escaped import TEXT, unescape

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
_CDATA = rb"(?:&lt;!\[CDATA\[)?"
_UNBRACKETED = rb"[^&\]]*(?:&(?!lt;)[^&\]]*)*"  # up to the next tag or the end of a CDATA section
_NAME = rb"(%b%b)" % (_CDATA, TEXT)
_HEAD = re.compile(
    rb"&lt;VM&gt;\s*&lt;ID&gt;(\d+)&lt;/ID&gt;(?:\s*&lt;[UG]ID&gt;\d+&lt;/[UG]ID&gt;)*"
    rb"\s*&lt;UNAME&gt;%b&lt;/UNAME&gt;\s*&lt;GNAME&gt;%b&lt;/GNAME&gt;\s*&lt;NAME&gt;%b&lt;/NAME&gt;"
    % (_NAME, _NAME, _NAME)
)
_STATE = re.compile(rb"&lt;STATE&gt;(\d+)&lt;/STATE&gt;\s*&lt;LCM_STATE&gt;(\d+)&lt;/LCM_STATE&gt;")
_HID, _CID = (re.compile(rb"&lt;%b&gt;(\d{1,18})&lt;" % tag) for tag in (b"HID", b"CID"))
# What counts in a template: three values, where no end tag of a vector follows (the last one's is the
# template's own), and vectors, which hold values only: those that are read, or skipped, as a whole.
_VALUE = rb"&lt;[^&/]+(?:/&gt;|&gt;%b%b&lt;/[^&]+&gt;)" % (_CDATA, TEXT)
# Where so many values follow that reading all of them for each would take long, MANY_* is matched instead.
_MANY = b"(?=(?P<MANY_%b>(?:%b){100}))"
_VALUES = [
    rb"%b&gt;%b(?P<%b>%b)(?:\]%b)?&lt;/[^&]+&gt;(?:%b|(?!(?:%b)*&lt;/(?!TEMPLATE&gt;)))"
    % (tag, _CDATA, tag, _UNBRACKETED, TEXT, _MANY % (tag, _VALUE), _VALUE)
    for tag in (b"CPU", b"MEMORY", b"VCPU")
]
_VECTORS = {name: name.encode() for name in ("CONTEXT", "DISK", "NIC", "PCI", "TEMPLATE")}
_ENDS = {name: (b"&lt;%b&gt;" % tag, b"&lt;/%b&gt;" % tag) for name, tag in _VECTORS.items()}
_CHILD = re.compile(
    b"&lt;(?:%b|/TEMPLATE&gt;(?P<END>))"
    % b"|".join([*_VALUES, *(b"%b&gt;(?P<%b>)" % (tag, tag) for tag in _VECTORS.values())])
)
_CONTENT = re.compile(rb"%b(%b)" % (_CDATA, _UNBRACKETED))
_DISK_ID, _SIZE, _NIC_ID = b"&lt;DISK_ID&gt;", b"&lt;SIZE&gt;", b"&lt;NIC_ID&gt;"
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Collected:
    """Return the metrics of every escaped `<VM>` (on hosts of `clusters`, where given).

    `places` has each VM's host. An unreadable value produces no sample; a VM without a readable id, name or
    state is left out whole.
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
    ids = pool.columns[0]
    for (metric, line), column in zip(_LINES.items(), pool.columns[1:], strict=True):
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
        # The VMs' ids, then a column for each of _LINES: None for what is missing or unreadable.
        self.columns: list[list[bytes | float | None]] = [[] for _ in range(len(_LINES) + 1)]

    def add(self, element: bytes) -> bool:
        """Read a VM; return whether it counts. Raises Malformed where it has no name or state."""
        head = _HEAD.match(element)
        states = _STATE.search(element, head.end()) if head else None
        if head is None or states is None:
            raise Malformed("no name or no state")
        vm, user, group, name = head.groups()
        values, disks, nics, at = _template(element, states.end())
        user_template, at = _section(element, b"&lt;USER_TEMPLATE&gt;", b"&lt;/USER_TEMPLATE&gt;", at)
        place = element.rfind(b"&lt;HID&gt;", at)  # of the last history record
        cluster = _CID.search(element, place) if place >= 0 and self._clusters else None
        if self._clusters and (cluster is None or int(cluster[1]) not in self._clusters):
            return False
        found = _HID.match(element, place) if place >= 0 else None
        host = int(found[1]) if found else -1
        cpu, memory, vcpus = (
            number(values["CPU"]),
            whole(values["MEMORY"], MIB),
            whole(values["VCPU"] or b"1"),
        )
        readable = (cpu is not None or not values["CPU"]) and (memory is not None or not values["MEMORY"])
        self.found.errors += not (self._disks(vm, disks) and readable and vcpus is not None)
        info = b'name="%b",user="%b",group="%b"' % (_label(name), _label(user), _label(group))
        flavour = flavours(unescape(user_template)) if b"FLAVOURS" in user_template else b"-1"
        row = (vm, *states.groups(), info, host, flavour, len(disks), nics, memory, cpu, vcpus)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)
        self._hosts[int(vm)] = host
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


@lru_cache(maxsize=4096)
def _label(escaped: bytes) -> bytes:
    """Return the label that an escaped name gives; many VMs have the same owners."""
    return label(unescape(escaped))


def _section(element: bytes, opening: bytes, closing: bytes, at: int) -> tuple[bytes, int]:
    """Return the content of the first element with these tags, and where it ends; (b"", at) without one."""
    start = element.find(opening, at)
    if start < 0:
        return b"", at
    end = closing_at(opening, closing, element, start + len(opening))
    return element[start + len(opening) : end], end


def _template(element: bytes, at: int) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]], int, int]:
    """Return CPU, MEMORY and VCPU, the id and size of each disk, how many interfaces, and where it ends."""
    values = {"CPU": b"", "MEMORY": b"", "VCPU": b""}
    disks: list[tuple[bytes, bytes]] = []
    nics = 0
    begin = at
    at = element.find(b"&lt;TEMPLATE&gt;", at) + len(b"&lt;TEMPLATE&gt;")
    while child := _CHILD.search(element, at):
        name, at = child.lastgroup or "", child.end()
        if name in values:
            values[name] = child[name]
            continue
        if name == "END":
            return values, disks, nics, at
        if name not in _VECTORS:
            return _large_template(element, begin)
        opening, closing = _ENDS[name]
        end = closing_at(opening, closing, element, at)
        if name == "DISK":
            if disk := _content(element, _DISK_ID, at, end):
                disks.append((disk, _content(element, _SIZE, at, end)))
        elif name in ("NIC", "PCI"):
            nics += element.find(_NIC_ID, at, end) >= 0
        at = end + len(closing)
    raise Malformed("no end of the template")


def _content(element: bytes, tag: bytes, at: int, end: int) -> bytes:
    """Return a value's content as it is written, nothing where it is missing."""
    start = element.find(tag, at, end)
    found = _CONTENT.match(element, start + len(tag), end) if start >= 0 else None
    return found[1] if found else b""


def _large_template(element: bytes, at: int) -> tuple[dict[str, bytes], list[tuple[bytes, bytes]], int, int]:
    """Return the same as _template, in time that grows with the template's length alone."""
    values = {"CPU": b"", "MEMORY": b"", "VCPU": b""}
    disks: list[tuple[bytes, bytes]] = []
    nics = 0
    content, end = _section(element, b"&lt;TEMPLATE&gt;", b"&lt;/TEMPLATE&gt;", at)
    for tag, value in children(unescape(content)):
        name = tag.decode("utf-8", "replace")
        if name in values:
            values[name] = plain(value)
        elif name == "DISK":
            vector = {key: plain(one) for key, one in children(value)}
            if disk := vector.get(b"DISK_ID"):
                disks.append((disk, vector.get(b"SIZE", b"")))
        elif name in ("NIC", "PCI"):
            nics += b"<NIC_ID>" in value
    return values, disks, nics, end + len(b"&lt;/TEMPLATE&gt;")


def flavours(user_template: bytes) -> bytes:
    """Return FLAVOURS where it is a plain number, else -1."""
    if b"<FLAVOURS>" not in user_template:
        return b"-1"
    found = (text(content).strip() for tag, content in children(user_template) if tag == b"FLAVOURS")
    value = next(found, "")
    return value.encode() if _NUMBER.fullmatch(value) else b"-1"

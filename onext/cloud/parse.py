"""From the bytes of one element (plain form, see onext.oned.elements) to a value of onext.cloud.model.

Each object is read alone. What decides about a VM or host (its id, state, place, size) must be as oned writes
it, or the whole object is returned with a `problem`; anything else that cannot be read is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from sys import intern
from typing import TypeVar

from onext import bounds
from onext.cloud.fields import (
    LONGEST,
    MOST_ATTRIBUTES,
    Fields,
    Unreadable,
    attribute_name,
    ids,
    optional,
    read_attribute,
    read_fields,
    read_template,
    read_vector,
    required,
    vector_parts,
    word,
)
from onext.cloud.model import (
    AddressRange,
    Attribute,
    Cluster,
    Datastore,
    Disk,
    Host,
    Image,
    Network,
    Nic,
    Stay,
    Template,
    Vm,
    scalar,
)
from onext.oned.elements import children, text
from onext.oned.errors import Malformed

Item = TypeVar("Item", Vm, Host, Cluster, Datastore, Network, Image)

_ID = re.compile(rb"<[A-Z]+>\s*<ID>(\d{1,10})</ID>")
_NAME = re.compile(rb"<NAME>([^<]{1,256}|<!\[CDATA\[[^<]{1,256})</NAME>")
_CLUSTER = re.compile(rb"<CLUSTER_ID>(?:<!\[CDATA\[)?(\d{1,10})")
_HID = re.compile(rb"<HID>(?:<!\[CDATA\[)?(\d{1,10})(?:\]\]>)?</HID>")
_ADDRESSES = (b"IP", b"IP6", b"IP6_GLOBAL", b"IP6_ULA", b"EXTERNAL_IP")  # IP6_LINK is of no use to others
_LEFT_OUT = frozenset({b"CONTEXT", b"SECURITY_GROUP_RULE", b"NIC_DEFAULT", b"SNAPSHOT"})


def safely(read: Callable[[bytes], Item], kind: Callable[..., Item], element: bytes) -> Item | None:
    """Return what `read` makes of an element, one with a `problem` where it fails, None without an id."""
    try:
        return read(element)
    except (ValueError, KeyError, Malformed, RecursionError) as error:
        found = _ID.match(element)
        reason = bounds.words(f"{type(error).__name__}: {error}", 200)
        return kind(id=int(found[1]), problem=reason, **_remains(kind, element)) if found else None


def _remains(kind: object, element: bytes) -> dict[str, object]:
    """Return what still tells people and guards which object it is that cannot be read, and where."""
    name = _NAME.search(element)
    found: dict[str, object] = {"name": text(name[1])} if name else {}
    if kind is Host and (cluster := _CLUSTER.search(element)):
        found["cluster_id"] = int(cluster[1])
    records = element[max(element.rfind(b"<HISTORY_RECORDS>"), element.rfind(b"<HISTORY_RECORDS/>")) :]
    if kind is Vm and (last := _HID.match(records, records.rfind(b"<HID>"))):
        found["named_host"] = int(last[1])
    return found


def vm(element: bytes) -> Vm:
    """Read `<VM>`; raise Unreadable or Malformed."""
    fields = read_fields(element)
    nics, disks, actions, template = _vm_template(fields.get(b"TEMPLATE", b""))
    return Vm(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"])[:LONGEST],
        uid=required(fields, b"UID"),
        gid=required(fields, b"GID"),
        user=intern(text(fields.get(b"UNAME", b""))),
        group=intern(text(fields.get(b"GNAME", b""))),
        state=required(fields, b"STATE"),
        lcm_state=required(fields, b"LCM_STATE"),
        previous_state=optional(fields, b"PREV_STATE", -1),
        began=float(optional(fields, b"STIME", 0)),
        deploy_id=text(fields.get(b"DEPLOY_ID", b"")),
        locked=_locked(fields),
        resched=fields.get(b"RESCHED") == b"1",
        cpu=_share(template, "CPU"),
        memory=int(_share(template, "MEMORY")),
        vcpu=bounds.whole(scalar(template, "VCPU"), 0, 1 << 20) or 1,
        nics=nics,
        disks=disks,
        actions=actions,
        template=template,
        user_template=read_template(fields.get(b"USER_TEMPLATE", b"")),
        passes_device=any(map(_passes_device, (fields.get(b"TEMPLATE"), fields.get(b"USER_TEMPLATE")))),
        stay=_stay(fields.get(b"HISTORY_RECORDS", b"")),
    )


def host(element: bytes) -> Host:
    """Read `<HOST>`; raise Unreadable or Malformed."""
    fields = read_fields(element)
    share = dict(children(fields.get(b"HOST_SHARE", b"").partition(b"<DATASTORES>")[0]))
    content = fields.get(b"TEMPLATE", b"")
    template = dict(read_template(content, frozenset({b"VM"})))
    wild = bounds.whole(scalar(template, "TOTAL_WILDS"), 0, 1 << 20)
    return Host(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"]),
        state=required(fields, b"STATE"),
        previous_state=optional(fields, b"PREV_STATE", -1),
        cluster_id=optional(fields, b"CLUSTER_ID", -1),
        cluster=intern(text(fields.get(b"CLUSTER", b""))),
        im_mad=intern(text(fields.get(b"IM_MAD", b""))),
        vm_mad=intern(text(fields.get(b"VM_MAD", b""))),
        total_cpu=optional(share, b"TOTAL_CPU", 0),
        max_cpu=_capacity(share, b"MAX_CPU"),
        cpu_usage=optional(share, b"CPU_USAGE", 0),
        total_memory=optional(share, b"TOTAL_MEM", 0),
        max_memory=_capacity(share, b"MAX_MEM"),
        memory_usage=optional(share, b"MEM_USAGE", 0),
        vm_ids=ids(fields, b"VMS"),
        wild_vms=wild if wild is not None else sum(tag == b"VM" for tag, _ in children(content)),
        template=template,
    )


def cluster(element: bytes) -> Cluster:
    """Read `<CLUSTER>`; raise Unreadable or Malformed."""
    fields = read_fields(element)
    plan = dict(children(fields.get(b"PLAN", b"")))
    return Cluster(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"]),
        host_ids=ids(fields, b"HOSTS"),
        datastore_ids=ids(fields, b"DATASTORES"),
        network_ids=ids(fields, b"VNETS"),
        plan_state=optional(plan, b"STATE", -1),
        template=read_template(fields.get(b"TEMPLATE", b"")),
    )


def datastore(element: bytes) -> Datastore:
    """Read `<DATASTORE>`; raise Unreadable or Malformed."""
    fields = read_fields(element)
    return Datastore(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"]),
        kind=optional(fields, b"TYPE", -1),
        tm_mad=intern(text(fields.get(b"TM_MAD", b""))),
        cluster_ids=ids(fields, b"CLUSTERS"),
        total=optional(fields, b"TOTAL_MB", 0),
        free=optional(fields, b"FREE_MB", 0),
        used=optional(fields, b"USED_MB", 0),
        template=read_template(fields.get(b"TEMPLATE", b"")),
    )


def network(element: bytes) -> Network:
    """Read `<VNET>`; raise Unreadable or Malformed. What is unknown of its permissions counts as granted."""
    fields = read_fields(element)
    permissions = dict(children(fields.get(b"PERMISSIONS", b"")))
    ranges = children(fields.get(b"AR_POOL", b""))
    return Network(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"]),
        uid=required(fields, b"UID"),
        gid=required(fields, b"GID"),
        group_manages=any(permissions.get(key) != b"0" for key in (b"GROUP_M", b"GROUP_A")),
        others_manage=any(permissions.get(key) != b"0" for key in (b"OTHER_M", b"OTHER_A")),
        parent_id=optional(fields, b"PARENT_NETWORK_ID", -1),
        cluster_ids=ids(fields, b"CLUSTERS"),
        ranges=tuple(_range(content) for tag, content in ranges if tag == b"AR"),
        template=read_template(fields.get(b"TEMPLATE", b"")),
    )


def image(element: bytes) -> Image:
    """Read `<IMAGE>`; raise Unreadable or Malformed."""
    fields = read_fields(element)
    return Image(
        id=required(fields, b"ID"),
        name=text(fields[b"NAME"]),
        uid=required(fields, b"UID"),
        gid=required(fields, b"GID"),
        state=optional(fields, b"STATE", -1),
        type=optional(fields, b"TYPE", -1),
        size=optional(fields, b"SIZE", 0),
        datastore_id=optional(fields, b"DATASTORE_ID", -1),
        running_vms=optional(fields, b"RUNNING_VMS", 0),
        persistent=optional(fields, b"PERSISTENT", 0) == 1,
    )


def _range(content: bytes) -> AddressRange:
    parts = dict(children(content))
    size = optional(parts, b"SIZE", 0)
    return AddressRange(
        id=optional(parts, b"AR_ID", -1),
        size=size,
        type=intern(word(parts, b"TYPE").upper()),
        ip=word(parts, b"IP"),
        ip6=word(parts, b"IP6"),
        global_prefix=word(parts, b"GLOBAL_PREFIX"),
        ula_prefix=word(parts, b"ULA_PREFIX"),
        mac=word(parts, b"MAC"),
        external_ip=word(parts, b"EXTERNAL_IP"),
        owners=_owners(text(parts.get(b"ALLOCATED", b"")), size),
    )


def _owners(allocated: str, size: int) -> Mapping[int, frozenset[int]]:
    """Read ALLOCATED, pairs of an index and a packed owner; an index may have several."""
    words = allocated.split()
    if len(words) % 2 or not all(word.isascii() and word.isdecimal() and len(word) < 20 for word in words):
        raise Unreadable(f"ALLOCATED is {bounds.words(allocated, 40)!r}, not pairs of numbers")
    found: dict[int, set[int]] = {}
    for index, owner in zip(map(int, words[::2]), map(int, words[1::2]), strict=True):
        if index < size:
            found.setdefault(owner, set()).add(index)
    return {owner: frozenset(indexes) for owner, indexes in found.items()}


def _vm_template(content: bytes) -> tuple[tuple[Nic, ...], tuple[Disk, ...], tuple[str, ...], Template]:
    nics, disks, actions, template = [], [], [], dict[str, Attribute]()
    for number, (tag, value) in enumerate(children(content)):
        if number > MOST_ATTRIBUTES:
            raise Unreadable(f"more than {MOST_ATTRIBUTES} attributes in its template")
        if tag in _LEFT_OUT:
            continue
        if tag in (b"NIC", b"NIC_ALIAS"):
            nics.append(_nic(tag, value))
        elif tag == b"DISK":
            disks.append(_disk(value))
        elif tag == b"SCHED_ACTION":
            actions.append(text(read_vector(value).get(b"TIME", b"")).strip()[:64])
        else:
            if tag == b"PCI" and b"<NIC_ID>" in value:
                nics.append(_nic(tag, value))
            template[attribute_name(tag)] = read_attribute(value)
    return tuple(nics), tuple(disks), tuple(actions), template


def _passes_device(template: bytes | None) -> bool:
    """Return whether a RAW names a device of the host; of several RAWs any counts."""
    if template is None or b"<RAW>" not in template:
        return False
    raws = (value for tag, value in children(template) if tag == b"RAW")
    return any("hostdev" in text(part).lower() for raw in raws for part in vector_parts(raw))


def _nic(tag: bytes, content: bytes) -> Nic:
    parts = read_vector(content)
    return Nic(
        id=optional(parts, b"NIC_ID", -1),
        kind=attribute_name(tag),
        network_id=optional(parts, b"NETWORK_ID", -1),
        address_range=optional(parts, b"AR_ID", -1),
        mode=intern(word(parts, b"NETWORK_MODE").lower()),
        mac=word(parts, b"MAC"),
        addresses=tuple((attribute_name(key), word(parts, key)) for key in _ADDRESSES if parts.get(key)),
    )


def _disk(content: bytes) -> Disk:
    parts = read_vector(content)
    return Disk(
        id=optional(parts, b"DISK_ID", -1),
        size=optional(parts, b"SIZE", 0),
        type=intern(word(parts, b"TYPE").upper()),
        disk_type=intern(word(parts, b"DISK_TYPE").upper()),
        tm_mad=intern(word(parts, b"TM_MAD")),
        datastore_id=optional(parts, b"DATASTORE_ID", -1),
        image_id=optional(parts, b"IMAGE_ID", -1),
        persistent=word(parts, b"PERSISTENT").upper() == "YES",
        target=intern(word(parts, b"TARGET")),
    )


def _stay(records: bytes) -> Stay | None:
    """Read the last record; a VM whose place cannot be read is not read at all."""
    last = records.rfind(b"<HISTORY>")
    if last < 0:
        return None
    parts = dict(children(records[last + len(b"<HISTORY>") : records.rfind(b"</HISTORY>")]))
    return Stay(
        seq=required(parts, b"SEQ"),
        host_id=required(parts, b"HID"),
        host=intern(text(parts.get(b"HOSTNAME", b""))),
        cluster_id=optional(parts, b"CID", -1),
        datastore_id=optional(parts, b"DS_ID", -1),
        vm_mad=intern(text(parts.get(b"VM_MAD", b""))),
        tm_mad=intern(text(parts.get(b"TM_MAD", b""))),
        began=float(optional(parts, b"STIME", 0)),
        ended=float(optional(parts, b"ETIME", 0)),
        action=optional(parts, b"ACTION", 0),
    )


def _locked(fields: Fields) -> int:
    """Return the level of a VM's lock; one that cannot be read counts as the highest."""
    return optional(dict(children(fields[b"LOCK"])), b"LOCKED", 4) if fields.get(b"LOCK") else 0


def _capacity(share: Fields, key: bytes) -> int:
    """Return what VMs may use of a host: 0 where oned has forgotten it, below 0 where more is reserved."""
    written = text(share.get(key, b"")) or "0"
    found = bounds.number(written, -1e15, 1e15)
    if found is None:
        raise Unreadable(f"{key.decode()} is {bounds.words(written, 40)!r}, not a number")
    return int(found)


def _share(template: Template, key: str) -> float:
    """Return the CPU or MEMORY that a VM asks for."""
    found = bounds.number(scalar(template, key) or "0", 0, 1e12)
    if found is None:
        raise Unreadable(f"{key} is {bounds.words(scalar(template, key), 40)!r}, not a number")
    return found

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
from onext.cloud.model import (
    AddressRange,
    Attribute,
    Cluster,
    Datastore,
    Disk,
    Host,
    Network,
    Nic,
    Stay,
    Template,
    Vm,
    scalar,
)
from onext.oned.elements import children, text
from onext.oned.errors import Malformed

Any = TypeVar("Any", Vm, Host, Cluster, Datastore, Network)
Fields = Mapping[bytes, bytes]

_LONGEST = 1 << 16  # characters of one value; a longer one is cut, and no reader of it takes that length
_MOST = 2000  # attributes of one template
_ID = re.compile(rb"<[A-Z]+>\s*<ID>(\d{1,10})</ID>")
_IDS = re.compile(rb"<ID>(\d{1,10})</ID>")
_CDATA = b"<![CDATA["
_LARGE = 2**62
_ADDRESSES = (b"IP", b"IP6", b"IP6_GLOBAL", b"IP6_ULA", b"EXTERNAL_IP")  # IP6_LINK is of no use to others
_LEFT_OUT = frozenset({b"CONTEXT", b"SECURITY_GROUP_RULE", b"NIC_DEFAULT", b"SNAPSHOT"})


class Unreadable(ValueError):
    """A value that decides about an object is missing or not as oned writes it."""


def safely(read: Callable[[bytes], Any], kind: Callable[..., Any], element: bytes) -> Any | None:
    """Return what `read` makes of an element, one with a `problem` where it fails, None without an id."""
    try:
        return read(element)
    except (ValueError, KeyError, Malformed, RecursionError) as error:
        found = _ID.match(element)
        reason = bounds.words(f"{type(error).__name__}: {error}", 200)
        return kind(id=int(found[1]), problem=reason) if found else None


def vm(element: bytes) -> Vm:
    """Read `<VM>`; raise Unreadable or Malformed."""
    fields = _fields(element)
    nics, disks, actions, template = _vm_template(fields.get(b"TEMPLATE", b""))
    return Vm(
        id=_whole(fields, b"ID"),
        name=text(fields[b"NAME"])[:_LONGEST],
        uid=_whole(fields, b"UID"),
        gid=_whole(fields, b"GID"),
        user=intern(text(fields.get(b"UNAME", b""))),
        group=intern(text(fields.get(b"GNAME", b""))),
        state=_whole(fields, b"STATE"),
        lcm_state=_whole(fields, b"LCM_STATE"),
        previous_state=_or(fields, b"PREV_STATE", -1),
        began=float(_or(fields, b"STIME", 0)),
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
        user_template=_template(fields.get(b"USER_TEMPLATE", b"")),
        stay=_stay(fields.get(b"HISTORY_RECORDS", b"")),
    )


def host(element: bytes) -> Host:
    """Read `<HOST>`; raise Unreadable or Malformed."""
    fields = _fields(element)
    share = dict(children(fields.get(b"HOST_SHARE", b"").partition(b"<DATASTORES>")[0]))
    content = fields.get(b"TEMPLATE", b"")
    template = dict(_template(content, frozenset({b"VM"})))
    wild = bounds.whole(scalar(template, "TOTAL_WILDS"), 0, 1 << 20)
    return Host(
        id=_whole(fields, b"ID"),
        name=text(fields[b"NAME"]),
        state=_whole(fields, b"STATE"),
        previous_state=_or(fields, b"PREV_STATE", -1),
        cluster_id=_or(fields, b"CLUSTER_ID", -1),
        cluster=intern(text(fields.get(b"CLUSTER", b""))),
        vm_mad=intern(text(fields.get(b"VM_MAD", b""))),
        total_cpu=_or(share, b"TOTAL_CPU", 0),
        max_cpu=_or(share, b"MAX_CPU", 0),
        cpu_usage=_or(share, b"CPU_USAGE", 0),
        total_memory=_or(share, b"TOTAL_MEM", 0),
        max_memory=_or(share, b"MAX_MEM", 0),
        memory_usage=_or(share, b"MEM_USAGE", 0),
        vm_ids=_ids(fields, b"VMS"),
        wild_vms=wild if wild is not None else sum(tag == b"VM" for tag, _ in children(content)),
        template=template,
    )


def cluster(element: bytes) -> Cluster:
    """Read `<CLUSTER>`; raise Unreadable or Malformed."""
    fields = _fields(element)
    plan = dict(children(fields.get(b"PLAN", b"")))
    return Cluster(
        id=_whole(fields, b"ID"),
        name=text(fields[b"NAME"]),
        host_ids=_ids(fields, b"HOSTS"),
        datastore_ids=_ids(fields, b"DATASTORES"),
        network_ids=_ids(fields, b"VNETS"),
        plan_state=_or(plan, b"STATE", -1),
        template=_template(fields.get(b"TEMPLATE", b"")),
    )


def datastore(element: bytes) -> Datastore:
    """Read `<DATASTORE>`; raise Unreadable or Malformed."""
    fields = _fields(element)
    return Datastore(
        id=_whole(fields, b"ID"),
        name=text(fields[b"NAME"]),
        kind=_or(fields, b"TYPE", -1),
        tm_mad=intern(text(fields.get(b"TM_MAD", b""))),
        cluster_ids=_ids(fields, b"CLUSTERS"),
        total=_or(fields, b"TOTAL_MB", 0),
        free=_or(fields, b"FREE_MB", 0),
        used=_or(fields, b"USED_MB", 0),
        template=_template(fields.get(b"TEMPLATE", b"")),
    )


def network(element: bytes) -> Network:
    """Read `<VNET>`; raise Unreadable or Malformed. What is unknown of its permissions counts as granted."""
    fields = _fields(element)
    permissions = dict(children(fields.get(b"PERMISSIONS", b"")))
    ranges = children(fields.get(b"AR_POOL", b""))
    return Network(
        id=_whole(fields, b"ID"),
        name=text(fields[b"NAME"]),
        uid=_whole(fields, b"UID"),
        gid=_whole(fields, b"GID"),
        group_manages=any(permissions.get(key) != b"0" for key in (b"GROUP_M", b"GROUP_A")),
        others_manage=any(permissions.get(key) != b"0" for key in (b"OTHER_M", b"OTHER_A")),
        parent_id=_or(fields, b"PARENT_NETWORK_ID", -1),
        cluster_ids=_ids(fields, b"CLUSTERS"),
        ranges=tuple(_range(content) for tag, content in ranges if tag == b"AR"),
        template=_template(fields.get(b"TEMPLATE", b"")),
    )


def _range(content: bytes) -> AddressRange:
    parts = dict(children(content))
    size = _or(parts, b"SIZE", 0)
    return AddressRange(
        id=_or(parts, b"AR_ID", -1),
        size=size,
        type=intern(_word(parts, b"TYPE").upper()),
        ip=_word(parts, b"IP"),
        ip6=_word(parts, b"IP6"),
        global_prefix=_word(parts, b"GLOBAL_PREFIX"),
        ula_prefix=_word(parts, b"ULA_PREFIX"),
        mac=_word(parts, b"MAC"),
        external_ip=_word(parts, b"EXTERNAL_IP"),
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
        if number > _MOST:
            raise Unreadable(f"more than {_MOST} attributes in its template")
        if tag in _LEFT_OUT:
            continue
        if tag in (b"NIC", b"NIC_ALIAS"):
            nics.append(_nic(tag, value))
        elif tag == b"DISK":
            disks.append(_disk(value))
        elif tag == b"SCHED_ACTION":
            actions.append(text(_vector(value).get(b"TIME", b"")).strip()[:64])
        else:
            if tag == b"PCI" and b"<NIC_ID>" in value:
                nics.append(_nic(tag, value))
            template[_name(tag)] = _attribute(value)
    return tuple(nics), tuple(disks), tuple(actions), template


def _nic(tag: bytes, content: bytes) -> Nic:
    parts = _vector(content)
    return Nic(
        id=_or(parts, b"NIC_ID", -1),
        kind=_name(tag),
        network_id=_or(parts, b"NETWORK_ID", -1),
        address_range=_or(parts, b"AR_ID", -1),
        mode=intern(_word(parts, b"NETWORK_MODE").lower()),
        mac=_word(parts, b"MAC"),
        addresses=tuple((_name(key), _word(parts, key)) for key in _ADDRESSES if parts.get(key)),
    )


def _disk(content: bytes) -> Disk:
    parts = _vector(content)
    return Disk(
        id=_or(parts, b"DISK_ID", -1),
        size=_or(parts, b"SIZE", 0),
        type=intern(_word(parts, b"TYPE").upper()),
        disk_type=intern(_word(parts, b"DISK_TYPE").upper()),
        tm_mad=intern(_word(parts, b"TM_MAD")),
        datastore_id=_or(parts, b"DATASTORE_ID", -1),
        image_id=_or(parts, b"IMAGE_ID", -1),
        persistent=_word(parts, b"PERSISTENT").upper() == "YES",
        target=intern(_word(parts, b"TARGET")),
    )


def _stay(records: bytes) -> Stay | None:
    """Read the last record; a VM whose place cannot be read is not read at all."""
    last = records.rfind(b"<HISTORY>")
    if last < 0:
        return None
    parts = dict(children(records[last + len(b"<HISTORY>") : records.rfind(b"</HISTORY>")]))
    return Stay(
        seq=_whole(parts, b"SEQ"),
        host_id=_whole(parts, b"HID"),
        host=intern(text(parts.get(b"HOSTNAME", b""))),
        cluster_id=_or(parts, b"CID", -1),
        datastore_id=_or(parts, b"DS_ID", -1),
        vm_mad=intern(text(parts.get(b"VM_MAD", b""))),
        tm_mad=intern(text(parts.get(b"TM_MAD", b""))),
        began=float(_or(parts, b"STIME", 0)),
        ended=float(_or(parts, b"ETIME", 0)),
        action=_or(parts, b"ACTION", 0),
    )


def _locked(fields: Fields) -> int:
    """Return the level of a VM's lock; one that cannot be read counts as the highest."""
    return _or(dict(children(fields[b"LOCK"])), b"LOCKED", 4) if fields.get(b"LOCK") else 0


def _template(content: bytes, without: frozenset[bytes] = frozenset()) -> Template:
    found: dict[str, Attribute] = {}
    for number, (tag, value) in enumerate(children(content)):
        if number > _MOST:
            raise Unreadable(f"more than {_MOST} attributes in its template")
        if tag not in without:
            found[_name(tag)] = _attribute(value)
    return found


def _attribute(content: bytes) -> Attribute:
    if b"<" not in content or content.startswith(_CDATA):
        return text(content)[:_LONGEST]
    return {_name(tag): text(value)[:_LONGEST] for tag, value in children(content)}


def _vector(content: bytes) -> Fields:
    """Return the parts of a vector; one that its owner wrote as text has none."""
    return {} if b"<" not in content or content.startswith(_CDATA) else dict(children(content))


def _fields(element: bytes) -> dict[bytes, bytes]:
    start, end = element.find(b">") + 1, element.rfind(b"</")
    return dict(children(element[start:end]))


def _name(tag: bytes) -> str:
    return intern(tag.decode("utf-8", "replace"))


def _whole(fields: Fields, key: bytes) -> int:
    """Return a whole number that must be there."""
    found = bounds.whole(text(fields.get(key, b"")), -1, _LARGE)
    if found is None:
        raise Unreadable(f"{key.decode()} is {bounds.words(text(fields.get(key, b'')), 40)!r}, not a number")
    return found


def _or(fields: Fields, key: bytes, default: int) -> int:
    found = bounds.whole(text(fields.get(key, b"")), -1, _LARGE)
    return default if found is None else found


def _share(template: Template, key: str) -> float:
    """Return the CPU or MEMORY that a VM asks for."""
    found = bounds.number(scalar(template, key) or "0", 0, 1e12)
    if found is None:
        raise Unreadable(f"{key} is {bounds.words(scalar(template, key), 40)!r}, not a number")
    return found


def _word(parts: Fields, key: bytes) -> str:
    return text(parts.get(key, b"")).strip()[:256]


def _ids(fields: Fields, key: bytes) -> frozenset[int]:
    return frozenset(int(found) for found in _IDS.findall(fields.get(key, b"")))

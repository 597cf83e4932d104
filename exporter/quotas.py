"""Quotas of users and groups: what is used, and the limit where there is one.

Form of the pools: `<USER>…</USER><QUOTAS><ID>…</ID>…</QUOTAS>` for each user, DEFAULT_USER_QUOTAS at the end
(share/doc/xsd/user_pool.xsd of OpenNebula). A limit of -1 is the default, -2 and a default of -1 are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from exporter.collected import Collected, label, number, plain, whole
from exporter.documents import root_children
from onext.oned.elements import children
from onext.oned.errors import Malformed

MIB = 1 << 20
_MOST = 64  # values of one quota: an administrator may add some of his own to VM_QUOTA
_NAME = re.compile(rb"[A-Z][A-Z0-9_]{0,63}")
_MEGABYTES = {"vm_memory", "vm_running_memory", "vm_system_disk_size", "datastore_size"}
_OBJECTS = {b"VM": b"CLUSTER_IDS", b"DATASTORE": b"ID", b"NETWORK": b"ID", b"IMAGE": b"ID"}
_DEFAULT, _USED = -1.0, b"_USED"


class _Key(NamedTuple):
    """What a quota is of: a resource, and the datastore, network, image or clusters, empty for all."""

    resource: str
    object: bytes


_Values = dict[_Key, float]


def read(document: bytes, kind: str) -> Collected:
    """Return the metrics of a USER_POOL or GROUP_POOL; `kind` is user or group. Raises Malformed."""
    found = Collected()
    names: dict[bytes, bytes] = {}
    quotas: list[bytes] = []
    defaults: _Values = {}
    tag_of_one, tag_of_defaults = kind.upper().encode(), f"DEFAULT_{kind.upper()}_QUOTAS".encode()
    for tag, content in root_children(document, b"%b_POOL" % tag_of_one):
        if tag == tag_of_one:
            fields = _head(content)
            names[fields.get(b"ID", b"")] = label(fields.get(b"NAME", b""))
        elif tag == b"QUOTAS":
            quotas.append(content)
        elif tag == tag_of_defaults:
            _, defaults = _parsed(content)
    for content in quotas:
        try:
            _add(found, kind, names, content, defaults)
        except (ValueError, Malformed):
            found.errors += 1
    return found


def _head(content: bytes) -> dict[bytes, bytes]:
    """Return ID and NAME of a user or group, without what follows them."""
    found: dict[bytes, bytes] = {}
    for tag, value in children(content):
        if tag in (b"ID", b"NAME"):
            found[tag] = value
        if len(found) == 2:
            break
    return found


def _add(
    found: Collected, kind: str, names: Mapping[bytes, bytes], content: bytes, defaults: _Values
) -> None:
    owner = _head(content).get(b"ID", b"")
    if whole(owner) is None:
        raise Malformed(f"a quota without an id: {content[:80]!r}")
    labels = b'kind="%b",id="%b",name="%b"' % (kind.encode(), owner, names.get(owner, b""))
    used, limits = _parsed(content)
    for metric, values in (("opennebula_quota_used", used), ("opennebula_quota_limit", limits)):
        for key, value in values.items():
            amount = defaults.get(key, _DEFAULT) if value == _DEFAULT else value
            if amount < 0:
                continue  # no limit
            factor = MIB if key.resource in _MEGABYTES else 1
            resource = key.resource + ("_bytes" if factor > 1 else "")
            line = b'%b{%b,resource="%b",object="%b"} %a\n' % (
                metric.encode(), labels, resource.encode(), key.object, amount * factor,
            )  # fmt: skip
            found.samples.lines[metric].append(line)


def _parsed(content: bytes) -> tuple[_Values, _Values]:
    """Return what is used and what is allowed of each resource."""
    used: _Values = {}
    limits: _Values = {}
    for group, quotas in children(content):
        if not group.endswith(b"_QUOTA"):
            continue
        for tag, values in children(quotas):
            if tag in _OBJECTS:
                for name, of, value in _values(tag, values):
                    key = _Key(f"{tag.decode()}_{name.removesuffix(_USED).decode()}".lower(), of)
                    (used if name.endswith(_USED) else limits)[key] = value
    return used, limits


def _values(tag: bytes, content: bytes) -> Iterator[tuple[bytes, bytes, float]]:
    fields = dict(children(content))
    of = label(fields.pop(_OBJECTS[tag], b""))
    for name, raw in list(fields.items())[:_MOST]:
        value = number(plain(raw))
        if value is not None and _NAME.fullmatch(name):
            yield name, of, value

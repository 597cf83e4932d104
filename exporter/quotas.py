"""Quotas of users and groups: what is used, and the limit where there is one.

Form of the pools: `<USER>…</USER><QUOTAS><ID>…</ID>…</QUOTAS>` for each user, DEFAULT_USER_QUOTAS at the end
(share/doc/xsd/user_pool.xsd of OpenNebula). A limit of -1 is the default, -2 and a default of -1 are none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from exporter.collected import Collected, label, number, whole
from exporter.documents import root_children
from onext.oned.elements import section
from onext.oned.errors import Malformed

MIB = 1 << 20
_MOST = 64  # values of one quota: an administrator may add some of his own to VM_QUOTA
# A tag and the text behind it: what there is of values is not nested.
_TAG = re.compile(rb"<(/?)([A-Z][A-Z0-9_]{0,63})>(?:<!\[CDATA\[)?([^<\]]*)")
_MEGABYTES = {"vm_memory", "vm_running_memory", "vm_system_disk_size", "datastore_size"}
_OBJECTS = {b"VM": b"CLUSTER_IDS", b"DATASTORE": b"ID", b"NETWORK": b"ID", b"IMAGE": b"ID"}
_DEFAULT, _USED = -1.0, b"_USED"
_LINE = b'%b{%b,resource="%b",object="%b"} %a\n'


# By resource and what it is of: the datastore, network, image or clusters, empty for all.
_Values = dict[tuple[str, bytes], float]


def read(document: bytes, kind: str) -> Collected:
    """Return the metrics of a USER_POOL or GROUP_POOL; `kind` is user or group. Raises Malformed."""
    found = Collected()
    names: dict[bytes, bytes] = {}
    quotas: list[bytes] = []
    defaults: _Values = {}
    tag_of_one, tag_of_defaults = kind.upper().encode(), f"DEFAULT_{kind.upper()}_QUOTAS".encode()
    for tag, content in root_children(document, b"%b_POOL" % tag_of_one):
        if tag == tag_of_one:
            owner, name = _head(content)
            names[owner] = label(name)
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


def _head(content: bytes) -> tuple[bytes, bytes]:
    """Return id and name of a user or group: they come before what people write."""
    number, at = section(content, b"ID")
    return number, section(content, b"NAME", at)[0]


def _add(
    found: Collected, kind: str, names: Mapping[bytes, bytes], content: bytes, defaults: _Values
) -> None:
    owner, _ = section(content, b"ID")
    if whole(owner) is None:
        raise Malformed("a quota without an id")
    labels = b'kind="%b",id="%b",name="%b"' % (kind.encode(), owner, names.get(owner, b""))
    used, limits = _parsed(content)
    for metric, values in ((b"opennebula_quota_used", used), (b"opennebula_quota_limit", limits)):
        lines = found.samples.lines[metric.decode()]
        for key, value in values.items():
            amount = defaults.get(key, _DEFAULT) if value == _DEFAULT else value
            if amount >= 0:  # else no limit is set
                name, factor = _unit(key[0])
                lines.append(_LINE % (metric, labels, name, key[1], amount * factor))


@lru_cache(maxsize=256)
def _unit(resource: str) -> tuple[bytes, int]:
    """Return a resource's name with its unit, and the factor from OpenNebula's."""
    return (f"{resource}_bytes".encode(), MIB) if resource in _MEGABYTES else (resource.encode(), 1)


def _parsed(content: bytes) -> tuple[_Values, _Values]:
    """Return what is used and what is allowed of each resource."""
    used: _Values = {}
    limits: _Values = {}
    fields: dict[bytes, bytes] = {}
    for end, tag, raw in _TAG.findall(content):
        if tag not in _OBJECTS:
            if not end and raw and len(fields) < _MOST:
                fields[tag] = raw
            continue
        if end:
            _add_object(tag, fields, used, limits)
        fields = {}
    return used, limits


def _add_object(tag: bytes, fields: dict[bytes, bytes], used: _Values, limits: _Values) -> None:
    of = label(fields.pop(_OBJECTS[tag], b""))
    for name, raw in fields.items():
        if (value := number(raw)) is None:
            continue
        if name.endswith(_USED):
            used[_resource(tag, name[: -len(_USED)]), of] = value
        else:
            limits[_resource(tag, name), of] = value


@lru_cache(maxsize=256)
def _resource(tag: bytes, name: bytes) -> str:
    return f"{tag.decode()}_{name.decode()}".lower()

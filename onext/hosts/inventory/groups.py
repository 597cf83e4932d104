"""VM groups: which VMs must be apart, together, or on certain hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

from onext.xml import Element


@dataclass
class Ties:
    """What VM groups ask of each VM, by VM id."""

    apart: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    together: dict[int, str] = field(default_factory=dict)
    hosts: dict[int, set[int]] = field(default_factory=dict)
    not_hosts: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


@dataclass(frozen=True)
class _Role:
    name: str
    vms: tuple[int, ...]
    policy: str


def ties(pool: Element) -> Ties:
    """Read a VM_GROUP_POOL."""
    found = Ties()
    for group in pool.iterfind("VM_GROUP"):
        number = group.findtext("ID", "")
        roles = {}
        for element in group.iterfind("ROLES/ROLE"):
            role = _Role(
                element.findtext("NAME", ""),
                _numbers(element.findtext("VMS")),
                element.findtext("POLICY", ""),
            )
            roles[role.name] = role
            _bind_to_hosts(found, role, element)
            _within(found, number, role)
        _between(found, number, roles, group)
    return found


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(item) for item in (text or "").split(",") if item.strip().isdecimal())


def _bind_to_hosts(found: Ties, role: _Role, element: Element) -> None:
    affined = set(_numbers(element.findtext("HOST_AFFINED")))
    averse = set(_numbers(element.findtext("HOST_ANTI_AFFINED")))
    for vm in role.vms:
        if affined:
            found.hosts[vm] = affined
        found.not_hosts[vm] |= averse


def _within(found: Ties, group: str, role: _Role) -> None:
    for vm in role.vms:
        if role.policy == "ANTI_AFFINED":
            found.apart[vm].add(f"{group}/{role.name}")
        elif role.policy == "AFFINED":
            found.together.setdefault(vm, f"{group}/{role.name}")


def _between(found: Ties, group: str, roles: Mapping[str, _Role], element: Element) -> None:
    """Roles that the group's template ties to each other."""
    for number, names in enumerate(_lists(element, "AFFINED")):
        for vm in (vm for name in names if name in roles for vm in roles[name].vms):
            found.together[vm] = f"{group}/affined {number}"
    for names in _lists(element, "ANTI_AFFINED"):
        for one, two in combinations([roles[name] for name in names if name in roles], 2):
            for first, second in product(one.vms, two.vms):
                key = f"{group}/{min(first, second)}-{max(first, second)}"
                found.apart[first].add(key)
                found.apart[second].add(key)


def _lists(element: Element, tag: str) -> Iterable[list[str]]:
    for item in element.iterfind(f"TEMPLATE/{tag}"):
        yield [name.strip() for name in (item.text or "").split(",")]

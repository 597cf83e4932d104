"""One right that no call of oned tests without effect: HOST MANAGE, decided by the rules as oned decides.

The rules are those of one.acl.info (AclManager::match_rules in OpenNebula's src/acl/AclManager.cc): who,
on which objects, may do what, in which zone, each a number of bits in hexadecimal digits. Hosts have no
owner and no permission bits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from onext.xml import Element

MANAGE = 0x2
_HOST = 0x2000000000  # PoolObjectSQL::HOST as a type of resource
_ONE, _GROUP, _ALL, _CLUSTER = 0x100000000, 0x200000000, 0x400000000, 0x800000000
_NUMBER = 0xFFFFFFFF
_HEX = re.compile(r"[0-9a-fA-F]{1,16}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, in oned's bits."""

    user: int
    resource: int
    rights: int
    zone: int

    def permits(self, right: int, who: Who, host: int, cluster: int) -> bool:
        """Return whether this rule grants a right on a host to a user."""
        return (
            self.rights & right == right
            and _names(self.user, who.id, who.groups)
            and bool(self.zone & _ALL or (self.zone & _ONE and self.zone & _NUMBER == who.zone))
            and bool(self.resource & _HOST)
            and self._covers(host, cluster)
        )

    def _covers(self, host: int, cluster: int) -> bool:
        number = self.resource & _NUMBER
        if self.resource & _ALL:
            return True
        if self.resource & _ONE:
            return number == host
        return bool(self.resource & _CLUSTER) and number == cluster


@dataclass(frozen=True, slots=True)
class Who:
    """A user, the groups of that user, and the zone of this oned."""

    id: int
    groups: Collection[int]
    zone: int


def _names(user: int, number: int, groups: Collection[int]) -> bool:
    if user & _ALL:
        return True
    if user & _ONE:
        return user & _NUMBER == number
    return bool(user & _GROUP) and user & _NUMBER in groups


def permits(rules: Iterable[Rule], right: int, who: Who, host: int, cluster: int) -> bool:
    """Return whether any rule grants the right; rules only add."""
    return any(rule.permits(right, who, host, cluster) for rule in rules)


def rules(pool: Element) -> Iterator[Rule]:
    """Yield the rules of one.acl.info; one that cannot be read grants nothing."""
    for one in pool.iterfind("ACL"):
        texts = [one.findtext(name, "").strip() for name in ("USER", "RESOURCE", "RIGHTS", "ZONE")]
        if all(_HEX.fullmatch(text) for text in texts):
            yield Rule(*(int(text, 16) for text in texts))

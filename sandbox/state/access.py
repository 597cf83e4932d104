"""Who may do what: ACL rules and permission bits, as AclManager::authorize and PoolSQL::usr_filter decide."""

from dataclasses import dataclass
from typing import TypeVar

from sandbox import markup
from sandbox.errors import AuthorizationError
from sandbox.state.pool_object import RESOURCES, RIGHTS, USE, PoolObject

ONE, GROUP, ALL, CLUSTER = 0x100000000, 0x200000000, 0x400000000, 0x800000000
_ID = 0xFFFFFFFF
ZONE = 0

# Filters of `.pool.info`.
MINE, GROUPS, EVERYTHING, PRIMARY_GROUP = -3, -1, -2, -4

ThingT = TypeVar("ThingT", bound=PoolObject)


@dataclass(frozen=True)
class Caller:
    """Who calls: what authentication found out."""

    uid: int
    gid: int
    name: str
    gname: str
    groups: frozenset[int]

    @property
    def admin(self) -> bool:
        """Whether this is oneadmin or a member of its group."""
        return self.uid == 0 or 0 in self.groups

    def matches(self, user: int) -> bool:
        """Tell whether the user part of a rule means this caller."""
        if user & ALL:
            return True
        number = user & _ID
        return number == self.uid if user & ONE else number in self.groups


@dataclass(frozen=True)
class Rule:
    """One ACL rule: four numbers of bits."""

    id: int
    user: int
    resource: int
    rights: int
    zone: int

    def covers(self, kind: str, thing: PoolObject | None) -> bool:
        """Tell whether the rule's resource names this object, or all of its kind."""
        if not self.resource & RESOURCES[kind] or not (self.zone & ALL or self.zone & _ID == ZONE):
            return False
        if self.resource & ALL:
            return True
        if thing is None:
            return False
        number = self.resource & _ID
        if self.resource & ONE:
            return number == thing.id
        return number == thing.gid if self.resource & GROUP else number in thing.clusters()

    def xml(self) -> str:
        """Return the rule as one.acl.info shows it."""
        fields = (
            ("USER", self.user),
            ("RESOURCE", self.resource),
            ("RIGHTS", self.rights),
            ("ZONE", self.zone),
        )
        body = markup.tag("ID", self.id) + "".join(markup.tag(name, f"{bits:x}") for name, bits in fields)
        return markup.tag("ACL", body)


class Access:
    """The rules of the zone, and what follows from them."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        users = RESOURCES["VM"] | RESOURCES["IMAGE"] | RESOURCES["TEMPLATE"] | RESOURCES["DOCUMENT"]
        self.add(GROUP | 1, ALL | users | RESOURCES["SECGROUP"] | RESOURCES["VMGROUP"], 8, ALL)
        self.add(ALL, ALL | RESOURCES["ZONE"], USE, ALL)

    def add(self, user: int, resource: int, rights: int, zone: int) -> int:
        """Add a rule and return its id."""
        number = max(self.rules, default=-1) + 1
        self.rules[number] = Rule(number, user, resource, rights, zone)
        return number

    def allows(self, caller: Caller, right: int, kind: str, thing: PoolObject | None) -> bool:
        """Tell whether the caller has this right on the object (None: on creating one)."""
        if caller.admin:
            return True
        if thing is not None and _by_bits(caller, right, thing):
            return True
        return any(
            caller.matches(rule.user) and rule.rights & right == right and rule.covers(kind, thing)
            for rule in self.rules.values()
        )

    def demand(
        self, caller: Caller, right: int, kind: str, thing: PoolObject | None, *, despite_lock: bool = False
    ) -> None:
        """Raise AuthorizationError unless the caller has this right; a lock never hides an object (USE)."""
        checks = right != USE and not despite_lock
        if checks and thing and thing.lock and thing.lock.refuses(right):
            raise AuthorizationError(f"User [{caller.uid}] : {kind} is locked. [{thing.id}].")
        if not self.allows(caller, right, kind, thing):
            which = "" if thing is None else f" [{thing.id}]"
            raise AuthorizationError(
                f"User [{caller.uid}] : Not authorized to perform {RIGHTS[right]} {kind}{which}."
            )

    def visible(self, caller: Caller, whose: int, things: list[ThingT]) -> list[ThingT]:
        """Return the objects that a pool call with this filter shows."""
        mine = [thing for thing in things if _belongs(caller, whose, thing)]
        if caller.admin or whose == MINE:
            return mine
        return [thing for thing in mine if self.allows(caller, USE, thing.KIND, thing)]


def _by_bits(caller: Caller, right: int, thing: PoolObject) -> bool:
    owner, group, other = thing.rights
    return bool(
        (thing.uid == caller.uid and owner & right)
        or (thing.gid in caller.groups and group & right)
        or other & right
    )


def _belongs(caller: Caller, whose: int, thing: PoolObject) -> bool:
    if whose == EVERYTHING:
        return True
    if whose == MINE:
        return thing.uid == caller.uid
    if whose == PRIMARY_GROUP:
        return thing.gid == caller.gid
    if whose == GROUPS:
        return thing.uid == caller.uid or thing.gid in caller.groups
    return thing.uid == whose

"""ACL rules and permission bits: who may do what."""

import pytest

from sandbox.errors import AuthorizationError
from sandbox.state.access import (
    ALL,
    CLUSTER,
    EVERYTHING,
    GROUP,
    GROUPS,
    MINE,
    ONE,
    PRIMARY_GROUP,
    Access,
    Caller,
)
from sandbox.state.cluster import Cluster
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, RESOURCES, USE, PoolObject
from sandbox.state.vm import VM
from sandbox.template import Template

BOB = Caller(7, 100, "bob", "edge", frozenset({100, 1}))
ROOT = Caller(0, 0, "oneadmin", "oneadmin", frozenset({0}))


def vm(oid: int, uid: int, gid: int, rights: tuple[int, ...] = (3, 0, 0)) -> VM:
    """Return a VM of somebody."""
    return VM(name=f"vm-{oid}", id=oid, uid=uid, gid=gid, rights=rights, user_template=Template())


@pytest.mark.parametrize(
    ("thing", "right", "allowed"),
    [
        (vm(1, 7, 100), USE, True),
        (vm(1, 7, 100), MANAGE, True),
        (vm(1, 7, 100), ADMIN, False),
        (vm(1, 8, 100), USE, False),
        (vm(1, 8, 100, (3, USE, 0)), USE, True),
        (vm(1, 8, 100, (3, USE, 0)), MANAGE, False),
        (vm(1, 8, 55, (3, 7, USE)), USE, True),
        (vm(1, 8, 55, (3, 7, 0)), USE, False),
    ],
)
def test_permission_bits(thing: VM, right: int, allowed: bool) -> None:
    """A tenant would see or change what belongs to another, or be kept from what is his."""
    access = Access()
    assert access.allows(BOB, right, "VM", thing) is allowed
    assert access.allows(ROOT, right, "VM", thing)


@pytest.mark.parametrize(
    ("user", "resource", "thing", "allowed"),
    [
        (ONE | 7, ALL | RESOURCES["CLUSTER"], 100, True),
        (ONE | 8, ALL | RESOURCES["CLUSTER"], 100, False),
        (GROUP | 100, ONE | RESOURCES["CLUSTER"] | 100, 100, True),
        (GROUP | 100, ONE | RESOURCES["CLUSTER"] | 101, 100, False),
        (GROUP | 5, ALL | RESOURCES["CLUSTER"], 100, False),
        (ALL, CLUSTER | RESOURCES["CLUSTER"] | 100, 100, True),
        (ALL, ALL | RESOURCES["VM"], 100, False),
    ],
)
def test_rules(user: int, resource: int, thing: int, allowed: bool) -> None:
    """A rule would open more than it names, or less."""
    access = Access()
    access.add(user, resource, USE | MANAGE, ALL)
    cluster = Cluster(name="c", id=thing)
    assert access.allows(BOB, MANAGE, "CLUSTER", cluster) is allowed
    assert not access.allows(BOB, ADMIN, "CLUSTER", cluster)


def test_creating_is_a_right_of_its_own() -> None:
    """Users may make VMs, and no hosts, on a fresh front-end."""
    access = Access()
    assert access.allows(BOB, CREATE, "VM", None)
    with pytest.raises(AuthorizationError, match=r"User \[7\] : Not authorized to perform CREATE HOST\."):
        access.demand(BOB, CREATE, "HOST", None)


def test_filters() -> None:
    """Pool calls would list other objects than oned's."""
    access = Access()
    things: list[PoolObject] = [
        vm(0, 7, 100),
        vm(1, 8, 100, (3, USE, 0)),
        vm(2, 8, 1),
        vm(3, 0, 0, (3, 0, USE)),
        vm(4, 0, 0),
    ]

    def listed(caller: Caller, whose: int) -> list[int]:
        return [thing.id for thing in access.visible(caller, whose, things)]

    assert listed(BOB, EVERYTHING) == [0, 1, 3]
    assert listed(BOB, MINE) == [0]
    assert listed(BOB, GROUPS) == [0, 1]
    assert listed(BOB, PRIMARY_GROUP) == [0, 1]
    assert listed(BOB, 8) == [1]
    assert listed(ROOT, EVERYTHING) == [0, 1, 2, 3, 4]
    assert listed(ROOT, 8) == [1, 2]

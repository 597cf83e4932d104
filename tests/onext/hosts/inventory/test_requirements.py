"""Requirement expressions as the scheduler reads them."""

import pytest

from onext.hosts.inventory.requirements import Unreadable, compile_test

HOST = {
    "ID": "3",
    "NAME": "node-a1",
    "CLUSTER_ID": "100",
    "HYPERVISOR": "kvm",
    "FREE_CPU": "250",
    "CLUSTERS": "0,100",
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("", True),
        ('NAME="node-a1"', True),
        ('NAME="node-*"', True),
        ('CLUSTER_ID = 100 & !(HYPERVISOR="qemu")', True),
        ("(CLUSTER_ID = 0 | CLUSTER_ID = 100 | CLUSTER_ID = 101) & !(PIN_POLICY = PINNED)", True),
        ('"CLUSTERS" @> 100', True),
        ('"CLUSTERS" @> 10', False),
        ("FREE_CPU > 200", True),
        ("FREE_CPU < 200", False),
        ("FREE_CPU > many", False),
        ('MISSING="x"', False),
        ('MISSING!="x"', True),
        ('!NAME="a" & ID=3.0', True),
        ('NAME="a" | NAME="b" | ID=4', False),
    ],
)
def test_expressions(expression: str, holds: bool) -> None:
    """A VM would be moved to where its owner forbade it, or hold its host without need."""
    assert compile_test(expression)(HOST) is holds


@pytest.mark.parametrize(
    "expression", ["NAME", 'NAME="a" &', '(NAME="a"', "NAME ~ x", 'NAME="a" NAME="b"', ")"]
)
def test_what_is_not_understood_is_no_permission(expression: str) -> None:
    """A half-read expression could allow what it forbids."""
    with pytest.raises(Unreadable):
        compile_test(expression)

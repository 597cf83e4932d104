"""SCHED_REQUIREMENTS: where a VM wants to go."""

import pytest

from sandbox.life.requirements import RequirementsError, matches

HOST = {"NAME": "node-a1", "CLUSTER_ID": "100", "HYPERVISOR": "kvm", "FREE_CPU": "350", "TAGS": "gpu,ssd"}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("", True),
        ('CLUSTER_ID="100"', True),
        ("CLUSTER_ID = 100", True),
        ('"CLUSTER_ID" = 100', True),
        ('CLUSTER_ID="101"', False),
        ('CLUSTER_ID != "101"', True),
        ('NAME="node-*"', True),
        ('NAME="node-b*"', False),
        ("FREE_CPU > 300", True),
        ("FREE_CPU < 300", False),
        ("NOTHING = 1", False),
        ("NOTHING > 1", False),
        ('CLUSTER_ID="100" & HYPERVISOR="kvm"', True),
        ('CLUSTER_ID="100" & !(HYPERVISOR="kvm")', False),
        ('CLUSTER_ID="7" | (HYPERVISOR="kvm" & FREE_CPU > 1)', True),
        ("(CLUSTER_ID = 0 | CLUSTER_ID = 100) & !(PIN_POLICY = PINNED)", True),
        ("!(PIN_POLICY = PINNED)", True),
        ("TAGS @> ssd", True),
    ],
)
def test_what_holds(expression: str, holds: bool) -> None:
    """VMs would be placed on hosts that their owners excluded, and wake hosts where they cannot run."""
    assert matches(expression, lambda name: HOST.get(name, "")) is holds


@pytest.mark.parametrize("expression", ["CLUSTER_ID=", "(A=1", "A=1 B=2", "& A=1", "A"])
def test_what_is_no_expression(expression: str) -> None:
    """A VM with a broken expression has to wait with a message, not run anywhere."""
    with pytest.raises(RequirementsError):
        matches(expression, lambda name: HOST.get(name, ""))

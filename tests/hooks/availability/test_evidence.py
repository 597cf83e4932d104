"""Each row of the table from evidence to a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.availability.evidence import Evidence, Finding, Source, Verdict, judge

ALIVE, DEAD, SILENT, UNKNOWN = Finding.ALIVE, Finding.DEAD, Finding.SILENT, Finding.UNKNOWN
S = Source


def bmc(finding: Finding, readings: int = 2, *, verified: bool = True) -> Evidence:
    """Return what a BMC reports."""
    return Evidence(S.BMC, finding, readings=readings, verified=verified)


@pytest.mark.parametrize(
    ("items", "verdict"),
    [
        ([], Verdict.UNKNOWN),
        ([Evidence(S.SSH, SILENT)], Verdict.UNKNOWN),
        ([Evidence(S.SSH, ALIVE), Evidence(S.MONITORING, ALIVE)], Verdict.ALIVE),
        ([Evidence(S.SSH, ALIVE)], Verdict.DEGRADED),
        ([Evidence(S.MONITORING, ALIVE)], Verdict.DEGRADED),
        ([Evidence(S.PEER, ALIVE)], Verdict.DEGRADED),
        ([Evidence(S.LIBVIRT, ALIVE)], Verdict.DEGRADED),
        ([Evidence(S.STORAGE, ALIVE)], Verdict.ISOLATED),
        ([bmc(DEAD)], Verdict.DEAD),
        ([bmc(DEAD, 1)], Verdict.UNKNOWN),
        ([bmc(DEAD, verified=False)], Verdict.UNKNOWN),
        ([bmc(Finding.POWERED)], Verdict.UNKNOWN),
        ([bmc(SILENT)], Verdict.UNKNOWN),
        ([Evidence(S.AGENT, DEAD, readings=2)], Verdict.DEAD),
        ([Evidence(S.LEASE, DEAD)], Verdict.DEAD),
        ([Evidence(S.LEASE, UNKNOWN)], Verdict.UNKNOWN),
        ([Evidence(S.PERSON, DEAD)], Verdict.DEAD),
        ([Evidence(S.STORAGE, DEAD)], Verdict.UNKNOWN),
        ([Evidence(S.SSH, DEAD)], Verdict.UNKNOWN),
        ([bmc(DEAD), Evidence(S.SSH, ALIVE)], Verdict.DEGRADED),
        ([bmc(DEAD), Evidence(S.SSH, ALIVE), Evidence(S.MONITORING, ALIVE)], Verdict.DEGRADED),
        ([bmc(DEAD), Evidence(S.STORAGE, ALIVE)], Verdict.ISOLATED),
        ([Evidence(S.PERSON, DEAD), Evidence(S.PEER, ALIVE)], Verdict.DEGRADED),
    ],
)
def test_each_row(items: list[Evidence], verdict: Verdict) -> None:
    """A wrong verdict starts a VM twice, or leaves it down."""
    assert judge(items).verdict is verdict


def test_two_proofs_must_be_independent() -> None:
    """A BMC and a fence agent may read the same controller."""
    one = [bmc(DEAD), Evidence(S.AGENT, DEAD, readings=2)]
    assert judge(one, proofs_needed=2).verdict is Verdict.UNKNOWN
    assert judge([*one, Evidence(S.PERSON, DEAD)], proofs_needed=2).verdict is Verdict.DEAD


ITEMS = st.builds(
    Evidence,
    st.sampled_from(Source),
    st.sampled_from(Finding),
    age=st.floats(0, 60),
    readings=st.integers(1, 3),
    verified=st.booleans(),
)


@given(st.lists(ITEMS, max_size=8))
def test_a_fresh_sign_of_life_never_goes_with_dead(items: list[Evidence]) -> None:
    """Whatever else is reported, a host that shows life is not dead."""
    life = (S.SSH, S.PEER, S.LIBVIRT, S.MONITORING, S.STORAGE)
    alive = any(one.finding is ALIVE and one.source in life and one.age <= 30 for one in items)
    assert not (alive and judge(items).verdict is Verdict.DEAD)


@given(st.lists(ITEMS, max_size=8))
def test_without_a_verified_proof_nothing_is_dead(items: list[Evidence]) -> None:
    """Silence, however much of it, proves nothing."""
    proofs = [one for one in items if one.finding is DEAD and one.verified and one.age <= 30]
    if judge(items).verdict is Verdict.DEAD:
        assert any(
            one.source in (S.LEASE, S.PERSON) or (one.source in (S.BMC, S.AGENT) and one.readings >= 2)
            for one in proofs
        )

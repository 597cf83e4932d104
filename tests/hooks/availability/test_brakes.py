"""Each brake at the value where it begins to hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability import brakes
from hooks.availability.evidence import Judgement, Verdict
from hooks.availability.model import Cluster, Host, Incident, Phase
from hooks.availability.policy import Mode, Policy
from onext.oned.objects import HostState

POLICY = Policy(mode=Mode.AUTO, max_down=100)
UNKNOWN = Judgement(Verdict.UNKNOWN, ("no proof of death",))
INCIDENT = Incident(0, "a", 1, Phase.CONFIRM, first=1000.0, since=1000.0)


def cluster(hosts: int, failed: int = 1, **changes: object) -> Cluster:
    """Return a cluster whose first `failed` hosts do not answer; host 0 has an incident."""
    found = Cluster(
        1,
        "c",
        tuple(Host(number, str(number), HostState.MONITORED) for number in range(hosts)),
        answering=frozenset(range(failed, hosts)),
        incidents={0: INCIDENT},
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def changed(found: Cluster, **changes: object) -> Cluster:
    """Change host 0."""
    return replace(found, hosts=(replace(found.hosts[0], **changes), *found.hosts[1:]))  # type: ignore[arg-type]


def held(
    found: Cluster, policy: Policy = POLICY, judgement: Judgement = UNKNOWN, one: Incident = INCIDENT
) -> str:
    """Return why the incident is held."""
    return brakes.held(found, one, judgement, policy)


def test_nothing_holds_a_single_failed_host() -> None:
    """No failed host would ever be fenced, and its VMs would stay down."""
    assert held(cluster(3)) == ""


@pytest.mark.parametrize(
    ("found", "policy", "judgement", "words"),
    [
        (cluster(3, paused=True), POLICY, UNKNOWN, "paused"),
        (cluster(3), replace(POLICY, mode=Mode.ADVISE), UNKNOWN, "MODE is advise"),
        (cluster(3), replace(POLICY, mode=Mode.OFF), UNKNOWN, "MODE is off"),
        (
            cluster(3),
            replace(POLICY, mode=Mode.ADVISE, complaints=("DENY = 'x' is invalid",)),
            UNKNOWN,
            "DENY = 'x'",
        ),
        (cluster(3, rival="host_error.rb"), POLICY, UNKNOWN, "host_error.rb is registered"),
        (changed(cluster(3), maintenance=True), POLICY, UNKNOWN, "maintenance"),
        (changed(cluster(3), state=HostState.OFFLINE), POLICY, UNKNOWN, "OFFLINE"),
        (changed(cluster(3), claimed=True), POLICY, UNKNOWN, "power management"),
        (cluster(3), replace(POLICY, deny=frozenset({0})), UNKNOWN, "DENY"),
        (cluster(3), POLICY, Judgement(Verdict.ALIVE, ("ssh: alive",)), "evidence shows life: ssh: alive"),
        (cluster(3), POLICY, Judgement(Verdict.DEGRADED, ()), "evidence shows life: degraded"),
        (cluster(3), POLICY, Judgement(Verdict.ISOLATED, ("x",)), "isolated"),
    ],
)
def test_each_reason_alone_holds(found: Cluster, policy: Policy, judgement: Judgement, words: str) -> None:
    """A host would be powered off against a person's word, or while it runs its VMs."""
    assert words in held(found, policy, judgement)


def test_what_concerns_another_host_does_not_hold_this_one() -> None:
    """One host in maintenance would keep the VMs of all others down."""
    found = cluster(4, answering=frozenset({1, 2, 3}))
    others = tuple(replace(host, maintenance=True) if host.id == 3 else host for host in found.hosts)
    assert held(replace(found, hosts=others), replace(POLICY, deny=frozenset({3}))) == ""
    isolated = Judgement(Verdict.ISOLATED, ("x",))
    assert held(found, replace(POLICY, fence_isolated=True), isolated) == ""


def test_as_many_hosts_as_allowed_may_be_down() -> None:
    """With one more the front-end's own network is the likelier reason, and a cloud would be powered off."""
    two = replace(POLICY, max_down=2)
    assert held(cluster(9, 2), two) == ""
    assert held(cluster(9, 3), two) == "3 hosts are down, MAX_DOWN_HOSTS is 2"


def test_a_host_counts_as_down_until_it_returns() -> None:
    """A host that is being fenced answers nobody; one that returns does not hold the next failure."""
    one_more = replace(INCIDENT, host=1, phase=Phase.FENCED)
    found = cluster(9, 1, incidents={0: INCIDENT, 1: one_more})
    assert [host.id for host in brakes.down(found)] == [0, 1]
    returning = replace(found, incidents={0: INCIDENT, 1: replace(one_more, phase=Phase.RETURNING)})
    assert [host.id for host in brakes.down(returning)] == [0]


def test_hosts_off_on_purpose_are_neither_down_nor_a_quorum() -> None:
    """Sleeping hosts would hold every incident at night, or hide that most of the cluster failed."""
    found = cluster(6, 1, answering=frozenset({1, 2}))
    asleep = tuple(
        replace(host, state=HostState.OFFLINE) if host.id == 3
        else replace(host, claimed=True) if host.id == 4
        else replace(host, maintenance=host.id == 5)
        for host in found.hosts
    )  # fmt: skip
    found = replace(found, hosts=asleep)
    assert [host.id for host in brakes.down(found)] == [0]
    assert held(found) == ""


@pytest.mark.parametrize(
    ("hosts", "failed", "holds"),
    [
        (2, 1, False),
        (3, 1, False),
        (3, 2, True),
        (4, 2, True),
        (5, 2, False),
        (100, 49, False),
        (100, 50, True),
    ],
)
def test_a_majority_has_to_answer(hosts: int, failed: int, holds: bool) -> None:
    """A front-end that is cut off with half of the cluster would fence the other half."""
    reason = held(cluster(hosts, failed))
    assert bool(reason) is holds
    if holds:
        assert reason.startswith(f"only {hosts - failed} of {hosts} hosts answer")


@pytest.mark.parametrize(("hosts", "proofs"), [(1, 2), (2, 2), (3, 1), (4, 1)])
def test_two_hosts_cannot_judge_each_other(hosts: int, proofs: int) -> None:
    """A broken link between two hosts makes each look dead: VMs would run twice."""
    assert brakes.proofs_needed(cluster(hosts)) == proofs


@pytest.mark.parametrize(
    ("errors", "firsts", "holds"),
    [
        (("key missing",) * 3, (1000, 1060, 940), True),
        (("key missing",) * 3, (1000, 1060.5, 940), False),
        (("key missing",) * 3, (1000, 1000, 939), False),
        (("key missing",) * 2, (1000, 1000), False),
        (("key missing", "key missing", "disk full"), (1000, 1000, 1000), False),
        (("", "", ""), (1000, 1000, 1000), False),
        (
            tuple(
                f"Sat Nov 21 04:47:4{n} 2026 : Error monitoring Host node-{n} ({n}): key missing"
                for n in range(3)
            ),
            (1000, 1000, 1000),
            True,
        ),
        (
            tuple(f"Sat Nov 21 04:47:4{n} 2026 : Error monitoring Host node-{n} ({n}): " for n in range(3)),
            (1000, 1000, 1000),
            False,
        ),
        (("node-0: key missing", "node-1: key missing", "node-2: key missing"), (1000, 1000, 1000), True),
    ],
)
def test_the_same_error_on_three_hosts_within_a_minute_is_the_front_ends(
    errors: tuple[str, ...], firsts: tuple[float, ...], holds: bool
) -> None:
    """A key that is missing on the front-end looks as if the hosts died one after the other."""
    several = {
        number: replace(INCIDENT, host=number, name=f"node-{number}", error=error, first=first)
        for number, (error, first) in enumerate(zip(errors, firsts, strict=True))
    }
    reason = held(cluster(9, 3, incidents=several), one=several[0])
    assert reason.startswith("several hosts failed within a minute with the same error: ") is holds
    assert reason.endswith("key missing" if holds else "")

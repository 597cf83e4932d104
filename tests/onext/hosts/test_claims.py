"""Which claims count: the document's, for the host of that name; a template's permits to wake."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.claims import (
    HOST_RECORDS,
    HostRecord,
    claim_of,
    claim_vector,
    effective,
    expects,
    plain,
    same,
)
from onext.hosts.model import GOING, Claim, Host, Phase, Record
from onext.hosts.placement.problem import Size
from onext.oned.documents import Stored
from onext.oned.objects import HostState

NOW = 1_800_000_000.0
PAST = Record(proven=NOW, wakes=2)


def stored(claim: Claim | None, name: str = "node") -> Stored[HostRecord]:
    return Stored(3, 1, 1, HostRecord(name, claim, PAST))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.HELD])
def test_S5_a_claim_in_a_template_alone_is_never_verified(phase: Phase) -> None:
    """Whoever may edit a host's template would own its power button."""
    forged = claim_vector(Claim(phase, NOW, 0, 1, by_hand=True))
    for document in (None, stored(None)):
        claim, record = effective(document, forged, "node")
        assert claim is not None
        assert not claim.verified
        host = Host(3, "node", HostState.OFFLINE, Size(1, 1), claim=claim, record=record)
        assert host.phase not in (*GOING, Phase.OFF)
        assert not host.by_hand
    assert effective(None, forged, "node")[1] == Record(), "nor does it prove that the host wakes"


def test_S5_the_document_counts_and_not_what_the_template_holds() -> None:
    """A forged copy must neither replace nor hide what we wrote."""
    off = Claim(Phase.OFF, NOW, 0, 1)
    for copy in (None, "", "x", {"PHASE": "draining"}, {"PHASE": "off", "SINCE": "nan"}):
        assert effective(stored(off), copy, "node") == (off, PAST)


@pytest.mark.parametrize("phase", GOING)
def test_S5_a_copy_that_contradicts_a_host_going_off_brings_it_back(phase: Phase) -> None:
    """After a return to the earlier version only the copy is up to date: the host may be in use."""
    claim = Claim(phase, NOW, 0, 1)
    for copy in (
        None,
        claim_vector(replace(claim, since=NOW + 60)),
        claim_vector(replace(claim, phase=Phase.OFF)),
    ):
        found, _ = effective(stored(claim), copy, "node")
        assert found is not None
        assert not found.verified
    agreed, _ = effective(stored(claim), claim_vector(claim), "node")
    assert agreed == claim


def test_S13_a_host_renamed_or_made_again_under_its_id_keeps_no_permission() -> None:
    """The record was written for another machine."""
    found, record = effective(stored(Claim(Phase.OFF, NOW)), None, "other")
    assert found is not None
    assert (found.verified, record.proven, record.wakes) == (False, 0.0, 2)


def test_S5_a_document_that_is_invalid_leaves_the_host_to_a_person() -> None:
    """What cannot be read is no permission, neither to switch off nor to wake."""
    broken: Stored[HostRecord] = Stored(3, 1, 1, None, "record onext.host.3 is invalid")
    found, record = effective(broken, claim_vector(Claim(Phase.OFF, NOW)), "node")
    assert found is not None
    assert (found.phase, found.reason, record) == (Phase.QUARANTINED, broken.problem, Record())


@pytest.mark.parametrize("key", ["SINCE", "LEASE", "ASKED", "UNTIL", "SERVER", "TERM", "FAILURES"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "9" * 400, "-5", "", "0x10", "\u0661"])
def test_S5_numbers_of_a_template_are_finite_and_in_range(key: str, text: str) -> None:
    """SINCE="nan" made the round fail for all hosts."""
    found = claim_of({**claim_vector(Claim(Phase.DRAINING, NOW)), key: text})
    assert found is not None
    assert (found.phase, found.verified) == (Phase.QUARANTINED, False)


TEXT = st.text(max_size=30)


@given(
    vector=st.dictionaries(
        st.sampled_from([*claim_vector(Claim(Phase.OFF, NOW)), "X"]),
        st.one_of(TEXT, st.sampled_from([*(phase.value for phase in Phase), "1", "YES", "1e9"])),
    )
)
def test_S5_whatever_a_template_holds_is_read_and_never_verified(vector: dict[str, str]) -> None:
    """An exception would end the round for the whole cluster."""
    found = claim_of(vector)
    assert found is None or not found.verified


@given(
    claim=st.none()
    | st.builds(
        Claim,
        st.sampled_from(Phase),
        st.integers(0, 10**10).map(float),
        st.integers(-1, 99),
        st.integers(0, 10**9),
        st.integers(0, 86_400).map(float),
        by_hand=st.booleans(),
        hard=st.booleans(),
        slept=st.booleans(),
        opened=st.booleans(),
        holder=st.sampled_from(["power", "availability", "maintenance"]),
    )
)
def test_a_record_comes_back_as_it_was_written(claim: Claim | None) -> None:
    """Another front-end continues from it."""
    host = HostRecord("node", claim, Record(NOW, 90.0, "", NOW, (NOW - 5, NOW), 10.0, 20.0, 3, 1))
    assert HOST_RECORDS.decode(HOST_RECORDS.encode(host)) == host


def test_S13_a_writer_replaces_only_the_claim_that_it_has_seen() -> None:
    """Of two parts that claim one host at once, one must notice."""
    mine, other = Claim(Phase.DRAINING, NOW, 0, 1), Claim(Phase.HELD, NOW, 0, 1, holder="availability")
    assert expects(None, None)
    assert expects(HostRecord("node"), None)
    assert expects(HostRecord("node", mine), mine)
    assert not expects(HostRecord("node", other), None)
    assert not expects(HostRecord("node", other), mine)
    assert not expects(HostRecord("node"), mine)
    assert expects(HostRecord("node"), replace(mine, verified=False))
    assert not expects(HostRecord("node", other), replace(mine, verified=False))


def test_a_host_without_a_past_has_a_record_too() -> None:
    """The first claim on a host could not be read back."""
    host = HostRecord("node", Claim(Phase.DRAINING, 0.0))
    assert HOST_RECORDS.decode(HOST_RECORDS.encode(host)) == host


LIMITS = [
    ("SINCE", "100000000000", "100000000001"),
    ("SERVER", "1000000000", "1000000001"),
    ("TERM", "1000000000000000", "1000000000000001"),
    ("LEASE", "86400", "86401"),
    ("FAILURES", "1000000", "1000001"),
    ("ASKED", "100000000000", "100000000001"),
    ("UNTIL", "100000000000", "100000000001"),
]


@pytest.mark.parametrize(("key", "most", "beyond"), LIMITS)
def test_S5_numbers_of_a_claim_end_at_their_limit(key: str, most: str, beyond: str) -> None:
    """A lease of a year would bind for a year."""
    vector = claim_vector(Claim(Phase.DRAINING, NOW))
    for text, phase in ((most, Phase.DRAINING), (beyond, Phase.QUARANTINED), ("0", Phase.DRAINING)):
        found = claim_of({**vector, key: text})
        assert found is not None
        assert found.phase is phase, text
    low = claim_of({**vector, key: "-1"})
    assert low is not None
    assert (low.phase is Phase.DRAINING) is (key in ("SERVER", "TERM"))
    del vector[key]
    missing = claim_of(vector)
    assert missing is not None
    assert (missing.phase is Phase.QUARANTINED) is (key == "SINCE")


def test_what_a_claim_without_its_numbers_means() -> None:
    """An earlier version wrote fewer of them."""
    found = claim_of({"PHASE": "off", "SINCE": "5"})
    assert found == Claim(Phase.OFF, 5.0, -1, 0, 0.0, verified=False)
    assert (claim_of(None), claim_of(""), claim_of({})) == (None, None, None)
    other = claim_of("text")
    assert other is not None
    assert (other.phase, other.since, other.verified, other.reason) == (
        Phase.QUARANTINED, 0.0, False, "ONEXT_POWER_STATE is invalid",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "most", "beyond"),
    [
        ("PROVEN", "100000000000", "100000000001"),
        ("BOOT_SECONDS", "86400", "86401"),
        ("ON_SINCE", "100000000000", "100000000001"),
        ("OFF_SECONDS", "1000000000000", "1000000000001"),
        ("JOULES", "10000000000000000", "20000000000000000"),
        ("WAKES", "1000000000", "1000000001"),
        ("FAILED_WAKES", "1000000000", "1000000001"),
        ("OFFS", "1 100000000000", "1 100000000001"),
    ],
)
def test_S5_numbers_of_a_past_end_at_their_limit(key: str, most: str, beyond: str) -> None:
    """A proof in the year 9999 would never run out."""
    document = dict(HOST_RECORDS.encode(HostRecord("node", None, PAST)))
    HOST_RECORDS.decode({**document, f"PAST_{key}": most})
    HOST_RECORDS.decode({**document, f"PAST_{key}": "0"})
    for bad in (beyond, "-1", "x"):
        with pytest.raises(ValueError, match=f"{key} is not a number from 0 to"):
            HOST_RECORDS.decode({**document, f"PAST_{key}": bad})


def test_a_past_without_its_numbers_is_that_of_a_new_host() -> None:
    """A host that was never proven would count as proven, or its boot as one of no time."""
    assert HOST_RECORDS.decode({"HOST": "node"}) == HostRecord("node")
    assert HOST_RECORDS.decode({"HOST": "node"}).record.boot_seconds == 180.0


def test_the_newest_times_of_switching_off_are_kept() -> None:
    """CYCLES_PER_DAY would count those of last week, or the record grow without end."""
    day = 86_400.0
    record = Record(offs=(NOW - day, NOW - day + 1, NOW))
    written = HOST_RECORDS.encode(HostRecord("node", None, record))
    assert written["PAST_OFFS"] == f"{NOW - day + 1:.0f} {NOW:.0f}"
    many = " ".join(str(n) for n in range(100))
    assert HOST_RECORDS.decode({"HOST": "node", "PAST_OFFS": many}).record.offs == tuple(
        float(n) for n in range(4, 100)
    )


@pytest.mark.parametrize(
    ("change", "same_step"),
    [
        ({}, True),
        ({"reason": "another", "lease": 5.0, "by_hand": True}, True),
        ({"since": NOW + 0.4}, True),
        ({"since": NOW + 0.6}, False),
        ({"phase": Phase.OFF}, False),
        ({"server": 3}, False),
        ({"term": 3}, False),
        ({"holder": "availability"}, False),
        ({"asked": 1.0}, False),
    ],
)
def test_S13_two_claims_are_one_step_of_one_writer(change: dict[str, Any], same_step: bool) -> None:
    """Another server's step would be taken for ours, or our own for another's."""
    claim = Claim(Phase.STOPPING, NOW, 0, 1)
    assert same(claim, replace(claim, **change)) is same_step
    assert not same(claim, None)
    assert same(None, None)


def test_texts_of_a_template_are_plain_and_bounded() -> None:
    """A name could end the vector and forge another one."""
    assert plain('a"b\\c]d\ne') == "a?b?c?d?e"
    assert plain("x" * 201) == "x" * 200
    claim = Claim(Phase.OFF, NOW, capacity={"NUMA": "y" * 500}, reason="r" * 500)
    vector = claim_vector(claim)
    assert (len(vector["NUMA"]), len(vector["REASON"])) == (400, 200)
    found = claim_of({**vector, "OTHER": "z", "NUMA": "n" * 500})
    assert found is not None
    assert {key: len(value) for key, value in found.capacity.items()} == {"NUMA": 400}


@pytest.mark.parametrize("flag", ["HARD", "BY_HAND", "SLEPT", "OPENED"])
def test_a_flag_is_set_by_yes_only(flag: str) -> None:
    """A person's order would be made of a typing error."""
    vector = claim_vector(Claim(Phase.OFF, NOW))
    for text, value in (("YES", True), ("NO", False), ("yes", False), ("1", False)):
        found = claim_of({**vector, flag: text})
        assert getattr(found, flag.lower()) is value

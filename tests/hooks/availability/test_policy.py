"""What ONEXT_HA of a cluster may choose, and what the administrator's envelope makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.availability.model import Action
from hooks.availability.policy import Mode, Policy, read
from onext.settings.availability import Availability

WIDE = Availability(highest_mode="auto", lowest_confirm_seconds=20, highest_down_hosts=1000)


def test_without_a_template_nothing_is_done() -> None:
    """A cluster whose administrator chose nothing would have its hosts powered off."""
    assert read({}, WIDE) == Policy()
    assert Policy() == Policy(
        mode=Mode.OFF, confirm=90.0, max_down=1, action=Action.MIGRATE, group_pause=60.0, retries=2, spares=0,
        deny=frozenset(), fence_isolated=False, failback=False, max_parallel=5, quiet=180.0, services=False,
        complaints=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "field", "low", "high"),
    [
        ("CONFIRM_SECONDS", "confirm", 20, 3600),
        ("MAX_DOWN_HOSTS", "max_down", 0, 1000),
        ("GROUP_PAUSE", "group_pause", 0, 3600),
        ("RETRIES", "retries", 0, 10),
        ("SPARE_HOSTS", "spares", 0, 100),
        ("MAX_PARALLEL", "max_parallel", 1, 100),
    ],
)
def test_a_number_counts_within_its_range_only(key: str, field: str, low: int, high: int) -> None:
    """No confirmation time, or a thousand VMs started at once, would be taken from a typing error."""
    for value in (low, high):
        policy = read({key: str(value)}, WIDE)
        assert (getattr(policy, field), policy.complaints) == (value, ())
    for value in (low - 1, high + 1):
        policy = read({key: str(value)}, WIDE)
        assert getattr(policy, field) == getattr(Policy(), field)
        assert policy.complaints == (f"ONEXT_HA/{key} = '{value}' is invalid",)


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        ("mode", " AUTO ", "mode", Mode.AUTO),
        ("ACTION", "Leave", "action", Action.LEAVE),
        ("ISOLATION", "fence", "fence_isolated", True),
        ("ISOLATION", "HOLD", "fence_isolated", False),
        ("FAILBACK", " yes", "failback", True),
        ("FAILBACK", "no", "failback", False),
        ("DENY", "0, 7,12", "deny", frozenset({0, 7, 12})),
        ("DENY", str(2**31), "deny", frozenset({2**31})),
    ],
)
def test_a_word_is_read_as_it_is_meant(key: str, text: str, field: str, value: object) -> None:
    """A host listed in DENY would be fenced, an isolated one although ISOLATION is hold."""
    policy = read({key: text}, WIDE)
    assert (getattr(policy, field), policy.complaints) == (value, ())


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("MODE", "automatic"),
        ("ISOLATION", "yes"),
        ("FAILBACK", "fence"),
        ("DENY", "host-7"),
        ("DENY", "-1"),
        ("DENY", str(2**31 + 1)),
        ("DENY", "1 " * 2_001),
        ("RETRIES", "two"),
        ("NO_SUCH_KEY", "1"),
    ],
)
def test_an_invalid_value_changes_nothing_and_is_named(key: str, text: str) -> None:
    """An administrator would rely on a choice that was never in force."""
    policy = read({key: text}, WIDE)
    assert policy.complaints[0].startswith(f"ONEXT_HA/{key} = ")
    assert len(policy.complaints) == 1
    assert read({}, WIDE) == Policy(**{**_fields(policy), "complaints": ()})  # type: ignore[arg-type]


def _fields(policy: Policy) -> dict[str, object]:
    return {name: getattr(policy, name) for name in Policy.__dataclass_fields__}


def test_as_many_hosts_as_allowed_may_be_denied() -> None:
    """The longest list that the documentation allows would be refused, and its hosts fenced."""
    assert len(read({"DENY": " ".join(map(str, range(2_000)))}, WIDE).deny) == 2_000
    longest = [2**31 - number for number in range(2_000)]
    assert read({"DENY": ", ".join(map(str, longest))}, WIDE).deny == frozenset(longest)


@pytest.mark.parametrize("chosen", list(Mode))
@pytest.mark.parametrize("highest", list(Mode))
def test_a_template_never_exceeds_the_envelope(chosen: Mode, highest: Mode) -> None:
    """Whoever may edit a cluster's template would switch fencing on against the administrator's will."""
    envelope = Availability(
        highest_mode=highest.value, lowest_confirm_seconds=120, highest_down_hosts=2, quiet_seconds=30,
        services=True,
    )  # fmt: skip
    policy = read({"MODE": chosen.value, "CONFIRM_SECONDS": "20", "MAX_DOWN_HOSTS": "50"}, envelope)
    order = [Mode.OFF, Mode.ADVISE, Mode.AUTO]
    assert policy.mode is order[min(order.index(chosen), order.index(highest))]
    assert (policy.confirm, policy.max_down, policy.quiet, policy.services) == (120.0, 2, 30.0, True)


@given(st.dictionaries(st.sampled_from(["MODE", "CONFIRM_SECONDS", "DENY", "RETRIES", "X"]), st.text()))
def test_any_text_is_survived(chosen: dict[str, str]) -> None:
    """One cluster's template would stop availability in all clusters."""
    policy = read(chosen, WIDE)
    assert policy.confirm >= 20
    assert all(len(one) < 160 for one in policy.complaints)


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("K" * 40, "x" * 60, f"ONEXT_HA/{'K' * 40} = '{'x' * 60}' is invalid"),
        ("K" * 41, "x" * 61, f"ONEXT_HA/{'K' * 39}… = '{'x' * 59}…' is invalid"),
    ],
)
def test_an_invalid_value_is_shown_as_far_as_a_line_goes(key: str, text: str, shown: str) -> None:
    """Whoever may edit a cluster's template could fill the log, or the value could not be recognised."""
    assert read({key: text}, WIDE).complaints == (shown,)


@pytest.mark.parametrize(
    ("key", "text", "mode"),
    [
        ("DENY", "node-7", Mode.ADVISE),
        ("ACTION", "leav", Mode.ADVISE),
        ("MAX_DOWN_HOSTS", "none", Mode.ADVISE),
        ("RETRIES", "two", Mode.AUTO),
        ("ISOLATION", "halt", Mode.AUTO),
    ],
)
def test_a_limit_that_cannot_be_read_lets_nothing_be_done(key: str, text: str, mode: Mode) -> None:
    """A host that DENY was to exempt would be powered off because its name was written instead of its id."""
    assert read({"MODE": "auto", key: text}, WIDE).mode is mode
    assert read({"MODE": "off", key: text}, WIDE).mode is Mode.OFF

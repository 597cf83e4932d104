"""Power off with a proof: whatever the BMC answers to the order, its state decides, twice in a row."""

from collections.abc import Iterator
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.bmc.errors import BmcError, ConfigChanged, Refused, TimedOut, Unreachable, WrongMachine
from onext.hosts.bmc.protocol import Identity, Power, Reading
from onext.hosts.bmc.verified_off import NotOff, power_off
from tests.fixtures_bmc import IpmiPeer
from tests.onext.hosts.bmc.test_query import Books

ON, OFF = Reading(Power.ON), Reading(Power.OFF)


def unknown(error: BmcError) -> Reading:
    return Reading(Power.UNKNOWN, error)


SILENT = unknown(Unreachable("it does not answer"))


class Played:
    """A BMC whose readings are written down, the last one for ever; `hard_off` raises `error` if given."""

    def __init__(self, *readings: Reading, error: BmcError | None = None, proves_off: bool = True) -> None:
        self.proves_off = proves_off
        self._readings: Iterator[Reading] = iter(readings)
        self._last = readings[-1]
        self._error = error
        self.orders: list[float] = []
        self.time = 100.0

    def power(self) -> Reading:
        self.time += 0.5
        self._last = next(self._readings, self._last)
        return self._last

    def hard_off(self, not_after: float = inf) -> None:
        self.orders.append(not_after)
        if self._error:
            raise self._error

    def switch_on(self) -> None: ...
    def soft_off(self) -> None: ...
    def identity(self) -> Identity:
        return Identity()

    def watts(self) -> float | None:
        return None

    def passes(self, seconds: float) -> None:
        self.time += seconds


def off(bmc: Played, within: float = 60.0, not_after: float = inf) -> int:
    proof = power_off(bmc, within, not_after=not_after, now=lambda: bmc.time, pause=bmc.passes)
    assert proof.at == bmc.time
    return proof.ordered


def test_a_machine_that_is_off_already_is_not_ordered() -> None:
    """BMCs answer 409 to that, and a power button would switch it on."""
    assert off(Played(OFF, OFF)) == 0


@pytest.mark.parametrize("error", [None, Refused("409"), TimedOut("late"), Unreachable("cut off")])
def test_the_state_decides_and_not_the_order(error: BmcError | None) -> None:
    """An order that was refused and followed, or accepted and not followed, would be believed."""
    bmc = Played(ON, ON, OFF, OFF, error=error)
    assert off(bmc, not_after=500.0) == 1
    assert bmc.orders == [500.0]
    with pytest.raises(NotOff, match=r"did not report off twice: it reports on .ordered off"):
        off(Played(ON, error=error))


def test_off_counts_twice_in_a_row_only() -> None:
    """One reading of a BMC that restarts would start VMs twice."""
    bmc = Played(ON, OFF, ON, OFF, SILENT, OFF, OFF)
    assert off(bmc) >= 1
    assert next(bmc._readings, None) is None, "all of them were needed"
    with pytest.raises(NotOff):
        off(Played(*[OFF, ON] * 100))


@pytest.mark.parametrize("error", [WrongMachine("another"), ConfigChanged("changed meanwhile")])
def test_another_machine_ends_it_at_once(error: BmcError) -> None:
    """Its state proves nothing of this one."""
    with pytest.raises(NotOff, match=str(error)):
        off(Played(unknown(error), OFF, OFF))
    bmc = Played(ON, OFF, OFF, error=error)
    with pytest.raises(NotOff, match=str(error)):
        off(bmc)


def test_nothing_is_ordered_without_a_reading_or_after_the_intent() -> None:
    """A leader that was paused would switch off a host that another one has given back."""
    silent = Played(SILENT)
    with pytest.raises(NotOff, match=r"does not answer .not ordered off"):
        off(silent)
    late = Played(SILENT, SILENT, SILENT, ON)
    with pytest.raises(NotOff, match=r"intent .* has ended"):
        off(late, not_after=103.0)
    suspended = Played(ON, proves_off=False)
    with pytest.raises(NotOff, match=r"has no BMC"):
        off(suspended)
    assert silent.orders == late.orders == suspended.orders == []


@given(st.lists(st.sampled_from([ON, OFF, SILENT]), min_size=1, max_size=40))
def test_a_proof_needs_two_readings_of_off_in_a_row(readings: list[Reading]) -> None:
    """Whatever the BMC answers, there is a proof exactly when it reported off twice in a row, in time."""
    bmc = Played(*readings, SILENT)
    pairs = any(pair == (OFF, OFF) for pair in pairwise(readings))
    try:
        off(bmc, within=1000.0)
    except NotOff:
        assert not pairs
    else:
        assert pairs


@pytest.mark.process
def test_a_real_bmc_is_switched_off_and_proved(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """Real sessions take their time, and identities are verified in each."""
    bmc = bmc_config({7: ipmi.entry()}).bmc(7, timeout=30.0)
    with pytest.raises(TimedOut, match=r"nothing was ordered"):
        bmc.hard_off(not_after=1.0)
    assert ipmi.power == "on"
    assert power_off(bmc, 60.0, pause=lambda _: None).ordered >= 1
    assert ipmi.ipmitool("power", "status").endswith("off")
    other = bmc_config({7: ipmi.entry(uuid="11111111-2222-3333-4444-555555555555")}).bmc(7, timeout=30.0)
    with pytest.raises(NotOff, match=r"bmc.yaml names '11111111"):
        power_off(other, 60.0)


@pytest.mark.parametrize(("pause", "orders"), [(1.5, 4), (4.5, 4), (14.4, 2), (14.5, 3)])
def test_a_machine_that_stays_on_is_ordered_again_after_a_while(pause: float, orders: int) -> None:
    """A BMC that lost an order would never get it again, or one that is slow get twenty."""
    bmc = Played(ON)
    with pytest.raises(NotOff, match=f"ordered off {orders} times"):
        power_off(bmc, 40.0 if pause > 10 else 60.0, now=lambda: bmc.time, pause=lambda _: bmc.passes(pause))
    assert len(bmc.orders) == orders


@pytest.mark.parametrize(("within", "proved"), [(5.6, True), (5.5, False)])
def test_the_time_for_a_proof_is_used_to_its_end(within: float, proved: bool) -> None:
    """VMs would stay down although their host is off, or a worker wait longer than it may."""
    bmc = Played(ON, ON, OFF, OFF)
    if proved:
        assert off(bmc, within=within) == 1
        return
    with pytest.raises(NotOff, match=r"it reports off \(ordered off 1 times"):
        off(bmc, within=within)


def test_the_intent_ends_at_its_second() -> None:
    """An order a second too late reaches a host that another leader has returned to service."""
    assert off(Played(ON, OFF, OFF), not_after=100.6) == 1
    late = Played(ON, OFF, OFF)
    with pytest.raises(NotOff, match="the intent to power it off has ended"):
        off(late, not_after=100.5)
    assert late.orders == []


def test_readings_are_two_seconds_apart() -> None:
    """A BMC that restarts would report off twice in one moment."""
    pauses: list[float] = []
    bmc = Played(OFF, OFF)
    power_off(bmc, 60.0, now=lambda: bmc.time, pause=pauses.append)
    assert pauses == [2.0]


def test_what_the_last_order_failed_with_is_reported() -> None:
    """Whoever is called at night would search the log for it."""
    bmc = Played(ON, ON, OFF, OFF, error=Refused("status 409"))
    proof = power_off(bmc, 60.0, now=lambda: bmc.time, pause=bmc.passes)
    assert (proof.ordered, proof.order_error) == (1, "status 409")
    with pytest.raises(NotOff, match=r"it reports on \(ordered off 4 times; status 409\)"):
        off(Played(ON, error=Refused("status 409")), within=50.0)

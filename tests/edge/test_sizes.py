"""The MTU that a node finds: never more than what passes, and soon less when a way swallows it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import direct, programs, sizes
from edge.errors import CommandFailed
from tests.waiting import until

KEY, HUB = "A" * 43 + "=", "fd00::1"
STATE: dict[str, Any] = {
    "hubs": [{"key": KEY, "address": HUB}],
    "mtu": 1280,
    "mtu_most": 1420,
    "pool": "fd00::/64",
}


class Wire:
    """A way on which packets up to a size pass, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch, passes: int = 1500) -> None:
        self.passes, self.now, self.lost = passes, 1000.0, 0
        self.routes: dict[str, int] = {}
        self.sent: list[int] = []
        self.said: list[str] = []
        self.waiting: set[tuple[str, int]] = set()
        self.handshake = 1000.0
        patch.setattr(sizes, "time", SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now))
        patch.setattr(sizes, "Echoes", lambda _address: self)
        patch.setattr(programs, "run", self._run)
        patch.setattr(direct, "dump", self._dump)
        self.followed = sizes.Sizes(self.said.append)

    def _dump(self) -> dict[str, direct.Seen]:
        return {KEY: direct.Seen({HUB}, self.handshake, 0, "203.0.113.2:51820")}

    def _run(self, argv: list[str], _text: str | None = None) -> str:
        assert argv[:3] == ["ip", "-6", "route"]
        if argv[3] == "show":
            lines = [f"{one} metric 1024 mtu {size} pref medium\n" for one, size in self.routes.items()]
            return "fe80::/64 proto kernel\nfd00::/64 metric 256 mtu 1280 pref medium\n" + "".join(lines)
        address = argv[4].partition("/")[0]
        if argv[3] == "del":
            del self.routes[address]
        else:
            self.routes[address] = int(argv[-1])
        return ""

    def send(self, address: str, size: int) -> None:
        """Take an echo request."""
        self.sent.append(size)
        if self.lost:
            self.lost -= 1
        elif size <= self.passes:
            self.waiting.add((address, size))

    def heard(self) -> set[tuple[str, int]]:
        """Give the answers."""
        found, self.waiting = self.waiting, set()
        return found

    def after(self, seconds: float, state: dict[str, Any] = STATE) -> int:
        """Let time pass in steps of two seconds; return the hub's MTU."""
        for turn in range(int(seconds / 2)):
            self.now += 2
            self.handshake = self.now
            if turn % 8 == 0:
                self.followed.follow(state)
            self.followed.step()
        return self.routes.get(HUB, int(state["mtu"]))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Return a way that passes everything."""
    return Wire(monkeypatch)


def test_what_passes_is_used_at_once(wire: Wire) -> None:
    """With 1280 each packet of a migration carries a tenth less."""
    assert wire.after(4) == 1420
    wire.after(1200)
    assert max(wire.sent) == 1420, "never above what the settings permit"
    assert wire.said == [f"{HUB}: the MTU is 1420"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1280, 1500), st.integers(1280, 1500))
def test_the_size_is_near_what_passes_and_never_above(first: int, second: int) -> None:
    """More than what passes is a tunnel that answers pings and hangs at the first transfer."""
    with pytest.MonkeyPatch.context() as patch:
        wire = Wire(patch, first)
        assert min(first, 1420) - sizes.NEAR <= wire.after(60) <= min(first, 1420)
        wire.passes = second
        assert wire.after(30) <= second, "a black hole"
        assert min(second, 1420) - sizes.NEAR <= wire.after(720) <= min(second, 1420)


def test_lost_echoes_and_a_dead_tunnel_change_nothing(wire: Wire) -> None:
    """The restart of a hub would be taken for a way that drops large packets."""
    wire.after(4)
    wire.lost = 4
    assert wire.after(60) == 1420
    wire.lost = 10**9
    assert wire.after(60) == 1420
    wire.lost = 0
    assert wire.after(60) == 1420


def test_a_tunnel_that_was_dead_is_measured_when_it_lives(wire: Wire) -> None:
    """A size would stay small for ten minutes because nothing was answered at the start."""
    wire.lost = 10**9
    assert wire.after(60) == 1280
    wire.lost = 0
    assert wire.after(30) == 1420


def test_another_network_begins_small(wire: Wire) -> None:
    """The size of the old network would swallow what is sent in the new one."""
    wire.after(4)
    wire.followed.forget()
    assert wire.routes == {}
    wire.passes = 1300
    assert 1280 < wire.after(60) <= 1300


def test_what_an_earlier_process_found_is_found_anew(wire: Wire) -> None:
    """The line became worse while the service was updated: its old route would swallow everything."""
    wire.routes, wire.passes = {HUB: 1420}, 1280
    assert wire.after(100) == 1280
    assert wire.routes == {}


def test_it_is_measured_while_the_service_waits_for_an_answer(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service asked over a way that swallowed the answer, and looked why a minute and a half later."""
    monkeypatch.setattr(sizes, "TURN", 0.01)
    wire.followed.follow(STATE)
    wire.followed.begin()
    until(lambda: wire.routes == {HUB: 1420}, "the size that the way passes")
    wire.followed.end()


def test_who_is_not_reached_directly_has_no_route(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour that is reached through the hub again has two ways, and the smaller one counts."""
    peer = {"key": "B" + KEY[1:], "address": "fd00::2"}
    state = {**STATE, "peers": [peer]}
    carried = {"fd00::2"}

    def shown() -> dict[str, direct.Seen]:
        seen = direct.Seen({HUB}, wire.now, 0, "x:1")
        return {KEY: seen, peer["key"]: direct.Seen(carried, wire.now, 0, "y:1")}

    monkeypatch.setattr(direct, "dump", shown)
    wire.after(30, state)
    assert wire.routes == {HUB: 1420, "fd00::2": 1420}
    carried.clear()
    wire.after(30, state)
    assert wire.routes == {HUB: 1420}


def test_a_fixed_size_is_not_measured(wire: Wire) -> None:
    """An administrator who knows the way sets `mtu` and `mtu_most` to one value."""
    assert wire.after(60, {**STATE, "mtu_most": 1280}) == 1280
    assert wire.after(60, {"hubs": STATE["hubs"], "mtu": 1300}) == 1300, "a front-end that is older"
    assert wire.sent == []
    assert wire.after(4, {**STATE, "mtu_most": 1282}) == 1282


def test_without_the_right_the_size_stays(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit of an older version has no CAP_NET_RAW: the service continues and reports it once."""

    def forbidden(_address: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sizes, "Echoes", forbidden)
    assert wire.after(100) == 1280
    assert len(wire.said) == 1


def test_a_route_that_went_with_its_interface_is_no_failure(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service would stop following its hubs."""
    wire.after(4)

    def gone(_argv: list[str], _text: str | None = None) -> str:
        raise CommandFailed("no such device")

    monkeypatch.setattr(programs, "run", gone)
    wire.followed.forget()


class Played:
    """One way that is measured alone, in half seconds."""

    def __init__(self, patch: pytest.MonkeyPatch, small: int = 1280, most: int = 1420) -> None:
        self.now, self.heard = 1000.0, set[int]()
        patch.setattr(sizes, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.size = sizes.Size(small, most)

    def during(self, seconds: float, passes: int) -> list[tuple[float, int]]:
        """Let time pass; return when which size was tried, beside the small one."""
        tried = []
        for _ in range(int(2 * seconds)):
            sent = self.size.step(self.heard)
            assert sent in ({self.size.small, max(sent)}, set()) if sent else True
            self.heard = {size for size in sent if size <= passes}
            tried += [(self.now - 1000.0, max(sent))] if sent else []
            self.now += 0.5
        return tried


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Return a way that was not measured yet."""
    return Played(monkeypatch)


def test_the_search_halves_and_three_lost_echoes_are_a_size_that_does_not_pass(way: Played) -> None:
    """One lost echo would make packets smaller; a slow search keeps them small for minutes."""
    tried = way.during(11.5, 1400)
    assert tried == [
        (0.0, 1420), (1.5, 1420), (3.0, 1420),
        (4.5, 1350), (5.0, 1385), (5.5, 1402), (7.0, 1402), (8.5, 1402), (10.0, 1393), (10.5, 1397), (11.0, 1397),
    ]  # fmt: skip
    assert (way.size.good, way.size.bad) == (1397, 1402), "near enough"
    assert way.during(33.0, 1400) == [(26.5, 1397), (42.0, 1397)], "then each quarter of a minute"


@pytest.mark.parametrize(("bad", "tried"), [(1288, set()), (1289, {1284, 1280})])
def test_the_search_ends_when_it_is_near(monkeypatch: pytest.MonkeyPatch, bad: int, tried: set[int]) -> None:
    """Each further step is three echoes on a way that swallows them."""
    way = Played(monkeypatch)
    way.during(0.5, 1500)
    way.size.good, way.size.bad, way.size._trial = 1280, bad, 0
    way.size._next = 0.0
    assert way.size.step(set()) == tried


def test_a_way_that_swallows_the_size_in_use_is_left_at_once_and_searched_anew(way: Played) -> None:
    """A migration hangs until the size is smaller; it must not stay smaller than needed."""
    way.during(11.5, 1400)
    tried = way.during(30.0, 1300)
    assert [moment for moment, size in tried if size == 1397] == [26.5, 28.0, 29.5]
    assert [size for moment, size in tried if moment >= 31.0][:4] == [1338, 1338, 1338, 1309]
    assert 1292 <= way.size.good <= 1300


def test_a_tunnel_that_answers_nothing_is_no_size(way: Played) -> None:
    """The restart of a hub would make all packets small for ten minutes."""
    way.during(11.5, 1400)
    assert way.during(43.0, 0) == [
        (26.5, 1397),
        (28.0, 1397),
        (29.5, 1397),
        (46.0, 1397),
        (47.5, 1397),
        (49.0, 1397),
    ]
    assert (way.size.good, way.size.bad) == (1397, 1402)
    late = way.during(43.0, 0)
    assert late[0][0] - 49.0 == 16.5, "again after the pause"


def test_an_answer_to_the_small_size_counts_until_its_trial_ends(way: Played) -> None:
    """A size would count as lost because the small one was lost once, or as passing because it came late."""
    way.size.step(set())
    way.now += 1.5
    way.size.step({1280})
    way.now += 1.5
    way.size.step(set())
    way.now += 1.5
    assert way.size.step(set()) == {1280, 1350}
    assert way.size.bad == 1420
    way.now += 0.5
    assert way.size.step({1420}) == set(), "an answer to an earlier trial does not count"
    assert way.size.good == 1280


def test_more_is_tried_again_after_ten_minutes(way: Played) -> None:
    """A line that became better would stay slow for ever; one that did not is not asked all the time."""
    way.during(598.0, 1400)
    before = way.size.good
    tried = [size for _, size in way.during(20.0, 1500)]
    assert 1420 in tried
    assert (before, way.size.good) == (1397, 1420)
    assert [size for _, size in way.during(500.0, 1500)] == [1420] * 32


def test_a_way_on_which_nothing_more_passes_is_rarely_asked(way: Played) -> None:
    """A link on which only the small size passes would be searched without an end."""
    tried = way.during(60.0, 1280)
    assert way.size.good == 1280
    assert max(moment for moment, _ in tried) < 25.0
    assert way.during(535.0, 1280) == []
    assert way.during(10.0, 1280)[0] == (600.0, 1420)


def test_a_hub_that_was_not_heard_for_minutes_is_not_measured(wire: Wire) -> None:
    """Each echo to a dead hub starts a handshake; only the route of the pool remains."""
    wire.after(4)
    assert wire.routes == {HUB: 1420}
    wire.now += 179.0
    wire.followed.follow(STATE)
    assert wire.routes == {HUB: 1420}
    wire.now += 1.0
    wire.followed.follow(STATE)
    assert wire.routes == {}
    wire.followed.follow({**STATE, "hubs": [{"key": "other", "address": "fd00::9"}]})
    assert wire.routes == {}


def test_routes_are_read_as_ip_shows_them(wire: Wire) -> None:
    """A route of an earlier process would stay and drop packets that are too large now."""
    wire.routes = {HUB: 1400}
    assert sizes.routes(STATE) == {"fd00::/64": 1280, HUB: 1400}
    assert sizes.largest(STATE) == 1420
    assert sizes.largest({"mtu": 1300, "mtu_most": 1280}) == sizes.largest({"mtu": 1300}) == 1300


def test_a_failure_is_reported_once(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal would have the same line every two seconds; another one must be seen."""
    problems = iter(["one", "one", "two"])
    turns = iter([False, False, False, True])
    waited: list[float] = []

    def fails() -> None:
        raise CommandFailed(next(problems))

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return next(turns)

    monkeypatch.setattr(wire.followed, "step", fails)
    monkeypatch.setattr(wire.followed, "_ended", SimpleNamespace(wait=wait))
    wire.followed._work()
    assert wire.said == ["one", "two"]
    assert waited == [2.0] * 4

"""When a node uses TLS, and when UDP again."""

from __future__ import annotations

import socket
from itertools import pairwise
from types import SimpleNamespace

import pytest

from edge import direct, programs, tunnel, ways
from edge.errors import CommandFailed
from edge.word import Server

KEY = "A" * 43 + "="
UDP, RELAY = "203.0.113.2:51820", "127.0.0.1:4000"
STATE = {
    "hubs": [{"key": KEY, "endpoint": UDP, "address": "fd00::1"}],
    "servers": [["203.0.113.2:8443", "0" * 64]],
}


class Played:
    """A relay without a thread."""

    made: list[Played]

    def __init__(self, target: Server, port: int) -> None:
        self.target, self.port = target, port
        self.endpoint, self.problem, self.alive, self.held = "", "", True, False
        self.made.append(self)

    def hold(self, held: bool) -> None:
        """Note it."""
        self.held = held

    def close(self) -> None:
        """End."""
        self.alive = False


class Machine:
    """WireGuard with one hub, which sends only what the test makes it send."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.received, self.handshake, self.endpoint = 1000.0, 0, 0.0, UDP
        self.udp, self.told = False, list[str]()
        self.relays: list[Played] = []
        monkeypatch.setattr(Played, "made", self.relays, raising=False)
        monkeypatch.setattr(ways, "Relay", Played)
        monkeypatch.setattr(ways, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(ways, "answers", self._answers)
        monkeypatch.setattr(tunnel, "port", lambda: 40000)
        monkeypatch.setattr(tunnel, "resolved", lambda hub: hub["endpoint"])
        monkeypatch.setattr(direct, "dump", self._dump)
        monkeypatch.setattr(programs, "run", self._run)
        self.ways = ways.Ways(self.told.append)

    def _dump(self) -> dict[str, direct.Seen]:
        return {KEY: direct.Seen({"fd00::1"}, self.handshake, self.received, self.endpoint)}

    def _run(self, argv: list[str], _text: str | None = None) -> str:
        assert argv[:6] == ["wg", "set", "onext-edge", "peer", KEY, "endpoint"]
        self.endpoint = argv[6]
        return ""

    def _answers(self, address: str, port: int) -> bool:
        assert (address, port) == ("fd00::1", 8443)
        assert self.endpoint == UDP
        assert self.relays[-1].held, "an answer over TLS would count for UDP"
        return self.udp

    def after(self, seconds: float, *, heard: bool) -> bool:
        """Let time pass in steps of five seconds; return whether a way changed."""
        changed = False
        for _ in range(int(seconds / 5)):
            self.now += 5
            self.received += 100 * heard
            self.handshake = self.now if heard else self.handshake
            changed = self.ways.step(STATE) or changed
        return changed

    def over_tls(self) -> Played:
        """Come to the state in which a relay carries."""
        self.ways.step(STATE)
        self.after(20, heard=False)
        self.relays[-1].endpoint = RELAY
        self.after(5, heard=False)
        assert self.after(5, heard=True)
        assert self.endpoint == RELAY
        return self.relays[-1]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose interface is new."""
    return Machine(monkeypatch)


def test_udp_is_tried_first_and_tls_when_it_gets_no_answer(machine: Machine) -> None:
    """TLS carries a tenth of what UDP does: it must not be used where UDP works."""
    machine.ways.step(STATE)
    machine.after(1000, heard=True)
    assert machine.relays == []
    machine.after(40, heard=False)
    assert machine.relays == [], "two lost answers are no reason"
    machine.after(10, heard=False)
    assert [made.target.port for made in machine.relays] == [8443]
    assert machine.endpoint == UDP, "it must have a place first"


def test_a_hub_that_moved_is_tried_at_its_new_address_before_tls(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider's change of address made every tunnel slow for a minute, or for good where TCP is blocked."""
    new = "198.51.100.7:51820"
    machine.ways.step(STATE)
    machine.after(100, heard=True)
    monkeypatch.setattr(tunnel, "resolved", lambda _: new)
    machine.after(40, heard=False)
    assert machine.endpoint == UDP, "two lost answers are no reason"
    assert machine.after(10, heard=False)
    assert machine.endpoint == new
    assert machine.told == [f"hub {UDP}: no answer from {UDP}, trying {new}"]
    machine.after(40, heard=True)
    assert machine.relays == []


def test_an_address_without_an_answer_is_tried_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that answers from another address than its name's must not keep a node from TLS."""
    machine.ways.step(STATE)
    machine.after(100, heard=True)
    new = "198.51.100.7:51820"
    monkeypatch.setattr(tunnel, "resolved", lambda _: new)
    machine.after(50, heard=False)
    machine.endpoint = "198.51.100.8:51820"  # from where a last answer came
    machine.after(50, heard=False)
    assert len(machine.relays) == 1
    assert machine.endpoint == "198.51.100.8:51820"
    monkeypatch.setattr(tunnel, "resolved", lambda _: None)
    machine.relays[-1].alive = False
    machine.after(15, heard=False)
    assert machine.endpoint == "198.51.100.8:51820", "a name that does not resolve changes nothing"


def test_a_new_node_waits_ten_seconds(machine: Machine) -> None:
    """A person waits for a join."""
    machine.ways.step(STATE)
    machine.after(10, heard=False)
    assert machine.relays == []
    machine.after(5, heard=False)
    assert len(machine.relays) == 1
    assert machine.ways.busy


def test_udp_is_used_again_when_it_works(machine: Machine) -> None:
    """A node that roamed through one bad network would stay slow for ever."""
    made = machine.over_tls()
    assert machine.told == [
        f"hub {UDP}: no answer over UDP, trying TLS",
        f"hub {UDP}: reached over TLS, as UDP gets no answer",
    ]
    machine.after(70, heard=True)
    assert (machine.endpoint, made.held, made.alive) == (RELAY, False, True)
    machine.udp = True
    assert machine.after(130, heard=True)
    assert (machine.endpoint, made.alive, machine.ways.busy) == (UDP, False, False)
    assert machine.told[-1] == f"hub {UDP}: reached over UDP again"
    machine.after(1000, heard=True)
    assert len(machine.relays) == 1


def test_trials_become_rare(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes three seconds of what a node sends."""
    machine.over_tls()
    trials = list[float]()

    def silent(*_: object) -> bool:
        trials.append(machine.now)
        return False

    monkeypatch.setattr(ways, "answers", silent)
    machine.after(3600, heard=True)
    assert 5 < len(trials) < 10


def test_a_relay_that_carries_nothing_gives_udp_another_chance(machine: Machine) -> None:
    """A hub that is down answers neither way, and comes back over UDP."""
    machine.ways.step(STATE)
    machine.after(20, heard=False)
    machine.relays[-1].endpoint = RELAY
    machine.after(5, heard=False)
    assert machine.endpoint == RELAY
    machine.relays[-1].alive, machine.relays[-1].problem = False, "no datagram came"
    machine.after(5, heard=False)
    assert machine.endpoint == UDP
    assert machine.told[1:] == [f"hub {UDP} over TLS: no datagram came"]
    machine.after(3600, heard=False)
    for made in machine.relays:
        made.alive = False
    machine.after(3600, heard=False)
    assert len(machine.relays) < 40, "a dead front-end is not asked each second"


def test_what_another_process_left_is_taken_over_at_once(machine: Machine) -> None:
    """`join` ends, and with it its relay: the service must not wait for silence."""
    machine.endpoint, machine.handshake = RELAY, 999.0
    machine.ways.step(STATE)
    assert len(machine.relays) == 1
    machine.relays[-1].alive = False
    machine.after(5, heard=False)
    assert machine.endpoint == UDP, "without a place for a relay UDP is tried"


def test_another_network_is_tried_over_udp(machine: Machine) -> None:
    """The relay's connection belongs to the old network."""
    made = machine.over_tls()
    machine.ways.close()
    machine.endpoint = UDP
    assert not made.alive
    machine.after(30, heard=True)
    assert len(machine.relays) == 1


def test_a_failing_command_is_reported(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interface may disappear at any moment: the service continues."""

    def gone() -> dict[str, direct.Seen]:
        raise CommandFailed("wg")

    machine.over_tls()
    monkeypatch.setattr(direct, "dump", gone)
    with pytest.raises(CommandFailed):
        machine.ways.step(STATE)
    monkeypatch.setattr(direct, "dump", dict)
    assert not machine.ways.step(STATE)
    assert not machine.ways.busy


def seconds(machine: Machine, count: int, *, heard: bool) -> list[float]:
    """Let seconds pass, one after the other; return the moments at which a way changed."""
    changed = []
    for _ in range(count):
        machine.now += 1
        machine.received += 100 * heard
        machine.handshake = machine.now if heard else machine.handshake
        changed += [machine.now] if machine.ways.step(STATE) else []
    return changed


def test_how_long_a_hub_may_be_silent(machine: Machine) -> None:
    """A hub answers each fifteen seconds: sooner TLS is a tenth of the speed for nothing, later the node is cut off."""
    machine.ways.step(STATE)
    seconds(machine, 10, heard=False)
    assert machine.relays == []
    seconds(machine, 1, heard=False)
    assert len(machine.relays) == 1, "a first handshake has ten seconds"
    machine.ways.close()
    seconds(machine, 5, heard=True)
    seconds(machine, 45, heard=False)
    assert len(machine.relays) == 1
    seconds(machine, 1, heard=False)
    assert len(machine.relays) == 2
    assert machine.told == [f"hub {UDP}: no answer over UDP, trying TLS"] * 2


def test_a_relay_is_tried_again_after_pauses_that_double(machine: Machine) -> None:
    """A front-end that is down would be asked all the time, or not when it is back."""
    machine.ways.step(STATE)
    begun: list[float] = []
    for _ in range(2000):
        machine.now += 1
        assert not machine.ways.step(STATE), "nothing changed: files would be written for nothing"
        if machine.relays and machine.relays[-1].alive:
            begun.append(machine.now)
            machine.relays[-1].alive = False
    pauses = [int(later - earlier) for earlier, later in pairwise(begun)]
    assert pauses[:7] == [12, 21, 41, 81, 161, 301, 301], "the first after the silence"
    assert machine.told.count(f"hub {UDP}: no answer over UDP, trying TLS") == 1


def relaying(machine: Machine) -> Played:
    """Come to the moment at which WireGuard was given a relay that carried nothing yet."""
    machine.ways.step(STATE)
    seconds(machine, 11, heard=False)
    (made,) = machine.relays
    assert seconds(machine, 3, heard=False) == []
    assert machine.endpoint == UDP, "it has no place yet"
    made.endpoint = RELAY
    assert seconds(machine, 1, heard=False) == []
    assert machine.endpoint == RELAY
    return made


def test_a_relay_counts_when_the_hub_was_heard_over_it(machine: Machine) -> None:
    """`join` would report TLS before anything came over it."""
    relaying(machine)
    assert seconds(machine, 30, heard=False) == []
    assert machine.told[1:] == []
    assert seconds(machine, 1, heard=True) == [machine.now]
    assert machine.told[1:] == [f"hub {UDP}: reached over TLS, as UDP gets no answer"]
    assert seconds(machine, 30, heard=True) == []


def test_a_relay_without_an_answer_is_left_after_the_silence(machine: Machine) -> None:
    """A front-end whose hub is down would keep the node from UDP for ever."""
    made = relaying(machine)
    assert seconds(machine, 45, heard=False) == []
    assert (made.alive, machine.endpoint) == (True, RELAY)
    assert seconds(machine, 1, heard=False) == []
    assert (made.alive, machine.endpoint) == (False, UDP)
    seconds(machine, 12, heard=False)
    machine.relays[1].endpoint = RELAY
    assert seconds(machine, 2, heard=False) == []
    assert machine.endpoint == RELAY, "the next one is used like the first"


def test_another_commands_endpoint_ends_the_relay(machine: Machine) -> None:
    """Two programs would change it in turn, and nothing pass."""
    made = machine.over_tls()
    machine.endpoint = "203.0.113.2:1"
    assert seconds(machine, 1, heard=True) == [machine.now]
    assert not made.alive


def test_udp_is_tried_after_pauses_that_double(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial holds for three seconds what a node sends; the last one must not be hours ago."""
    made, began, trials = machine.over_tls(), machine.now, list[float]()

    def silent(*_: object) -> bool:
        trials.append(machine.now - began)
        return False

    monkeypatch.setattr(ways, "answers", silent)
    assert seconds(machine, 2800, heard=True) == []
    assert [int(one) for one in trials] == [61, 182, 423, 904, 1505, 2106, 2707]
    assert (machine.endpoint, made.held) == (RELAY, False)


def test_a_name_that_cannot_be_resolved_costs_no_trial(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that is down would hold up what goes over TLS, or postpone UDP for ever."""
    made, asked = machine.over_tls(), list[float]()

    def unresolved(_hub: object) -> None:
        asked.append(machine.now)

    monkeypatch.setattr(tunnel, "resolved", unresolved)
    assert seconds(machine, 200, heard=True) == []
    assert [later - earlier for earlier, later in pairwise(asked)] == [61.0, 61.0]
    assert (machine.endpoint, made.held) == (RELAY, False)


def test_after_udp_worked_a_relay_is_begun_at_once_again(machine: Machine) -> None:
    """The pause of an earlier failure would keep the node from its hub."""
    machine.over_tls()
    machine.udp = True
    assert len(seconds(machine, 62, heard=True)) == 1
    assert machine.told[-1] == f"hub {UDP}: reached over UDP again"
    seconds(machine, 46, heard=False)
    assert len(machine.relays) == 2
    assert machine.told[-1] == f"hub {UDP}: no answer over UDP, trying TLS"


def test_no_relay_without_an_interface(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of WireGuard is where a relay delivers."""
    monkeypatch.setattr(tunnel, "port", lambda: 0)
    machine.ways.step(STATE)
    seconds(machine, 60, heard=False)
    assert machine.relays == []
    assert not machine.ways.busy


@pytest.mark.parametrize(
    ("problem", "answered"),
    [
        (None, True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), False),
        (OSError(113, "No route"), False),
    ],
)
def test_what_is_an_answer(problem: OSError | None, answered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A front-end that refuses is there: the tunnel carried its refusal. Each trial has seconds."""
    asked: list[tuple[object, ...]] = []

    def connect(*words: object) -> SimpleNamespace:
        asked.append(words)
        if problem is not None:
            raise problem
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(socket, "create_connection", connect)
    assert ways.answers("fd00::1", 8443) is answered
    assert asked == [(("fd00::1", 8443), 3.0)]

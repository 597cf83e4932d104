"""Two ends, one of which refuses: the other must not be left standing, nor its answer be taken for the next one's."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import endpoint_ovs, path_probe, refcount, tunnel
from drivers.vmm.migrate.onext_migrate.endpoint_client import Endpoint
from drivers.vmm.migrate.onext_migrate.endpoint_spec import KERNEL
from drivers.vmm.migrate.onext_migrate.errors import TakenError, TunnelError, UnsafeError
from drivers.vmm.migrate.onext_migrate.identity import identify
from drivers.vmm.migrate.onext_migrate.json_lines import Closed, Message
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.underlay import Underlay
from tests.drivers.vmm.migrate.clock import Clock

READY = {"ready": True, "mtu": 1450, "echo": 20001}
REQUEST = {"kind": KERNEL, "local": "10.0.0.2", "remote": "10.0.0.1", "port": 4790, "echo": 20000}
OFFER = tunnel.Offer(KERNEL, identify("10.0.0.1", "10.0.0.2", KERNEL, 4790), dict(REQUEST))


class Played(Endpoint):
    """An end that answers the opening request as it is told to, and "closed" afterwards."""

    def __init__(self, where: str, answer: "Mapping[str, object] | TunnelError") -> None:
        self.where, self.said, self._answers = where, [], [answer, {"closed": True}]
        self.json_lines = self  # type: ignore[assignment]

    said: list[Message]
    _answers: "list[Mapping[str, object] | TunnelError]"

    def has_message(self, _: float) -> bool:
        """Have something to say at once."""
        return True

    def send(self, message: Message) -> None:
        """Remember what was asked."""
        self.said.append(message)

    def ask(self, message: Message, seconds: float = 20.0) -> Message:
        """Remember, and answer."""
        self.send(message)
        return self.receive(seconds)

    def receive(self, seconds: float = 20.0) -> Message:
        """Give the next answer; there must be one."""
        assert seconds > 0
        answer = self._answers.pop(0)
        if isinstance(answer, TunnelError):
            raise answer
        return dict(answer)

    @property
    def closed(self) -> bool:
        """Tell whether it was asked to close, and heard to the end."""
        return self.said[1:] == [{"do": "close"}] and not self._answers

    @property
    def left_alone(self) -> bool:
        """Tell whether it was asked nothing after it refused."""
        return len(self.said) == 1 and len(self._answers) == 1


class Prober:
    """It gets no answers."""

    def __init__(self, *_: object) -> None:
        pass

    def probe_once(self, _: int) -> None:
        """Send nothing."""

    use_port = probe_once

    def measure(self, _mtu: int, _seconds: float) -> None:
        """Hear nothing."""

    def close(self) -> None:
        """Have nothing to let go."""


@pytest.fixture(autouse=True)
def no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send nothing."""
    monkeypatch.setattr(path_probe, "Prober", Prober)


def test_the_near_end_refuses() -> None:
    """The far end is closed, and the near one's reason is given."""
    near, far = Played("a", TakenError("a: taken")), Played("b", READY)
    with pytest.raises(TakenError, match="a: taken"):
        tunnel._build(near, far, OFFER)
    assert near.left_alone
    assert far.closed


def test_the_far_end_refuses() -> None:
    """The near end is closed, and the far one's reason is given."""
    near, far = Played("a", READY), Played("b", TunnelError("b: no Open vSwitch"))
    with pytest.raises(TunnelError, match="b: no Open vSwitch"):
        tunnel._build(near, far, OFFER)
    assert near.closed
    assert far.left_alone


def test_the_near_address_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end reports that it is ready: unread, this would count as the answer to the next question."""

    def refuse(*_: object) -> Prober:
        raise TunnelError("oxt0: its address cannot be used")

    monkeypatch.setattr(path_probe, "Prober", refuse)
    near, far = Played("a", READY), Played("b", READY)
    with pytest.raises(TunnelError, match="cannot be used"):
        tunnel._build(near, far, OFFER)
    assert near.closed
    assert far.closed


def test_nothing_comes_back() -> None:
    """A firewall: both ends are closed, and the port is named."""
    near, far = Played("a", READY), Played("b", READY)
    with pytest.raises(TunnelError, match=r"UDP port 4790 \(KERNEL_PORT\) open"):
        tunnel._build(near, far, OFFER)
    assert near.closed
    assert far.closed


def test_C4_no_process_is_no_tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OSError from fork ended the migration, where ON_TUNNEL_FAILURE=direct wants it without a tunnel."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(refcount, "FOLDER", str(tmp_path / "locks"))
    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(TunnelError, match="Resource temporarily unavailable"):
        tunnel.open_tunnel("node-b", "one-1", Settings(), "/x", "qemu:///system")


def test_B2_locks_of_another_account_are_no_reason_to_go_direct(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Root's folder of locks: oneadmin's migrations went in the clear."""
    monkeypatch.setattr(refcount, "FOLDER", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir(mode=0o755)
    with pytest.raises(UnsafeError, match="with mode 0700: remove it as root on"):
        tunnel.open_tunnel("node-b", "one-1", Settings(), "/x", "qemu:///system")


WAYS = [Underlay("10.0.0.1", far, "eth0", 1450) for far in ("10.0.0.3", "10.0.0.2")]


def test_B5_each_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address was unreachable: no tunnel, though the second works."""
    tried = []

    def open_one(_near: Endpoint, _far: Endpoint, way: Underlay, *_: object) -> str:
        tried.append(way.remote)
        if way is WAYS[0]:
            raise TunnelError("nothing comes back")
        return "a tunnel"

    monkeypatch.setattr(tunnel, "_try_datapaths", open_one)
    near, far = Played("a", READY), Played("b", READY)
    found: object = tunnel._try_addresses(near, far, WAYS, "one-1", Settings())
    assert (found, tried) == ("a tunnel", ["10.0.0.3", "10.0.0.2"])


@pytest.mark.parametrize("error", [Closed("b is gone"), UnsafeError("locks")])
def test_B5_what_another_address_cannot_change_ends_it(
    monkeypatch: pytest.MonkeyPatch, error: TunnelError
) -> None:
    """A guard that fails on the first address must not be asked until it gives in."""
    tried = []

    def refuse(*words: object) -> None:
        tried.append(words)
        raise error

    monkeypatch.setattr(tunnel, "_try_datapaths", refuse)
    with pytest.raises(type(error)):
        tunnel._try_addresses(Played("a", READY), Played("b", READY), WAYS, "one-1", Settings())
    assert len(tried) == 1


class Helper(Played):
    """A helper that may be gone, and its successor."""

    def __init__(self, where: str, *, gone: bool) -> None:
        super().__init__(where, {"ready": True, "mtu": 1450, "echo": 20002})
        self._answers = [dict(self._answers[0]), {"mtu": 1400}, {}, {}]  # type: ignore[arg-type]
        self._gone = gone
        self.uri, self.folder = "qemu:///system", "/x"

    @property
    def gone(self) -> bool:
        """Tell whether it was killed."""
        return self._gone

    def disconnect(self) -> None:
        """Have nothing to let go."""


@pytest.mark.parametrize(("near_gone", "far_gone"), [(True, True), (True, False), (False, True)])
def test_B5_each_helper_is_replaced_by_itself(
    monkeypatch: pytest.MonkeyPatch, near_gone: bool, far_gone: bool
) -> None:
    """With both killed the first's absence hid the second's, and the destination's device stayed."""
    new_near, new_far = Helper("a", gone=False), Helper("b", gone=False)
    monkeypatch.setattr(tunnel, "NearEndpoint", lambda _: new_near)
    monkeypatch.setattr(tunnel, "FarEndpoint", lambda *_: new_far)
    near, far = Helper("a", gone=near_gone), Helper("b", gone=far_gone)
    prober: Any = Prober()
    opened = tunnel.Tunnel(near, far, OFFER, tunnel.Echoes(prober, 1400, 1.0))
    opened._group = 77
    opened.repair()
    assert (opened.near is new_near, opened.far is new_far) == (near_gone, far_gone)
    for gone, old, new in ((near_gone, near, new_near), (far_gone, far, new_far)):
        if gone:
            assert [one.get("do") for one in new.said[:2]] == [None, "mtu"], (
                "the size that was measured counts"
            )
        else:
            assert old.said == [{"do": "mend"}]
    assert ({"do": "guard", "group": 77} in new_near.said) == near_gone


class Packets:
    """A prober that was asked, and what arrives for it."""

    def __init__(self, arrives: "tuple[int, float] | None" = None) -> None:
        self.arrives, self.asked = arrives, list[object]()

    def probe_once(self, mtu: int) -> None:
        """Remember the size."""
        self.asked.append(mtu)

    def use_port(self, port: int) -> None:
        """Remember the port."""
        self.asked.append(("port", port))

    def measure(self, mtu: int, _seconds: float) -> "path_probe.Answer | None":
        """Have the answer at once."""
        self.asked.append(("most", mtu))
        return path_probe.Answer(*self.arrives) if self.arrives else None

    def close(self) -> None:
        """Remember the end."""
        self.asked.append("closed")


@pytest.mark.parametrize(
    ("here", "there", "arrives", "near_told", "far_told", "warned"),
    [
        (1450, 1450, 1450, [], [], False),
        (1450, 1400, 1400, [1400], [], False),  # the far end's room is the smaller
        (1400, 1450, 1400, [], [1400], False),
        (1450, 1450, 1400, [1400], [1400], True),  # something between takes less
        (1450, 1400, 1380, [1380], [1380], True),
    ],
)
def test_both_ends_get_the_size_that_passes(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    here: int,
    there: int,
    arrives: int,
    near_told: list[int],
    far_told: list[int],
    warned: bool,
) -> None:
    """With another MTU on one end full packets are lost in one direction, and the migration hangs."""
    packets = Packets((arrives, 0.5))
    monkeypatch.setattr(path_probe, "Prober", lambda *_: packets)
    near, far = (Played(name, {**READY, "mtu": mtu}) for name, mtu in (("a", here), ("b", there)))
    opened = tunnel._build(near, far, OFFER)
    assert (opened.mtu, opened.round_trip_ms) == (arrives, 0.5)
    assert packets.asked == [("port", 20001), ("most", min(here, there))]
    for end, told in ((near, near_told), (far, far_told)):
        assert end.said[1:] == [{"do": "mtu", "mtu": mtu} for mtu in told]
    lowest = min(here, there)
    line = f"the way takes packets of {arrives + 50} bytes, its MTU is {lowest + 50}: using {arrives}"
    assert (line in capfd.readouterr().err) == warned


def test_what_each_end_is_asked_for() -> None:
    """An end that is asked for the other's addresses builds a tunnel to itself."""
    near, far = Played("a", READY), Played("b", READY)
    with pytest.raises(TunnelError, match="no answer arrives"):
        tunnel._build(near, far, OFFER)
    assert far.said[0] == REQUEST
    assert near.said[0] == {**REQUEST, "local": "10.0.0.1", "remote": "10.0.0.2", "echo": 0, "silence": 0}


@pytest.mark.parametrize(("speaks_after", "probes"), [(0, 0), (3, 3), (10**6, 4000)])
def test_the_far_end_is_probed_until_it_speaks(
    monkeypatch: pytest.MonkeyPatch, speaks_after: int, probes: int
) -> None:
    """The first probe that it answers saves a round trip; an end that never speaks is given up."""
    clock, packets = Clock(), Packets()
    monkeypatch.setattr(tunnel, "time", clock)
    monkeypatch.setattr(path_probe, "Prober", lambda *_: packets)

    def has_message(seconds: float) -> bool:
        clock.sleep(seconds)
        return len(packets.asked) >= speaks_after

    far = Played("b", READY)
    monkeypatch.setattr(far, "has_message", has_message)
    found: object = tunnel._probe_until_ready(far, OFFER, 1400)
    assert found == (packets, None)
    assert packets.asked[:1] == [1400] * bool(probes)
    assert abs(len(packets.asked) - probes) <= 1


@pytest.mark.parametrize(
    ("datapath", "works", "kinds"),
    [
        ("auto", True, ["ovs", "kernel"]),
        ("auto", False, ["kernel"]),
        ("kernel", True, ["kernel"]),
        ("ovs", False, ["ovs"]),
    ],
)
def test_which_datapaths_are_tried(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    datapath: str,
    works: bool,
    kinds: list[str],
) -> None:
    """Open vSwitch first, the kernel where it does not work; what the administrator chose is all there is."""
    monkeypatch.setattr(endpoint_ovs, "works", lambda: works)
    ports = []

    def refuse(_near: Endpoint, _far: Endpoint, offer: tunnel.Offer) -> None:
        ports.append((offer.kind, offer.request["port"]))
        raise TunnelError(f"not with {offer.kind}")

    monkeypatch.setattr(tunnel, "_build", refuse)
    with pytest.raises(TunnelError, match=f"not with {kinds[-1]}"):
        tunnel._try_datapaths(
            Played("a", READY), Played("b", READY), WAYS[0], "one-1", Settings(datapath=datapath)
        )
    assert ports == [(kind, {"ovs": 4789, "kernel": 4790}[kind]) for kind in kinds]
    assert capfd.readouterr().err.count("not with") == len(kinds)


@pytest.mark.parametrize("error", [Closed("b is gone"), UnsafeError("locks")])
def test_what_another_datapath_cannot_change_ends_it(
    monkeypatch: pytest.MonkeyPatch, error: TunnelError
) -> None:
    """A guard is not asked again with the other datapath."""
    tried = []

    def refuse(*words: object) -> None:
        tried.append(words)
        raise error

    monkeypatch.setattr(endpoint_ovs, "works", lambda: True)
    monkeypatch.setattr(tunnel, "_build", refuse)
    with pytest.raises(type(error)):
        tunnel._try_datapaths(Played("a", READY), Played("b", READY), WAYS[0], "one-1", Settings())
    assert len(tried) == 1


@pytest.mark.parametrize("taken", [0, 7, 8])
def test_names_that_are_taken_are_passed_over(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """Eight times; then the setting is named that helps."""
    offers: list[tunnel.Offer] = []

    def build(_near: Endpoint, _far: Endpoint, offer: tunnel.Offer) -> str:
        offers.append(offer)
        if len(offers) <= taken:
            raise TakenError("taken")
        return "a tunnel"

    monkeypatch.setattr(tunnel, "_build", build)

    def attempt() -> object:
        return tunnel._try_salts(Played("a", READY), Played("b", READY), WAYS[1], KERNEL, "one-1", Settings())

    if taken == 8:
        with pytest.raises(
            TunnelError, match=r"all 8 names and VNIs .* on UDP port 4790: set another KERNEL_PORT"
        ):
            attempt()
    else:
        assert attempt() == "a tunnel"
    request = offers[-1].request
    assert [offer.request["salt"] for offer in offers] == list(range(min(taken + 1, 8)))
    assert (request["local"], request["remote"], request["mtu"]) == ("10.0.0.2", "10.0.0.1", 1450)
    assert (request["domain"], request["silence"]) == ("one-1", 60)
    assert offers[-1].identity == identify("10.0.0.1", "10.0.0.2", KERNEL, 4790, request["salt"])


def test_the_far_end_hears_of_the_driver_often_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a host that is silent for a minute for dead, and takes the tunnel away."""
    clock = Clock()
    monkeypatch.setattr(tunnel, "time", clock)
    near, far = Helper("a", gone=False), Helper("b", gone=False)
    far._answers = [{} for _ in range(100)]
    opened = tunnel.Tunnel(near, far, OFFER, tunnel.Echoes(Prober(), 1400, 1.0))  # type: ignore[arg-type]
    silent, last = 0.0, 0.0
    for _ in range(100):
        clock.sleep(1)
        heard = len(far.said)
        opened.keep_alive()
        if len(far.said) > heard:
            silent, last = max(silent, clock.now - last), clock.now
    assert silent <= 20
    assert 5 <= len(far.said) <= 20, "a question each second would wake the other host for nothing"
    assert near.said == []


@pytest.mark.parametrize("gone", [False, True])
def test_both_ends_are_taken_away(monkeypatch: pytest.MonkeyPatch, gone: bool) -> None:
    """An end whose helper is gone is taken away over ssh: its device would stay for ever."""
    ran: list[list[str]] = []
    monkeypatch.setattr(tunnel, "far_command", lambda *words: list(map(str, words)))
    monkeypatch.setattr(tunnel, "run", lambda argv, **_: ran.append(argv))
    near, far = Helper("a", gone=False), Helper("b", gone=gone)
    packets: Any = Packets()
    tunnel.Tunnel(near, far, OFFER, tunnel.Echoes(packets, 1400, 1.0)).close()
    assert near.said == far.said == [{"do": "close"}]
    assert packets.asked == ["closed"]
    assert ran == [["b", "/x", "['reap']"]] * gone


def test_an_end_that_does_not_close_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """The other one is closed all the same."""
    refusing, other = Helper("a", gone=False), Helper("b", gone=False)
    refusing._answers = [TunnelError("a: busy")]
    tunnel.close([refusing, other])
    assert other.said == [{"do": "close"}]
    assert "a: busy: the next migration removes its leftovers" in capfd.readouterr().err


def test_where_the_stream_goes() -> None:
    """To the far end's address inside the tunnel, and the destination listens nowhere else."""
    opened = tunnel.Tunnel(
        Helper("a", gone=False),
        Helper("b", gone=False),
        OFFER,
        tunnel.Echoes(Prober(), 1, 1.0),  # type: ignore[arg-type]
    )
    inside = OFFER.identity.far.inside
    assert opened.migrate_uri == f"tcp://[{inside}%{OFFER.identity.name}]"
    assert opened.listen_address == f"{inside}%{OFFER.identity.name}"


@pytest.mark.parametrize("error", [OSError("no descriptor"), TunnelError("b: busy")])
def test_a_repair_that_fails_is_no_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The other end is repaired first, and the reason is told with its host."""
    near, far = Helper("a", gone=True), Helper("b", gone=False)

    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(tunnel, "NearEndpoint", fail)
    opened = tunnel.Tunnel(near, far, OFFER, tunnel.Echoes(Prober(), 1400, 1.0))  # type: ignore[arg-type]
    with pytest.raises(TunnelError, match="a: no descriptor" if isinstance(error, OSError) else "b: busy"):
        opened.repair()
    assert far.said == [{"do": "mend"}]

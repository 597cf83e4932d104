"""Two ends, one of which refuses: the other must not be left standing, nor its answer be taken for the next one's."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import path_probe, refcount, tunnel
from drivers.vmm.migrate.onext_migrate.endpoint_client import Endpoint
from drivers.vmm.migrate.onext_migrate.endpoint_spec import KERNEL
from drivers.vmm.migrate.onext_migrate.errors import TakenError, TunnelError, UnsafeError
from drivers.vmm.migrate.onext_migrate.identity import identify
from drivers.vmm.migrate.onext_migrate.json_lines import Closed, Message
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.underlay import Underlay

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
    """The far end is ready and says so: who does not hear that takes it for the answer to the next question."""

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

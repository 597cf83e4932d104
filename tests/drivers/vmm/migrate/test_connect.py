"""Two ends, one of which refuses: the other must not be left standing, nor its answer be taken for the next one's."""

from collections.abc import Mapping

import pytest

from drivers.vmm.migrate.onext_migrate import connect, echo
from drivers.vmm.migrate.onext_migrate.errors import TakenError, TunnelError
from drivers.vmm.migrate.onext_migrate.held import End
from drivers.vmm.migrate.onext_migrate.identity import identify
from drivers.vmm.migrate.onext_migrate.lines import Message
from drivers.vmm.migrate.onext_migrate.plan import KERNEL

READY = {"ready": True, "mtu": 1450, "echo": 20001}
REQUEST = {"kind": KERNEL, "local": "10.0.0.2", "remote": "10.0.0.1", "port": 4790, "echo": 20000}
OFFER = connect.Offer(KERNEL, identify("10.0.0.1", "10.0.0.2", KERNEL, 4790), dict(REQUEST))


class Played(End):
    """An end that answers the opening request as it is told to, and "closed" afterwards."""

    def __init__(self, where: str, answer: "Mapping[str, object] | TunnelError") -> None:
        self.where, self.said, self._answers = where, [], [answer, {"closed": True}]
        self.lines = self  # type: ignore[assignment]

    said: list[Message]
    _answers: "list[Mapping[str, object] | TunnelError]"

    def speaks(self, _: float) -> bool:
        """Have something to say at once."""
        return True

    def say(self, message: Message) -> None:
        """Remember what was asked."""
        self.said.append(message)

    def ask(self, message: Message, seconds: float = 20.0) -> Message:
        """Remember, and answer."""
        self.say(message)
        return self.hear(seconds)

    def hear(self, seconds: float = 20.0) -> Message:
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


class Asker:
    """Nobody answers it."""

    def __init__(self, *_: object) -> None:
        pass

    def knock(self, _: int) -> None:
        """Send nothing."""

    turn_to = knock

    def measure(self, _mtu: int, _seconds: float) -> None:
        """Hear nothing."""

    def close(self) -> None:
        """Have nothing to let go."""


@pytest.fixture(autouse=True)
def no_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send nothing."""
    monkeypatch.setattr(echo, "Asker", Asker)


def test_the_near_end_refuses() -> None:
    """The far end is closed, and the near one's reason is given."""
    near, far = Played("a", TakenError("a: taken")), Played("b", READY)
    with pytest.raises(TakenError, match="a: taken"):
        connect._build(near, far, OFFER)
    assert near.left_alone
    assert far.closed


def test_the_far_end_refuses() -> None:
    """The near end is closed, and the far one's reason is given."""
    near, far = Played("a", READY), Played("b", TunnelError("b: no Open vSwitch"))
    with pytest.raises(TunnelError, match="b: no Open vSwitch"):
        connect._build(near, far, OFFER)
    assert near.closed
    assert far.left_alone


def test_the_near_address_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end is ready and says so: who does not hear that takes it for the answer to the next question."""

    def refuse(*_: object) -> Asker:
        raise TunnelError("oxt0: its address cannot be used")

    monkeypatch.setattr(echo, "Asker", refuse)
    near, far = Played("a", READY), Played("b", READY)
    with pytest.raises(TunnelError, match="cannot be used"):
        connect._build(near, far, OFFER)
    assert near.closed
    assert far.closed


def test_nothing_comes_back() -> None:
    """A firewall: both ends are closed, and the port is named."""
    near, far = Played("a", READY), Played("b", READY)
    with pytest.raises(TunnelError, match=r"UDP port 4790 \(KERNEL_PORT\) open"):
        connect._build(near, far, OFFER)
    assert near.closed
    assert far.closed

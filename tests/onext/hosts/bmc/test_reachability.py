"""Which BMCs answer: each once, as soon as it does, over IPMI's datagrams and TCP, with agents last."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from onext.hosts.bmc import reachability
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.reachability import answering
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process


def job(number: int, kind: str, port: int, address: str = "127.0.0.1") -> Job:
    return Job(number, "power", kind, address, port)


@contextmanager
def bmc(deaf_to: int = 0, host: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """Play an IPMI BMC that loses its first questions; give its port and what it heard."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    heard: list[bytes] = []
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        one.bind((host, 0))

        def answer() -> None:
            while (found := one.recvfrom(512))[0] != b"end":
                heard.append(found[0])
                if len(heard) > deaf_to:
                    one.sendto(b"x", found[1])

        thread = threading.Thread(target=answer)
        thread.start()
        yield one.getsockname()[1], heard
        with socket.socket(family, socket.SOCK_DGRAM) as ends:
            ends.sendto(b"end", (host, one.getsockname()[1]))
        thread.join()


def test_each_kind_of_bmc_answers_once_and_agents_come_last() -> None:
    """A BMC that answers twice would be told twice; an agent that hangs would hold the others up."""
    with bmc() as (port, heard), socket.create_server(("127.0.0.1", 0)) as listener:
        tcp = listener.getsockname()[1]
        jobs = [
            job(1, "agent", 0, ""),
            job(2, "ipmi", port),
            job(3, "redfish", tcp),
            job(4, "suspend", tcp),
            job(5, "ipmi", port),
        ]
        found = [one.id for one in answering(jobs, PATIENCE)]
    assert sorted(found[:-1]) == [2, 3, 4, 5]
    assert found[-1] == 1
    assert heard[0].hex() == "0600ff07000000000000000000092018c88100388e04b5"


def test_a_question_that_was_lost_is_asked_again() -> None:
    """Datagrams get lost: a host would be taken for silent, and nothing shrink."""
    with bmc(deaf_to=1) as (port, heard):
        assert [one.id for one in answering([job(1, "ipmi", port)], PATIENCE)] == [1]
        assert len(heard) >= 2


def test_bmcs_with_an_ipv6_address_are_asked_too() -> None:
    """They would be silent for ever."""
    with bmc(host="::1") as (port, _), socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        jobs = [job(1, "ipmi", port, "::1"), job(2, "redfish", listener.getsockname()[1], "::1")]
        assert sorted(one.id for one in answering(jobs, PATIENCE)) == [1, 2]


def test_silence_ends_with_the_patience() -> None:
    """One BMC without its cable would hold up the round."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        jobs = [job(1, "ipmi", silent.getsockname()[1]), job(2, "agent", 0, "")]
        assert [one.id for one in answering(jobs, 0.7)] == [2]
        assert len(_drained(silent)) == 2, "asked again after half a second"
    assert [one.id for one in answering([job(2, "agent", 0, "")], 0.0)] == [2]
    assert list(answering([], 60.0)) == []


def _drained(one: socket.socket) -> list[bytes]:
    one.setblocking(False)
    found = []
    try:
        while True:
            found.append(one.recv(512))
    except BlockingIOError:
        return found


@pytest.mark.timeout(60)
def test_nothing_is_waited_for_once_all_have_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round of power would last as long as it may, on a cloud where every BMC answers at once."""
    monkeypatch.setattr(reachability, "_AGAIN", 1e6)
    with bmc() as (port, _):
        assert [one.id for one in answering([job(1, "ipmi", port)], 1e6)] == [1]

"""All BMCs at once: every one is answered for, in time, with nothing left and nothing told."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import TimedOut, Unreachable, WrongMachine, WrongPassword
from onext.hosts.bmc.protocol import Power, Reading
from onext.hosts.bmc.query import query_all
from tests.fixtures_bmc import PASSWORD, IpmiPeer, RedfishPeer
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.process
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
ROOT = Path(__file__).parents[4]


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes below `pid`."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(task).split()):
            yield child
            yield from descendants(child)


def _read(file: Path) -> bytes:
    """Return what a file of /proc says; nothing when its process ended meanwhile."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def asking(book: BmcConfig, deadline: float) -> tuple[threading.Thread, list[dict[int, Reading]]]:
    """Ask in a thread, so that the test can look at the processes meanwhile."""
    answers: list[dict[int, Reading]] = []
    thread = threading.Thread(target=lambda: answers.append(query_all(book, deadline)))
    thread.start()
    return thread, answers


def child_of_ours() -> int:
    """Wait for the child, which is the process with our script, and return its id."""

    def ours() -> list[int]:
        below = descendants(os.getpid())
        return [pid for pid in below if b"bmc/process.py" in _read(Path(f"/proc/{pid}/cmdline"))]

    return int(until(ours, "the child's start")[0])


@pytest.fixture
def mute() -> Iterator[int]:
    """Give the port of a peer that takes connections and says nothing, ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


def test_every_bmc_has_its_own_answer(
    ipmi_peers: Callable[..., IpmiPeer], redfish: RedfishPeer, bmc_config: Books
) -> None:
    """One that is wrong or silent would spoil the picture of all others."""
    on, off, strange, silent = (ipmi_peers() for _ in range(4))
    off.power = "off"
    silent.pause()
    entries = [
        on.entry(),
        off.entry(),
        strange.entry(uuid="11111111-2222-3333-4444-555555555555"),
        silent.entry(),
        redfish.entry(0),
        redfish.entry(1, password="not-this-one"),
    ]
    said = query_all(bmc_config(dict(enumerate(entries))), 60.0)
    assert [said[n].power.value for n in range(6)] == ["on", "off", "unknown", "unknown", "on", "unknown"]
    failures = [type(said[n].failure) for n in (2, 3, 5)]
    assert failures == [WrongMachine, Unreachable, WrongPassword]


def test_no_book_no_child(bmc_config: Books) -> None:
    """A cloud without BMCs would start processes each minute."""
    assert query_all(bmc_config({}), 5.0) == {}


def test_the_round_is_bounded_and_leaves_nothing(
    ipmi: IpmiPeer, redfish: RedfishPeer, bmc_config: Books, mute: int
) -> None:
    """Processes that hang would pile up, round by round, until the front-end is full."""
    before = set(descendants(os.getpid())), threading.active_count()
    said = query_all(bmc_config({1: redfish.entry(port=mute), 2: ipmi.entry()}), 4.5)
    assert isinstance(said[1].failure, TimedOut)
    assert said[2].power is Power.ON
    assert (set(descendants(os.getpid())), threading.active_count()) == before


def test_a_child_that_is_killed_is_no_answer(redfish: RedfishPeer, bmc_config: Books, mute: int) -> None:
    """The kernel may end any process: the round has to go on, and silence stays silence."""
    thread, answers = asking(bmc_config({1: redfish.entry(port=mute)}), 60.0)
    os.kill(child_of_ours(), signal.SIGKILL)
    thread.join(PATIENCE)
    assert answers[0][1].power is Power.UNKNOWN
    assert answers[0][1].reason == "the process that talks to BMCs ended with code -9"


def test_passwords_stand_in_no_list_of_processes(redfish: RedfishPeer, bmc_config: Books, mute: int) -> None:
    """Every user of the front-end can read arguments, and the service's own processes environments."""
    thread, answers = asking(bmc_config({1: redfish.entry(port=mute)}), 5.0)
    child = child_of_ours()
    seen = []
    while Path(f"/proc/{child}").exists():
        family = (child, *descendants(child))
        seen += [_read(Path(f"/proc/{pid}/cmdline")) + _read(Path(f"/proc/{pid}/environ")) for pid in family]
        time.sleep(0.05)
    thread.join(PATIENCE)
    assert sum(b"bmc/process.py" in text for text in seen) > 2
    assert not any(PASSWORD.encode() in text for text in seen)
    assert PASSWORD not in repr(answers)


def test_workers_end_with_who_asked(
    redfish: RedfishPeer, tmp_path: Path, bmc_config: Books, mute: int
) -> None:
    """Orders of a worker that was killed would be carried out when another leader is at work."""
    book = bmc_config({1: redfish.entry(port=mute)})
    code = "import sys; from pathlib import Path; from onext.hosts.bmc.config import BmcConfig;"
    code += "from onext.hosts.bmc.query import query_all; query_all(BmcConfig.load(Path(sys.argv[1])), 60.0)"
    asker = subprocess.Popen([sys.executable, "-c", code, str(book.file)], cwd=ROOT)
    until(lambda: len(list(descendants(asker.pid))) >= 2, "the start of child and worker", 60.0)
    family = list(descendants(asker.pid))
    asker.kill()
    asker.wait()
    until(lambda: not any(map(_running, family)), "the end of child and worker", 30.0)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_pyghmi_is_never_imported_here() -> None:
    """What hangs or poisons itself would do so in the worker of all parts."""
    code = "import sys, onext.hosts.bmc.query; print('pyghmi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

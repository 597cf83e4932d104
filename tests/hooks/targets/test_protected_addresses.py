"""What the guard knows of our own machine, of names and of BMCs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest

from hooks.targets import protected_addresses
from hooks.targets.protected_addresses import Names, Routes, own, protected, written

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
           |-- 192.0.2.7
              /32 host LOCAL
           |-- 192.0.2.255
              /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
"""


def test_own_addresses(tmp_path: Path) -> None:
    """A target on the front-end itself would reach what listens on its inside only."""
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text("20010db8000000000000000000000007 02 40 00 80 eth0\n")
    assert set(own(tmp_path)) == {ip_address(a) for a in ("192.0.2.7", "127.0.0.1", "2001:db8::7")}
    assert list(own(tmp_path / "missing")) == []


def test_this_machine() -> None:
    """The kernel's real tables are read, not only ours."""
    assert ip_address("127.0.0.1") in set(own())


def test_addresses_of_bmcs(tmp_path: Path) -> None:
    """BMC pages must not be scraped in a tenant's name, however the file is written."""
    file = tmp_path / "bmc.yaml"
    file.write_text(
        "a: {address: 192.0.2.1, port: 623}\nb: 'https://[2001:db8::9]:443/redfish'\nc: redfish://192.0.2.3/\n"
        "version: 1.2.3\nmac: 02:00:0a:0a:00:18\ntime: 12:30\n"
    )
    assert set(map(str, written(file))) == {"192.0.2.1", "2001:db8::9", "192.0.2.3"}
    assert list(written(tmp_path / "none")) == []


def resolver(known: dict[str, str], asked: list[str]) -> Callable[..., list[tuple[object, ...]]]:
    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(name)
        if name not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, 1, 6, "", (known[name], 0))]

    return getaddrinfo


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that the names see."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_names_are_remembered(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """1,250 hosts must not be 1,250 questions in each round, and a DNS that fails forgets nothing."""
    known, asked = {"node-a1": "192.0.2.1"}, list[str]()
    monkeypatch.setattr(socket, "getaddrinfo", resolver(known, asked))
    names = Names()
    for _ in range(3):
        found = names.addresses(["node-a1", "node-a2"])
        assert found == {"node-a1": frozenset({ip_address("192.0.2.1")}), "node-a2": None}
    assert sorted(asked) == ["node-a1", "node-a2"]
    clock[0] += 61  # what did not resolve is asked again, and only that
    names.addresses(["node-a1", "node-a2"])
    assert sorted(asked) == ["node-a1", "node-a2", "node-a2"]
    known.clear()
    clock[0] += 700
    assert names.addresses(["node-a1"]) == {"node-a1": frozenset({ip_address("192.0.2.1")})}
    assert asked.count("node-a1") == 2
    known["node-a1"] = "192.0.2.7"
    clock[0] += 61
    assert names.addresses(["node-a1"]) == {"node-a1": frozenset({ip_address("192.0.2.7")})}


def test_B2_what_was_known_outlives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DNS down when the worker starts, no host would be protected."""
    known = {"node-a1": "192.0.2.1", "node-a2": "2001:db8::2"}
    monkeypatch.setattr(socket, "getaddrinfo", resolver(known, []))
    file = tmp_path / "state/names.json"
    Names(file).addresses(["node-a1", "node-a2"])
    known.clear()
    after = Names(file).addresses(["node-a1", "node-a2", "node-a3"])
    assert {name: list(map(str, found or ())) for name, found in after.items()} == {
        "node-a1": ["192.0.2.1"], "node-a2": ["2001:db8::2"], "node-a3": [],
    }  # fmt: skip
    Names(file).addresses(["node-a1"])
    assert json.loads(file.read_text()) == {"node-a1": ["192.0.2.1"]}  # hosts that are gone are forgotten


@pytest.mark.parametrize("content", ["", "[1]", '{"node-a1": 5}', '{"node-a1": ["x"]}', "[" * 50_000, "\0"])
def test_B2_a_damaged_memory_counts_as_nothing_known(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut file would end every pass."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver({}, []))
    (tmp_path / "names.json").write_text(content)
    assert Names(tmp_path / "names.json").addresses(["node-a1"]) == {"node-a1": None}


def test_B2_a_name_that_did_not_exist_stays_so_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with a misspelt name, and DNS that is slow once: all VMs would vanish from Prometheus."""
    codes = [socket.EAI_NONAME]

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(codes[0], "no")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    file = tmp_path / "names.json"
    assert Names(file).addresses(["mispelt"]) == {"mispelt": frozenset()}
    codes[0] = socket.EAI_AGAIN
    assert Names(file).addresses(["mispelt", "new"]) == {"mispelt": frozenset(), "new": None}


def test_C2_a_full_disk_costs_the_memory_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full would end the pass, and no target would follow its VM."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"node-a1": "192.0.2.1"}, []))
    (tmp_path / "file").touch()
    names = Names(tmp_path / "file" / "names.json")
    assert names.addresses(["node-a1"]) == {"node-a1": frozenset({ip_address("192.0.2.1")})}


def test_B2_what_is_not_known_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard with holes in it would look like one without."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"node-a1": "192.0.2.1"}, []))
    bmc = tmp_path / "bmc.yaml"
    bmc.write_text("3: {address: 192.0.2.9}")
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    found = protected(Names(), ["node-a1"], ["node-a1", "asleep"], bmc, tmp_path)
    assert found.unknown == ()
    assert set(map(str, found.addresses)) == {"192.0.2.1", "192.0.2.7", "127.0.0.1", "192.0.2.9"}
    assert protected(Names(), ["node-a2"], [], bmc, tmp_path).unknown == ("node-a2",)
    assert protected(Names(), [], [], bmc, tmp_path / "none").unknown[0].startswith("this machine")
    bmc.write_bytes("3: {address: 192.0.2.9}".encode("utf-16"))
    assert "is not text" in protected(Names(), [], [], bmc, tmp_path).unknown[0]
    bmc.unlink()
    bmc.mkdir()
    assert "the BMCs (" in protected(Names(), [], [], bmc, tmp_path).unknown[0]


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_NONAME])
def test_B2_a_name_that_does_not_exist_is_no_doubt(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    """One host with a misspelt name would keep all VMs from being scraped, or DNS that is down would not."""
    codes = [code]

    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(codes[0], "no")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    names = Names()
    found = protected(names, ["node-a1"], [], tmp_path / "bmc.yaml", tmp_path)
    assert found.unknown == (() if code == socket.EAI_NONAME else ("node-a1",))
    codes[0] = socket.EAI_AGAIN
    clock[0] += 61
    assert protected(names, ["node-a1"], [], tmp_path / "bmc.yaml", tmp_path).unknown == found.unknown


@pytest.mark.parametrize(("resolves", "seconds", "asked"), [
    (True, 599, 1), (True, 600, 2), (False, 59, 1), (False, 60, 2),
])  # fmt: skip
def test_when_a_name_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], resolves: bool, seconds: float, asked: int
) -> None:
    """A host that got another address must be protected there soon, without a question in each round."""
    questions: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", resolver({"a": "192.0.2.1"} if resolves else {}, questions))
    names = Names()
    names.addresses(["a"])
    clock[0] += seconds
    names.addresses(["a"])
    assert len(questions) == asked


def test_of_a_names_addresses_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that answers without an end must not fill the memory; a scope is no part of an address."""
    answers = [(2, 1, 6, "", (f"192.0.2.{number}", 0)) for number in range(63)]
    answers += [(10, 1, 6, "", ("fe80::1%eth0", 0)), (2, 1, 6, "", ("192.0.2.99", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    found = Names().addresses(["a"])["a"]
    assert found is not None
    assert len(found) == 64
    assert ip_address("fe80::1") in found
    assert ip_address("192.0.2.99") not in found


@contextmanager
def probe(family: int, kind: int) -> Iterator[SimpleNamespace]:
    """Be a socket that has a route to addresses that end with 7."""
    assert kind == socket.SOCK_DGRAM, "a probe must send nothing"

    def connect(address: tuple[str, int]) -> None:
        assert (family == socket.AF_INET6) == (":" in address[0])
        if not address[0].endswith("7"):
            raise OSError("Network is unreachable")

    yield SimpleNamespace(connect=connect)


@pytest.mark.parametrize(
    ("address", "reaches"),
    [("192.0.2.7", True), ("192.0.2.8", False), ("2001:db8::7", True), ("2001:db8::8", False)],
)
def test_whether_there_is_a_route(monkeypatch: pytest.MonkeyPatch, address: str, reaches: bool) -> None:
    """A target without a route is down for ever; of two addresses the one with a route is taken."""
    monkeypatch.setattr(socket, "socket", probe)
    assert Routes()(ip_address(address)) is reaches


@pytest.mark.parametrize(("seconds", "asked"), [(0, 1), (60, 1), (60.5, 2)])
def test_routes_are_remembered_for_a_minute(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], seconds: float, asked: int
) -> None:
    """10,000 VMs are 10,000 sockets in each pass; a route that came must be seen soon."""
    looked: list[object] = []

    def reaches(address: object) -> bool:
        looked.append(address)
        return True

    monkeypatch.setattr(protected_addresses, "_reaches", reaches)
    routes = Routes()
    assert routes(ip_address("192.0.2.7"))
    clock[0] += seconds
    assert routes(ip_address("192.0.2.7"))
    assert len(looked) == asked


@pytest.mark.parametrize(("more", "known"), [(0, True), (1, False)])
def test_the_largest_file_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, known: bool
) -> None:
    """A BMC's address behind the limit would be scraped in a tenant's name: the file counts as unknown."""
    monkeypatch.setattr(protected_addresses, "_LARGEST", 100)
    file = tmp_path / "bmc.yaml"
    file.write_text("a: 192.0.2.1\n".ljust(100 + more, "#"))
    if known:
        assert list(map(str, written(file))) == ["192.0.2.1"]
    else:
        with pytest.raises(ValueError, match="has more than 100 characters"):
            list(written(file))

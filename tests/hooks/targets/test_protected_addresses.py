"""What the guard knows of our own machine, of names and of BMCs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from hooks.targets.protected_addresses import Names, own, written

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
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, 1, 6, "", (known[name], 0))]

    return getaddrinfo


def test_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,250 hosts must not be 1,250 questions in each round, and a DNS that fails forgets nothing."""
    known, asked, now = {"node-a1": "192.0.2.1"}, list[str](), [1000.0]
    monkeypatch.setattr(socket, "getaddrinfo", resolver(known, asked))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    names = Names()
    for _ in range(3):
        assert names.addresses(["node-a1", "node-a2"]) == {ip_address("192.0.2.1")}
    assert sorted(asked) == ["node-a1", "node-a2"]
    known.clear()
    now[0] += 700
    assert names.addresses(["node-a1"]) == {ip_address("192.0.2.1")}
    assert asked.count("node-a1") == 2

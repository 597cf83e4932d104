"""Echoes over this machine's loopback, by the kernel's own ICMP."""

from __future__ import annotations

import os

import pytest

from edge.echoes import Echoes
from tests.waiting import until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root"),
]


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_an_echo_comes_back_in_its_size(address: str) -> None:
    """A node that cannot hear echoes keeps the smallest MTU for good; one that mistakes sizes stalls transfers."""
    echoes, found = Echoes(address), set()
    others = Echoes(address)
    sizes = {1280, 1281, 1420}

    def heard() -> bool:
        for size in sizes:
            echoes.send(address, size)
        found.update(echoes.heard())
        return {size for _, size in found} >= sizes

    until(heard, "the echoes")
    assert found == {(address, size) for size in sizes}
    assert others.heard() == set(), "another process's echoes"
    for one in (echoes, others):
        one.close()


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_a_size_beyond_the_interface_is_no_error(address: str) -> None:
    """The interface has its largest size; a trial beyond it must not end the measurement."""
    echoes = Echoes(address)
    echoes.send(address, 70_000)
    echoes.send("fd00::1" if ":" in address else "10.255.255.1", 1280)
    assert echoes.heard() == set()
    echoes.close()

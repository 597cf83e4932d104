"""What the guard must know beside oned's pools: our own addresses, those of hosts and BMCs, and routes."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from hooks.targets.user_template import Address

_REMEMBER = 600.0  # seconds for which a name's addresses are believed
_AGAIN = 60.0  # seconds after which a name that did not resolve is asked again
_PATIENCE = 5.0  # seconds for all names of a round that are not known yet
_LOCAL = re.compile(r"(\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")
_IN_TEXT = re.compile(r"(?<![\w.:])\[?([0-9a-fA-F:]*:[0-9a-fA-F:.]+|\d+\.\d+\.\d+\.\d+)\]?(?![\w.])")


def own(proc: Path = Path("/proc/net")) -> Iterator[Address]:
    """Yield the addresses of this machine, from the kernel's tables (fib_trie and if_inet6)."""
    for found in set(_LOCAL.findall(_text(proc / "fib_trie"))):
        yield ip_address(found)
    for line in _text(proc / "if_inet6").splitlines():
        yield IPv6Address(int(line.split()[0], 16))


def written(file: Path) -> Iterator[Address]:
    """Yield every address that stands in a file (bmc.yaml); names in it are not looked up."""
    for found in _IN_TEXT.findall(_text(file)):
        try:
            yield ip_address(found)
        except ValueError:
            continue


class Names:
    """Addresses of names by the system's resolver, remembered for ten minutes, within five seconds."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[Address]]] = {}  # name -> when to ask again, addresses

    def addresses(self, names: Iterable[str]) -> frozenset[Address]:
        """Return the addresses of all names; of one that does not resolve now, what was known of it."""
        now = time.monotonic()
        asked = set(names)
        due = [name for name in asked if self._known.get(name, (now, None))[0] <= now]
        for name in due:  # whatever becomes of it: not again in each round while DNS hangs
            self._known[name] = now + _AGAIN, self._known.get(name, (now, frozenset[Address]()))[1]
        pool = ThreadPoolExecutor(32, "names")
        wait([pool.submit(self._ask, name) for name in due], timeout=_PATIENCE)
        pool.shutdown(wait=False, cancel_futures=True)
        return frozenset[Address]().union(*(self._known[name][1] for name in asked))

    def _ask(self, name: str) -> None:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        addresses = frozenset(ip_address(str(one[4][0]).partition("%")[0]) for one in found)
        self._known[name] = time.monotonic() + _REMEMBER, addresses


def reaches(address: Address) -> bool:
    """Whether this machine has a route to `address`; sends nothing."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
    except OSError:
        return False
    return True


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

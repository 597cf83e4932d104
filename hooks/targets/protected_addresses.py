"""Addresses that no VM may have scraped (front-ends, hosts, BMCs), and routes.

Known addresses of a name are kept over restarts, for when DNS does not answer. A name that was never resolved
is reported, and targets of VMs are refused meanwhile. A name that does not exist, as the resolver answered,
has no address that could be protected.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from hooks.targets.user_template import Address
from onext import atomic, bounds

FILE = "protected-addresses.json"  # in the state folder

_REMEMBER = 600.0  # seconds for which a name's addresses are valid
_AGAIN = 60.0  # seconds after which a name that did not resolve is asked again
_PATIENCE = 5.0  # seconds for all names of a round that are not known yet
_LARGEST = 8_000_000  # bytes of a file that is read here
_MOST_ADDRESSES = 64  # of one name
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_LOCAL = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})\n\s+/32 host LOCAL")
_IN_TEXT = re.compile(
    r"(?<![\w.:])\[?([0-9a-fA-F:]{0,40}:[0-9a-fA-F:.]{1,46}|\d{1,3}(?:\.\d{1,3}){3})\]?(?![\w.])"
)


@dataclass(frozen=True)
class Protected:
    """Addresses that are never scraped for a VM, and what should be among them and is unknown."""

    addresses: frozenset[Address]
    unknown: tuple[str, ...] = ()


class Names:
    """Addresses of names by the system's resolver, remembered for ten minutes, within five seconds.

    Known addresses are kept, also over a restart, until another answer arrives.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: dict[str, frozenset[Address]] | None = None  # None: not read yet
        self._due: dict[str, float] = {}

    def addresses(self, names: Iterable[str]) -> Mapping[str, frozenset[Address] | None]:
        """Return the addresses of each name; of one that does not resolve now, what was known of it.

        None where the resolver never answered.
        """
        if self._known is None:
            self._known = dict(_read(self._file)) if self._file else {}
        asked, now, before = set(names), time.monotonic(), dict(self._known)
        due = [name for name in asked if self._due.get(name, now) <= now]
        for name in due:  # also when it fails: it is not asked in each round while DNS hangs
            self._due[name] = now + _AGAIN
        pool = ThreadPoolExecutor(32, "names")
        wait([pool.submit(self._ask, name) for name in due], timeout=_PATIENCE)
        pool.shutdown(wait=False, cancel_futures=True)
        known = {name: self._known[name] for name in asked if name in self._known}
        if known != before:
            self._keep(known)
        return {name: known.get(name) for name in asked}

    def _ask(self, name: str) -> None:
        try:
            found = _resolved(name)
        except (OSError, UnicodeError, ValueError) as error:
            # "No such name" is an answer; all other errors leave the name unknown.
            if (
                isinstance(error, socket.gaierror)
                and error.errno in _NO_SUCH_NAME
                and self._known is not None
            ):
                self._known.setdefault(name, frozenset())
            return
        if found and self._known is not None:
            self._known[name] = frozenset(found)
            self._due[name] = time.monotonic() + _REMEMBER

    def _keep(self, known: Mapping[str, frozenset[Address]]) -> None:
        """Write what is known; with a full disk it is lost at a restart, and nothing else fails."""
        self._known = dict(known)
        if self._file is None:
            return
        document = {name: sorted(map(str, found)) for name, found in sorted(known.items())}
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            atomic.write(self._file, json.dumps(document).encode())


def protected(
    names: Names, needed: Iterable[str], others: Iterable[str], bmc_file: Path, proc: Path = Path("/proc/net")
) -> Protected:
    """Return the addresses of this machine, of names and of BMCs.

    `needed` are names of machines that are up, so that not knowing them is reported; `others` may be off.
    """
    must = set(needed)
    known = names.addresses({*must, *others})
    unknown = [name for name in sorted(must) if known[name] is None]
    found = set[Address]().union(*(one for one in known.values() if one))
    mine = set(own(proc))
    if not mine:
        unknown.append(f"this machine ({proc})")
    try:
        found.update(written(bmc_file))
    except (OSError, ValueError) as error:
        unknown.append(f"the BMCs ({bounds.words(str(error), 120)})")
    return Protected(frozenset(found | mine), tuple(unknown))


def own(proc: Path = Path("/proc/net")) -> Iterator[Address]:
    """Yield the addresses of this machine, from the kernel's tables (fib_trie and if_inet6)."""
    with suppress(OSError):
        for found in set(_LOCAL.findall(_text(proc / "fib_trie"))):
            yield ip_address(found)
    with suppress(OSError):
        for line in _text(proc / "if_inet6").splitlines():
            yield IPv6Address(int(line.split()[0], 16))


def written(file: Path) -> Iterator[Address]:
    """Yield every address in a file (bmc.yaml), none where it is missing.

    Raises OSError where it cannot be read, ValueError where it is not text.
    """
    try:
        text = _text(file)
    except FileNotFoundError:
        return
    if "\0" in text:
        raise ValueError(f"{file} is not text")
    for found in _IN_TEXT.findall(text):
        with suppress(ValueError):
            yield ip_address(found)


def _resolved(name: str) -> set[Address]:
    """Return the addresses of a name, or the address that it is; raise OSError, UnicodeError, ValueError."""
    with suppress(ValueError):
        return {ip_address(name)}
    answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return {ip_address(str(one[4][0]).partition("%")[0]) for one in answers[:_MOST_ADDRESSES]}


class Routes:
    """Whether this machine has a route to an address, remembered for a minute."""

    def __init__(self) -> None:
        self._known: dict[Address, bool] = {}
        self._began = time.monotonic()

    def __call__(self, address: Address) -> bool:
        """Return whether there is a route; sends nothing."""
        now = time.monotonic()
        if now - self._began > _AGAIN:
            self._known, self._began = {}, now
        if address not in self._known:
            self._known[address] = _reaches(address)
        return self._known[address]


def _reaches(address: Address) -> bool:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
    except OSError:
        return False
    return True


def _read(file: Path) -> Iterator[tuple[str, frozenset[Address]]]:
    """Yield the names in the file; an unreadable file counts as empty."""
    try:
        document = json.loads(_text(file))
        for name, found in document.items():
            yield str(name), frozenset(ip_address(str(one)) for one in found[:_MOST_ADDRESSES])
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return


def _text(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as stream:
        text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError(f"{file} has more than {_LARGEST} characters")
    return text

"""The light probe: TCP to the sshd of many hosts at once, without a login, within one deadline.

It begins a suspicion minutes before oned's own monitoring reports ERROR. A connection that is accepted or
refused shows that the machine's network stack works; only the greeting of sshd shows that its processes do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onext import bounds, process

PORT = 22
TIMEOUT = 3.0  # seconds for all hosts together
_AT_ONCE = 256
_GREETING = b"SSH-"
HOUR = 3600.0


Address = tuple[str, int]


async def _answers(address: Address) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    try:
        return await reader.readexactly(len(_GREETING)) == _GREETING
    except (OSError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()


async def _all(hosts: Mapping[int, Address], timeout: float) -> dict[int, bool]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(address: Address) -> bool:
        async with limit:
            return await _answers(address)

    tasks = {host: asyncio.ensure_future(one(address)) for host, address in hosts.items()}
    if tasks:
        _, late = await asyncio.wait(tasks.values(), timeout=timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return {host: task.done() and not task.cancelled() and task.result() for host, task in tasks.items()}


def greetings(hosts: Mapping[int, Address], *, timeout: float = TIMEOUT) -> dict[int, bool]:
    """Return for each host whether its sshd greets within `timeout` seconds."""
    return asyncio.run(_all(hosts, timeout))


@dataclass
class Ports:
    """Where each host's sshd listens, as ssh's own configuration has it; asked once an hour."""

    monotonic: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[Address, float]] = field(default_factory=dict)

    def where(self, name: str, config: Path | None = None) -> Address:
        """Return address and port of a host's sshd; its name and port 22 where ssh does not tell."""
        known = self._known.get(name)
        if known is None or self.monotonic() - known[1] > HOUR:
            known = _ask_ssh(name, config), self.monotonic()
            self._known[name] = known
        return known[0]


def _ask_ssh(name: str, config: Path | None) -> Address:
    argv = ["ssh", *(["-F", str(config)] if config else []), "-G", "--", name]
    try:
        lines = process.run(argv, timeout=TIMEOUT).stdout.decode("utf-8", "replace").splitlines()
    except process.CommandError:
        return name, PORT
    found = dict(line.partition(" ")[::2] for line in lines if line.startswith(("hostname ", "port ")))
    return found.get("hostname", name), bounds.whole(found.get("port"), 1, 65_535) or PORT


@dataclass
class Heard:
    """When each host was last heard of, by a clock that only advances."""

    monotonic: Callable[[], float] = time.monotonic
    _last: dict[int, float] = field(default_factory=dict)
    _answered: dict[int, float] = field(default_factory=dict)

    def note(self, answers: Mapping[int, bool]) -> None:
        """Take the answers of a probe; a host that was never heard of counts from its first probe."""
        now = self.monotonic()
        for host, answered in answers.items():
            if answered or host not in self._last:
                self._last[host] = now
            if answered:
                self._answered[host] = now
        for host in self._last.keys() - answers.keys():
            del self._last[host]
            self._answered.pop(host, None)

    def silent(self, host: int) -> float:
        """Return the seconds since a host was last heard of, 0 for one that was never probed."""
        return self.monotonic() - self._last[host] if host in self._last else 0.0

    def answered(self, host: int) -> float:
        """Return the seconds since a host really answered, infinity where it never did in this process."""
        return self.monotonic() - self._answered.get(host, float("-inf"))

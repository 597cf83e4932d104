"""The hub: a process with CAP_NET_ADMIN and nothing else, which owns one WireGuard interface and one table.

It applies the worker's list whenever the file changes. Without the kernel's WireGuard it starts wireguard-go.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge import overlay
from hooks.edge import bell, hub_plan
from hooks.edge.forms import WIREGUARD_KEY, matching, own
from hooks.edge.hub_plan import Hub, InvalidList
from onext import atomic, process
from onext.process import CommandError

POLL = 0.25  # seconds between two checks of the list
GUARD = 2.0  # seconds between two checks of the rules
TELL = 10.0  # seconds between two reports of the peers' endpoints
ENDPOINTS = "endpoints.json"
NO_ENDPOINT = "(none)"  # as `wg` shows a peer that has not dialled in
AGAIN = 10.0  # seconds until a failed attempt is repeated
_LARGEST = 32 << 20  # bytes of the list
_TIMEOUT = 15.0
_ABSENT = (0, 0)
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def read_file(file: Path, largest: int) -> bytes:
    """Return a regular file's content; raise InvalidList."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidList(f"{file} is not a regular file")
            return stream.read(largest)
    except OSError as error:
        raise InvalidList(f"{file}: {error.strerror}") from None


@dataclass
class Device:
    """The interface and the rules as they were applied last."""

    key_file: Path
    applied: Hub | None = None

    def apply(self, hub: Hub) -> None:
        """Make interface, peers and rules what the list states; raise CommandError or InvalidList."""
        key = matching(
            WIREGUARD_KEY, read_file(self.key_file, 64).decode("ascii", "replace").strip(), "hub.key"
        )
        if not self._present(hub.interface):
            _create(hub.interface)
            self.applied = None
        before = self.applied
        self.applied = None
        _run("nft", "-f", "-", text=hub_plan.firewall(hub))  # before the peers: nothing passes unfiltered
        _configure(hub, key)
        if before is None or (before.address, before.mtu) != (hub.address, hub.mtu):
            address = f"{hub.address}/{hub.pool.prefixlen}"
            _run(*overlay.ip(address), "addr", "replace", address, "dev", hub.interface)
            _run("ip", "link", "set", hub.interface, "mtu", str(hub.mtu), "up")
            _forward(hub)
        self.applied = hub
        if before is not None:
            bell.ring(bell.concerned(before, hub))

    @property
    def lost(self) -> bool:
        """Whether an interface that was made is gone."""
        return self.applied is not None and not self._present(self.applied.interface)

    def guard(self) -> None:
        """Make the rules again where another program removed them: a firewall's restart flushes all."""
        try:
            tables = _run("nft", "list", "tables").decode("ascii", "replace").splitlines()
            if self.applied is not None and f"table inet {hub_plan.TABLE}" not in tables:
                sys.stderr.write("onext-edge-hub: the rules were removed, and are made again\n")
                _run("nft", "-f", "-", text=hub_plan.firewall(self.applied))
        except CommandError as error:
            sys.stderr.write(f"onext-edge-hub: {str(error)[:500]}\n")

    @staticmethod
    def _present(name: str) -> bool:
        return name in {found for _, found in socket.if_nameindex()}


def _create(name: str) -> None:
    try:
        _run("ip", "link", "add", name, "type", "wireguard")
    except CommandError:
        program = shutil.which("wireguard-go", path=_PATH)
        if program is None:
            raise
        process.run([program, name], timeout=_TIMEOUT, env={"PATH": _PATH})  # it keeps no pipe open


def _configure(hub: Hub, key: str) -> None:
    """Give wg its configuration on standard input: arguments are visible to all users."""
    _run("wg", "syncconf", hub.interface, "/dev/stdin", text=hub_plan.wireguard(hub, key))


def _forward(hub: Hub) -> None:
    """Let the hub's own interface pass packets on; with IPv6 older kernels need conf.all.forwarding too."""
    folder = Path(f"/proc/sys/net/ipv{hub.pool.version}/conf") / hub.interface
    for switch in ("force_forwarding", "forwarding"):
        with contextlib.suppress(OSError):
            (folder / switch).write_text("1")
            return


def _run(*words: str, text: str | None = None) -> bytes:
    return process.run(
        words, timeout=_TIMEOUT, input=None if text is None else text.encode(), env={"PATH": _PATH}
    ).stdout


def _changed(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return _ABSENT
    return found.st_mtime_ns, found.st_ino


def run(list_file: Path, key_file: Path, ended: Sequence[int]) -> None:
    """Follow the list until `ended` has an entry."""
    device, seen, failed, told, guarded = Device(key_file), (_ABSENT, _ABSENT), 0.0, 0.0, 0.0
    sight = Sight(list_file.with_name(ENDPOINTS))
    while not ended:
        now, moment = (_changed(list_file), _changed(key_file)), time.monotonic()
        if device.applied is not None and moment - guarded > GUARD:
            guarded = moment
            device.guard()
        if now[0] != _ABSENT and (now != seen or device.lost or (failed and moment - failed > AGAIN)):
            seen, failed = now, 0.0
            try:
                device.apply(hub_plan.read(json.loads(read_file(list_file, _LARGEST))))
            except (InvalidList, CommandError, ValueError, RecursionError) as error:
                failed = moment
                sys.stderr.write(f"onext-edge-hub: {str(error)[:500]}\n")
        if device.applied is not None and moment - told > TELL:
            told = moment
            sight.tell(device.applied)
        time.sleep(POLL)


@dataclass
class Sight:
    """The endpoints of the peers, written for the worker, which has no right to ask WireGuard."""

    file: Path
    last: dict[str, str] | None = None
    news: Collection[str] = ()

    def tell(self, hub: Hub) -> None:
        """Write the endpoints, and notify nodes of new ones; twice: the first may be early, or be lost."""
        try:
            found = _endpoints(hub.interface)
            atomic.write(self.file, json.dumps(found).encode(), 0o644)
        except (CommandError, OSError) as error:
            sys.stderr.write(f"onext-edge-hub: {str(error)[:500]}\n")
            return
        direct = {key: endpoint for key, endpoint in found.items() if not own(endpoint)}
        before = direct if self.last is None else self.last
        news = bell.moved(before, direct)
        bell.ring(bell.near(hub, {*news, *self.news}))
        self.last, self.news = {**before, **direct}, news


def _endpoints(interface: str) -> dict[str, str]:
    """Return the endpoint of each peer that has one, by key; raise CommandError."""
    lines = _run("wg", "show", interface, "endpoints").decode("ascii", "replace").splitlines()
    found = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return {key: endpoint for key, endpoint in found.items() if endpoint != NO_ENDPOINT}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM; the interface stays, so that a restart interrupts no tunnel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", type=Path, required=True, help="the worker's list of peers")
    parser.add_argument("--key", type=Path, required=True, help="file of the private key")
    given = parser.parse_args(arguments)
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ended.append(received))
    run(given.list, given.key, ended)


if __name__ == "__main__":
    main()

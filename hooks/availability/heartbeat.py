"""Storage heartbeats: what hosts write to shared system datastores, read through a peer and judged by change.

Ages and times in the files count for nothing: clocks differ, and NFS delays what others see.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hooks.availability.evidence import Evidence, Finding, Source
from onext import process, ssh
from onext.cloud.model import Datastore
from onext.cloud.snapshot import Cloud

WINDOW = (
    120.0  # seconds within which a live host's heartbeat changes: probes run every 30 s, NFS caches for 60 s
)
READ_TIMEOUT = 10.0
MOST_DATASTORES = 16
_SYSTEM = 1  # TYPE of a system datastore
_LOCATION = "/var/lib/one/datastores"
_LINE = re.compile(rb"(\d{1,9}) ([0-9a-f-]{36} \d{1,12}\.?\d{0,6})\n?")
_PROBE = "/var/tmp/one/im/kvm-probes.d/host/beacon/onext_heartbeat.sh"  # noqa: S108 - as OpenNebula has it


def datastores(cloud: Cloud, cluster: int, shared: Iterable[int]) -> list[str]:
    """Return the folders of a cluster's shared system datastores."""
    wanted = set(shared)
    found = [
        one for one in cloud.datastores.values()
        if one.id in wanted and one.kind == _SYSTEM and (not one.cluster_ids or cluster in one.cluster_ids)
    ]  # fmt: skip
    return [_folder(one) for one in sorted(found, key=lambda one: one.id)[:MOST_DATASTORES]]


def _folder(datastore: Datastore) -> str:
    return f"{_LOCATION}/{datastore.id}"


def read(peer: str, host: int, folders: Sequence[str], config: Path | None) -> Mapping[str, str] | None:
    """Return what a host wrote last, by datastore, as a peer sees it; None where the peer cannot be asked."""
    words = ["sh", _PROBE, "read", str(host), *folders]
    try:
        done = ssh.run(peer, words, timeout=READ_TIMEOUT, config=config, max_output=8192, check=False)
    except (process.CommandError, ValueError):
        return None
    lines = [found for line in done.stdout.splitlines() if (found := _LINE.fullmatch(line))]
    return {found[1].decode(): found[2].decode() for found in lines}


@dataclass
class Heartbeats:
    """When each heartbeat was first seen and last changed, by a clock of this process that only advances."""

    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[tuple[int, str], tuple[str, float, float | None]] = field(default_factory=dict)

    def note(self, host: int, found: Mapping[str, str] | None) -> None:
        """Take what was read now; None where it could not be read."""
        now = self.monotonic()
        for datastore, text in (found or {}).items():
            before = self._seen.get((host, datastore))
            if before is None:
                self._seen[host, datastore] = (text, now, None)
            elif before[0] != text:
                self._seen[host, datastore] = (text, before[1], now)

    def forget(self, hosts: Iterable[int]) -> None:
        """Forget every host but these: what was seen long ago tells nothing about the next incident."""
        kept = set(hosts)
        self._seen = {key: value for key, value in self._seen.items() if key[0] in kept}

    def finding(self, host: int) -> Evidence:
        """Return what the heartbeats of a host show."""
        now = self.monotonic()
        known = [(store, one) for (number, store), one in self._seen.items() if number == host]
        if not known:
            return Evidence(Source.STORAGE, Finding.UNKNOWN, detail="it wrote no heartbeat")
        changes = [(now - one[2], store) for store, one in known if one[2] is not None]
        if changes and min(changes)[0] <= WINDOW:
            age, store = min(changes)
            return Evidence(
                Source.STORAGE, Finding.ALIVE, detail=f"datastore {store}: changed {age:.0f} s ago"
            )
        if now - min(one[1] for _, one in known) <= WINDOW:
            return Evidence(Source.STORAGE, Finding.UNKNOWN, detail="not observed for long enough")
        return Evidence(Source.STORAGE, Finding.SILENT, detail=f"no change for {WINDOW:.0f} s")

"""Collect evidence about one host: oned, sshd, its peers, libvirt, its BMC, what a person confirmed.

Everything asked here is bounded in time; what cannot be asked is UNKNOWN and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hooks.availability import libvirt_probe, probe
from hooks.availability.evidence import Evidence, Finding, Source
from hooks.availability.lease.ledger import Status
from onext import process, ssh
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Entry, Suspend
from onext.hosts.bmc.errors import BmcError
from onext.hosts.bmc.protocol import Power
from onext.hosts.orders import Order
from onext.payload import valid_host_name
from onext.settings import Settings

PEERS = 2
PEER_TIMEOUT = 8.0  # seconds for a peer to connect to the host
MONITORED_WITHIN = 60.0  # seconds of age of the last monitoring that shows life
_KNOCK = 'exec 3<>"/dev/tcp/$1/$2" && head -c 4 <&3'


@dataclass(frozen=True)
class Subject:
    """The host in question, and who can be asked about it."""

    id: int
    name: str
    monitored: float | None  # seconds since oned's last monitoring, None where it is not monitored
    peers: Sequence[str] = ()
    confirmed: Order | None = None
    address: probe.Address | None = None  # of its sshd, None: its name and port 22
    lease: Status | None = None  # None where it has none
    storage: Callable[[str], Evidence] | None = None  # asks a peer for its heartbeats


def collect(subject: Subject, config: BmcConfig, settings: Settings) -> list[Evidence]:
    """Return the evidence about a host now, all sources asked at once."""
    with ThreadPoolExecutor(5) as pool:
        asked = [
            pool.submit(_ssh, subject),
            pool.submit(_peers, subject, settings),
            pool.submit(_bmc, subject, config, settings),
            pool.submit(_storage, subject),
            pool.submit(_libvirt, subject),
        ]
        found = [item for future in asked for item in future.result()]
    return [_monitoring(subject), *found, *_lease(subject), *_person(subject)]


def _monitoring(subject: Subject) -> Evidence:
    if subject.monitored is None:
        return Evidence(Source.MONITORING, Finding.UNKNOWN)
    alive = subject.monitored <= MONITORED_WITHIN
    finding = Finding.ALIVE if alive else Finding.SILENT
    return Evidence(Source.MONITORING, finding, detail=f"last {subject.monitored:.0f} s ago")


def _ssh(subject: Subject) -> list[Evidence]:
    answered = probe.greetings({subject.id: subject.address or (subject.name, probe.PORT)})[subject.id]
    return [Evidence(Source.SSH, Finding.ALIVE if answered else Finding.SILENT)]


def _peers(subject: Subject, settings: Settings) -> list[Evidence]:
    """Ask peers whether the host's sshd greets them; one greeting shows life."""
    if not valid_host_name(subject.name):
        return [Evidence(Source.PEER, Finding.UNKNOWN, detail="its name is not a host name")]
    port = subject.address[1] if subject.address else probe.PORT
    found = [_peer(peer, subject.name, port, settings) for peer in subject.peers[:PEERS]]
    if not found:
        return [Evidence(Source.PEER, Finding.UNKNOWN, detail="no peer could be asked")]
    return found


def _peer(peer: str, name: str, port: int, settings: Settings) -> Evidence:
    words = ["timeout", "5", "bash", "-c", _KNOCK, "knock", name, str(port)]
    try:
        done = ssh.run(
            peer,
            words,
            timeout=PEER_TIMEOUT,
            config=settings.geolocation.ssh_config,
            max_output=4096,
            check=False,
        )
    except (process.CommandError, ValueError):
        return Evidence(Source.PEER, Finding.UNKNOWN, detail=f"{peer} could not be asked")
    alive = done.exit_code == 0 and done.stdout.endswith(b"SSH-")
    return Evidence(Source.PEER, Finding.ALIVE if alive else Finding.SILENT, detail=f"asked by {peer}")


def _bmc(subject: Subject, config: BmcConfig, settings: Settings) -> list[Evidence]:
    """Read the power state twice; an entry without an identity is not surely this host's."""
    if subject.id not in config:
        return []
    try:
        bmc = config.bmc(
            subject.id, timeout=settings.power.bmc_timeout, ssh_config=settings.geolocation.ssh_config
        )
    except BmcError as error:
        return [Evidence(Source.BMC, Finding.UNKNOWN, detail=str(error))]
    entry = config.entries[subject.id]
    if isinstance(entry, Suspend) or not bmc.proves_off:
        return [Evidence(Source.BMC, Finding.UNKNOWN, detail="it cannot report that the host is off")]
    source = Source.AGENT if entry.kind == "agent" else Source.BMC
    verified = identified(entry)
    first, second = bmc.power(), bmc.power()
    if first.power is not second.power:
        return [Evidence(source, Finding.UNKNOWN, detail="it reports one state and then another")]
    if second.power is Power.UNKNOWN:
        return [Evidence(source, Finding.SILENT, detail=second.reason)]
    finding = Finding.DEAD if second.power is Power.OFF else Finding.POWERED
    return [Evidence(source, finding, detail=second.power.value, readings=2, verified=verified)]


def identified(entry: Entry) -> bool:
    """Return whether an entry of bmc.yaml names the machine, so that its BMC is surely this host's."""
    return bool(getattr(entry, "uuid", None) or getattr(entry, "serial", None))


def _libvirt(subject: Subject) -> list[Evidence]:
    if subject.address is None and not valid_host_name(subject.name):
        return []
    return [libvirt_probe.asked(subject.address[0] if subject.address else subject.name)]


def _storage(subject: Subject) -> list[Evidence]:
    """Return what the heartbeats show through the first peer that can be asked."""
    if subject.storage is None:
        return []
    found = Evidence(Source.STORAGE, Finding.UNKNOWN, detail="no peer could be asked")
    for peer in subject.peers[:PEERS]:
        found = subject.storage(peer)
        if found.finding is not Finding.UNKNOWN:
            return [found]
    return [found]


def _lease(subject: Subject) -> list[Evidence]:
    if subject.lease is None:
        return []
    status = subject.lease
    finding = Finding.ALIVE if status.answers else Finding.DEAD if status.expired else Finding.UNKNOWN
    return [Evidence(Source.LEASE, finding, detail=status.detail)]


def _person(subject: Subject) -> list[Evidence]:
    if subject.confirmed is None:
        return []
    return [Evidence(Source.PERSON, Finding.DEAD, detail=f"confirmed by {subject.confirmed.who}")]

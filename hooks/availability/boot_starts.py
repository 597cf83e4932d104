"""What a host would start by itself at boot: a VM that runs elsewhere by then would run twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onext import bounds, process, ssh
from onext.payload import valid_host_name

TIMEOUT = 15.0
AT_ONCE, MOST_NAMED = 16, 20
_SURVEY = (
    "virsh --connect qemu:///system --readonly list --all --autostart --name && echo == && "
    "{ systemctl is-enabled libvirt-guests 2>/dev/null || :; }"
)


def at_boot(host: str, config: Path | None) -> list[str]:
    """Return what starts VMs at a host's boot; raise ValueError where it cannot be asked."""
    try:
        done = ssh.run(host, ["sh", "-c", _SURVEY], timeout=TIMEOUT, config=config, max_output=1 << 16)
    except process.CommandError as error:
        raise ValueError(f"its libvirt did not answer: {error.brief}") from error
    domains, _, guests = done.stdout.decode("utf-8", "replace").rpartition("==\n")
    return list(_found(domains.splitlines(), guests.strip()))


def _found(domains: Iterable[str], guests: str) -> Iterator[str]:
    names = [bounds.words(line.strip(), 60) for line in domains if line.strip()]
    if names:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        yield f"libvirt starts {', '.join(names[:MOST_NAMED])}{more} at boot: virsh autostart --disable"
    if guests.startswith("enabled"):
        yield "libvirt-guests is enabled, which starts VMs at boot: systemctl disable libvirt-guests"


def survey(hosts: Mapping[int, str], config: Path | None) -> Mapping[int, list[str]]:
    """Return the findings about many hosts, or why one could not be asked."""

    def one(name: str) -> list[str]:
        if not valid_host_name(name):
            return ["its name is not a host name"]
        try:
            return at_boot(name, config)
        except ValueError as error:
            return [str(error)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(hosts, pool.map(one, hosts.values()), strict=True))

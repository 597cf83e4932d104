"""All BMCs of bmc.yaml at once."""

from __future__ import annotations

from collections.abc import Collection

from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.controller import job, reading
from onext.hosts.bmc.protocol import Reading


def query_all(book: BmcConfig, deadline: float) -> dict[int, Reading]:
    """Return the power of each machine that bmc.yaml names, in `deadline` seconds, two more if a child hangs.

    `seconds` of a reading tell when it came. A BMC that is silent, cut off, refuses, or belongs to another
    machine reads UNKNOWN.
    """
    answers = client.ask([job(host, entry, "power") for host, entry in book.entries.items()], deadline)
    return {host: reading(answer) for host, answer in answers.items()}


def watts_all(book: BmcConfig, hosts: Collection[int], deadline: float) -> dict[int, float]:
    """Return what these machines draw, those left out whose BMC does not measure it or did not answer."""
    jobs = [job(host, entry, "watts") for host, entry in book.entries.items() if host in hosts]
    answers = client.ask(jobs, deadline)
    return {
        host: float(answer["watts"]) for host, answer in answers.items() if answer.get("watts") is not None
    }

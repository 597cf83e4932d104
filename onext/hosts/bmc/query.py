"""All BMCs of bmc.yaml at once."""

from __future__ import annotations

from collections.abc import Collection

from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.controller import job, reading
from onext.hosts.bmc.protocol import Reading
from onext.hosts.bmc.watts import Draw


def query_all(config: BmcConfig, deadline: float) -> dict[int, Reading]:
    """Return the power of each machine that bmc.yaml names, in `deadline` seconds, two more if a child hangs.

    `seconds` of a reading tell when it came. A BMC that is silent, cut off, refuses, or belongs to another
    machine is UNKNOWN, and `reason` states why.
    """
    answers = client.ask([job(host, entry, "power") for host, entry in config.entries.items()], deadline)
    return {host: reading(answer) for host, answer in answers.items()}


def draws_all(config: BmcConfig, hosts: Collection[int], deadline: float) -> dict[int, Draw]:
    """Return the power draw of these machines; those are left out whose BMC did not answer.

    A Draw without watts has no meter, or only figures that are not plausible: `implausible` names these.
    """
    jobs = [job(host, entry, "watts") for host, entry in config.entries.items() if host in hosts]
    return {
        host: Draw(answer["watts"], answer["source"], tuple(answer["implausible"]))
        for host, answer in client.ask(jobs, deadline).items()
        if "watts" in answer
    }

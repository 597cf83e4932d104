"""One BMC for the rest of onext: each call is a separate session in a child process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

from onext.hosts.bmc import client, ssh_shutdown
from onext.hosts.bmc.entry import Agent, Entry, Ipmi, Redfish, Suspend
from onext.hosts.bmc.errors import ConfigError
from onext.hosts.bmc.job import Job, Wish
from onext.hosts.bmc.protocol import Identity, Power, Reading


class Controller:
    """The BMC of an entry; each call ends within `timeout` seconds, or two more if its child hangs.

    `unchanged` raises ConfigChanged when bmc.yaml has another entry for this host meanwhile.
    """

    proves_off = True

    def __init__(
        self,
        host: int,
        entry: Ipmi | Redfish | Agent,
        timeout: float,
        ssh_config: Path | None = None,
        unchanged: Callable[[], None] = lambda: None,
    ) -> None:
        self._host, self._entry, self._timeout = host, entry, timeout
        self._ssh_config, self._unchanged = ssh_config, unchanged

    def power(self) -> Reading:
        """Return whether the machine has power; never raises."""
        return power(self._host, self._entry, self._timeout, self._unchanged)

    def switch_on(self) -> None:
        """Order power on."""
        self._ask("on")

    def soft_off(self) -> None:
        """Order a shutdown by the operating system."""
        if self._entry.shutdown != "ssh":
            self._ask("soft")
        elif self._ask("power")["power"] == "on":
            ssh_shutdown.order(self._entry, self._timeout, self._ssh_config)

    def hard_off(self, not_after: float = inf) -> None:
        """Cut the power; the child checks `not_after` at the last moment."""
        self._ask("hard", not_after)

    def identity(self) -> Identity:
        """Return which machine the BMC reports to belong to."""
        answer = self._ask("identity")
        return Identity(answer["uuid"], answer["serial"])

    def watts(self) -> float | None:
        """Return the machine's power draw, None without a plausible figure."""
        watts: float | None = self._ask("watts")["watts"]
        return watts

    def _ask(self, wish: Wish, not_after: float = inf) -> client.Answer:
        self._unchanged()
        work = replace(job(self._host, self._entry, wish), not_after=not_after)
        answer = client.ask([work], self._timeout)[self._host]
        if failed := client.failure(answer):
            raise failed
        return answer


def job(host: int, entry: Entry, wish: Wish) -> Job:
    """Return the job for a child process."""
    if isinstance(entry, Suspend):
        return Job(id=host, wish=wish, kind=entry.kind, address=str(entry.address), port=entry.port)
    uuid = str(entry.uuid) if entry.uuid else None
    if isinstance(entry, Agent):
        options = {name: value.get_secret_value() for name, value in entry.options.items()}
        password = entry.password.get_secret_value() if entry.password else ""
        return Job(
            id=host,
            wish=wish,
            kind=entry.kind,
            address="",
            port=0,
            password=password,
            agent=entry.agent,
            options=options,
            uuid=uuid,
            serial=entry.serial,
        )
    found = Job(
        id=host,
        wish=wish,
        kind=entry.kind,
        address=str(entry.address),
        port=entry.port,
        user=entry.user,
        password=entry.password.get_secret_value(),
        uuid=uuid,
        serial=entry.serial,
        button=entry.shutdown == "button",
        watts=(entry.watts_min, entry.watts_max, entry.watts_off_max),
    )
    if isinstance(entry, Ipmi):
        return found
    return replace(
        found,
        pin=entry.pin,
        certificate_name=entry.certificate_name,
        ca_file=str(entry.ca_file) if entry.ca_file else None,
        legacy_tls=entry.tls == "legacy",
        system=entry.system,
    )


def reading(answer: client.Answer) -> Reading:
    """Return the reading of an answer; one that is neither on nor off is unknown."""
    known = {"on": Power.ON, "off": Power.OFF}
    return Reading(
        known.get(answer.get("power", ""), Power.UNKNOWN), client.failure(answer), answer["seconds"]
    )


def power(host: int, entry: Entry, timeout: float, unchanged: Callable[[], None]) -> Reading:
    """Return whether a machine has power; never raises."""
    try:
        unchanged()
    except ConfigError as error:
        return Reading(Power.UNKNOWN, error)
    return reading(client.ask([job(host, entry, "power")], timeout)[host])

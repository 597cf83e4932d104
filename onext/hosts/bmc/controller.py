"""One BMC, as the rest of this part uses it: each call a session of its own in a child process."""

from __future__ import annotations

from onext.hosts.bmc import client
from onext.hosts.bmc.entry import Entry, Ipmi, Redfish, Suspend
from onext.hosts.bmc.job import Job, Wish
from onext.hosts.bmc.protocol import Identity, Power, Reading


class Controller:
    """The BMC of an entry; each call ends within `timeout` seconds, or two more if its child hangs."""

    proves_off = True

    def __init__(self, host: int, entry: Ipmi | Redfish, timeout: float) -> None:
        self._host, self._entry, self._timeout = host, entry, timeout

    def power(self) -> Reading:
        """Return whether the machine has power; never raises."""
        return reading(client.ask([job(self._host, self._entry, "power")], self._timeout)[self._host])

    def switch_on(self) -> None:
        """Order power on."""
        self._ask("on")

    def soft_off(self) -> None:
        """Order a shutdown by the operating system."""
        self._ask("soft")

    def hard_off(self) -> None:
        """Cut the power."""
        self._ask("hard")

    def identity(self) -> Identity:
        """Return who the BMC says that it belongs to."""
        said = self._ask("identity")
        return Identity(said["uuid"], said["serial"])

    def watts(self) -> float | None:
        """Return what the machine draws, None where that is not measured."""
        watts: float | None = self._ask("watts")["watts"]
        return watts

    def _ask(self, wish: Wish) -> client.Answer:
        answer = client.ask([job(self._host, self._entry, wish)], self._timeout)[self._host]
        if failed := client.failure(answer):
            raise failed
        return answer


def job(host: int, entry: Entry, wish: Wish) -> Job:
    """Return what a child has to know."""
    if isinstance(entry, Suspend):
        return Job(id=host, wish=wish, kind=entry.kind, address=str(entry.address), port=entry.port)
    return Job(
        id=host,
        wish=wish,
        kind=entry.kind,
        address=str(entry.address),
        port=entry.port,
        user=entry.user,
        password=entry.password.get_secret_value(),
        pin=entry.pin if isinstance(entry, Redfish) else None,
        system=entry.system if isinstance(entry, Redfish) else None,
        uuid=str(entry.uuid) if entry.uuid else None,
        serial=entry.serial,
    )


def reading(answer: client.Answer) -> Reading:
    """Return the reading of an answer; one that says neither on nor off is unknown."""
    known = {"on": Power.ON, "off": Power.OFF}
    return Reading(
        known.get(answer.get("power", ""), Power.UNKNOWN), client.failure(answer), answer["seconds"]
    )

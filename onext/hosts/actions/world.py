"""What an action can see and do: oned, the BMC and the host, behind one small interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from onext.hosts.model import Bmc, Claim, Record
from onext.oned.objects import HostState


class Failed(Exception):
    """An effect failed, or its result is unknown."""


class MoveRefused(Failed):
    """oned does not migrate this VM: the others may still be moved."""


class Stopped(Exception):
    """`onext stop power` was given: nothing more is done."""


@dataclass(frozen=True)
class Sight:
    """A host as it is at this moment. `vms` are those of any state that are bound to it.

    `monitored` is the time, by the clock of the one who looks, of the last monitoring.
    """

    id: int
    name: str
    state: HostState
    vms: frozenset[int]
    wild: int
    claim: Claim | None
    record: Record
    capacity: Mapping[str, str]
    monitored: float
    cluster: int = -1
    excluded: str = ""  # why it is never switched off, by its own template and name

    @property
    def empty(self) -> bool:
        """Whether nothing at all is bound to it."""
        return not self.vms and not self.wild


@dataclass(frozen=True)
class Answer:
    """What a BMC, verified to be the right machine's, reported just now; `error` states why it is SILENT."""

    state: Bmc
    error: str = ""


class World(Protocol):
    """The effects. Each raises Failed when it did not, or may not have, come about."""

    server: int
    term: int

    def now(self) -> float:
        """Return the time of day."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""

    def stopped(self) -> bool:
        """Whether the kill switch is thrown."""

    def see(self, host: int, *, whole: bool = False) -> Sight:
        """Read a host afresh; `whole`: also, in the pool of VMs, what is bound to it and not in its list."""

    def others(self, host: int) -> int:
        """Count the hosts of the same cluster, but this one, that take VMs now."""

    def write(
        self, host: int, claim: Claim | None, record: Record | None = None, *, before: Claim | None = None
    ) -> None:
        """Write a claim (None removes it) and, where given, a record; returns when oned has it.

        Raises Failed where the host's document does not hold `before` any more.
        """

    def disable(self, host: int) -> None:
        """Let the scheduler place nothing more."""

    def offline(self, host: int) -> None:
        """Take it OFFLINE: oned refuses every VM."""

    def enable(self, host: int) -> None:
        """Let the host take VMs."""

    def migrate(self, vm: int, source: int, target: int) -> bool:
        """Begin a migration, live for a running VM; False when it is not there or cannot move now.

        Raises MoveRefused where oned refuses it.
        """

    def ask_bmc(self, host: int) -> Answer:
        """Ask for power; a BMC that is another machine's is SILENT."""

    def proves_off(self, host: int) -> bool:
        """Whether the BMC can ever report OFF; a suspended host without a BMC is merely silent."""

    def switch_bmc(self, host: int, what: str) -> str:
        """Order `on`, `off-soft` or `off-hard`; return what went wrong, empty when the BMC took it."""

    def reachable(self, host: int) -> bool:
        """Whether the host lets us in by ssh."""

    def sync(self, host: int) -> None:
        """Bring OpenNebula's drivers on the host up to date."""

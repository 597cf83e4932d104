"""The one who acts: a world, the limits, whose intent counts, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hooks.power.act.world import Failed, Sight, Stopped, World
from hooks.power.energy import Curve
from hooks.power.model import Bmc, Claim, Phase, Record
from onext.oned.objects import HostState


@dataclass(frozen=True)
class Event:
    """Something that people are told."""

    host: int
    name: str
    what: str  # off, on, drain, return, leave, wake-failed, quarantine, alarm
    reason: str

    @property
    def alarming(self) -> bool:
        """Whether a person has to look."""
        return self.what in ("wake-failed", "quarantine", "alarm")


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds, and how often they may fail."""

    lease: float = 120.0
    soft_off: float = 180.0
    hard_off: float = 60.0
    wake: float = 600.0
    drain: float = 7200.0
    failures: int = 2
    left_alone: float = 86_400.0


class Leases:
    """Whose intents still bind us, by our own clock: those of other servers do for their whole lease."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Claim, float]] = {}

    def bind(self, host: int, claim: Claim, world: World) -> bool:
        """Whether another server may still be acting on this claim."""
        if (claim.server, claim.term) == (world.server, world.term):
            return False
        known, first = self._seen.get(host, (None, 0.0))
        if known != claim:
            self._seen[host] = (claim, world.monotonic())
            return claim.lease > 0
        return world.monotonic() - first < claim.lease


@dataclass
class Hand:
    """Does single steps; the modules beside put them in order."""

    world: World
    limits: Limits = field(default_factory=Limits)
    leases: Leases = field(default_factory=Leases)
    tell: Callable[[Event], None] = lambda _: None
    curve: Callable[[int], Curve] = lambda _: Curve()
    mark_by_hand: bool = False

    def say(self, sight: Sight, what: str, reason: str) -> None:
        """Tell people what happened with a host."""
        self.tell(Event(sight.id, sight.name, what, reason))

    def claim(self, sight: Sight, phase: Phase, record: Record | None = None, **changes: object) -> Claim:
        """Write a claim in our name (and a record), return it; what was known (capacity, failures) stays."""
        self.go_on()
        world = self.world
        before = sight.claim or Claim(phase, 0.0, by_hand=self.mark_by_hand)
        fresh = {"since": world.now(), "server": world.server, "term": world.term, "lease": self.limits.lease}
        claim = replace(before, phase=phase, **{"asked": 0.0, "hard": False, **fresh, **changes})  # type: ignore[arg-type]
        world.write(sight.id, claim, record)
        return claim

    def release(self, sight: Sight, record: Record | None = None) -> None:
        """Remove our claim."""
        self.world.write(sight.id, None, record)

    def go_on(self) -> None:
        """Raise Stopped when the kill switch is thrown."""
        if self.world.stopped():
            raise Stopped

    def leave(self, sight: Sight, reason: str) -> str:
        """Give the host up for a day: somebody else has it in hand."""
        until = self.world.now() + self.limits.left_alone
        self.claim(sight, Phase.LEFT, until=until, reason=reason)
        self.say(sight, "leave", reason)
        return f"left alone: {reason}"

    def switch(self, sight: Sight, what: str, began: float) -> str:
        """Switch the BMC while the intent that was written at `began` still binds the others.

        Returns what went wrong, empty when the BMC took it. The last look before switching off must show
        the host OFFLINE, empty and claimed by us.
        """
        world = self.world
        fresh = world.see(sight.id)
        off = what.startswith("off")
        ours = fresh.claim is not None and (fresh.claim.server, fresh.claim.term) == (
            world.server,
            world.term,
        )
        if off and not (fresh.empty and fresh.state is HostState.OFFLINE and ours):
            return "it is not empty, closed and ours any more"
        self.go_on()
        if world.monotonic() - began > self.limits.lease / 2:
            return "it took too long since the intent was written"
        return world.switch_bmc(sight.id, what)

    def is_off(self, sight: Sight) -> bool:
        """Whether a host that was told to go off is: its BMC says so, or without one it has fallen silent."""
        state = self.world.ask_bmc(sight.id).state
        return state is Bmc.OFF or (state is Bmc.SILENT and not self.world.proves_off(sight.id))

    def verified(self, sight: Sight) -> str:
        """Ask the BMC, which must be this machine's and say on; return what is wrong, or nothing."""
        answer = self.world.ask_bmc(sight.id)
        if answer.state is Bmc.ON:
            return ""
        return f"its BMC says {answer.state.value}" + (f": {answer.error}" if answer.error else "")


__all__ = ["Event", "Failed", "Hand", "Leases", "Limits", "Stopped"]

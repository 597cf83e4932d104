"""The one who acts: a world, the limits, whose intent counts, and whom to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from onext.hosts.actions.world import Answer, Failed, Sight, Stopped, World
from onext.hosts.claims import same
from onext.hosts.deciders import Mandate
from onext.hosts.energy import Curve
from onext.hosts.model import NOT_OURS, POWER, SHUT, Bmc, Claim, Phase, Record
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
    min_hosts: int = 0  # that take VMs, of the others of its cluster, at the moment of switching off
    parallel_on: int = (
        5  # hosts that are brought back at the same time because no document verifies their claim
    )


class Leases:
    """How long each claim has been unchanged, by our own clock: the time of day may jump."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Claim, float]] = {}
        self._waits: dict[int, tuple[tuple[Phase, int], float]] = {}

    def waited(self, host: int, claim: Claim, world: World) -> float:
        """Return for how many seconds we have seen this phase of this claim."""
        step = (claim.phase, round(claim.since))
        known = self._waits.get(host)
        if known is None or known[0] != step:
            known = self._waits[host] = (step, world.monotonic())
        return world.monotonic() - known[1]

    def saved(self) -> dict[str, tuple[str, int, float]]:
        """Return the state for the next process of this server, valid until the machine boots again."""
        waits = self._waits.items()
        return {str(host): (phase.value, since, first) for host, ((phase, since), first) in waits}

    def restore(self, saved: Mapping[str, tuple[str, int, float]]) -> None:
        """Take what another process of this server saved, where we know nothing ourselves."""
        for host, (phase, since, first) in saved.items():
            self._waits.setdefault(int(host), ((Phase(phase), int(since)), float(first)))

    def bind(self, host: int, claim: Claim, world: World) -> bool:
        """Whether another server may still be acting on this claim; none acts on one that is off."""
        if (claim.server, claim.term) == (world.server, world.term) or claim.phase is Phase.OFF:
            return False
        known = self._seen.get(host)
        if known is None or known[0] != claim:
            known = self._seen[host] = (claim, world.monotonic())
        return world.monotonic() - known[1] < claim.lease


@dataclass
class Actuator:
    """Does single steps; the modules beside put them in order."""

    world: World
    limits: Limits = field(default_factory=Limits)
    leases: Leases = field(default_factory=Leases)
    tell: Callable[[Event], None] = lambda _: None
    curve: Callable[[int], Curve] = lambda _: Curve()
    mark_by_hand: bool = False
    enrolling: bool = False  # the host need not be proven: that is what is being found out
    holder: str = POWER
    forbids: Callable[[Sight, bool], str] = lambda _sight, _enrolling: ""
    mandate: Mandate | None = None
    refused: dict[int, str] = field(default_factory=dict)  # VM -> why it was not moved
    begun: Counter[int] = field(default_factory=Counter)  # VM -> migrations of it that were begun
    decided: float | None = None  # when the cluster was read, by the world's monotonic clock

    @property
    def stale(self) -> bool:
        """Whether the cluster was read so long ago that its decision is void."""
        return self.decided is not None and self.world.monotonic() - self.decided > self.limits.lease / 2

    def report(self, sight: Sight, what: str, reason: str) -> None:
        """Tell people what happened with a host."""
        self.tell(Event(sight.id, sight.name, what, reason))

    def claim(self, sight: Sight, phase: Phase, record: Record | None = None, **changes: object) -> Claim:
        """Write a claim in our name (and a record), return it; what was known (capacity, failures) stays."""
        self.raise_if_stopped()
        world = self.world
        before = sight.claim or Claim(phase, world.now(), holder=self.holder)
        self._refuse_foreign(before)
        if self.mandate:
            self.mandate.hold()
        by_hand = (before.by_hand and before.verified) or self.mark_by_hand
        fresh = {"since": world.now(), "server": world.server, "term": world.term, "lease": self.limits.lease}
        anew: dict[str, object] = {"asked": 0.0, "hard": False, "slept": False, "opened": False, **fresh}
        anew |= {"by_hand": by_hand, "holder": self.holder, "verified": True}
        claim = replace(before, phase=phase, **{**anew, **changes})  # type: ignore[arg-type]
        world.write(sight.id, claim, record, before=sight.claim)
        self.leases.waited(sight.id, claim, world)  # begins to count
        return claim

    def release(self, sight: Sight, record: Record | None = None) -> None:
        """Remove our claim."""
        if sight.claim:
            self._refuse_foreign(sight.claim)
        self.world.write(sight.id, None, record, before=sight.claim)

    def release_mandate(self) -> None:
        """Let other parts and servers decide on the cluster."""
        if self.mandate:
            self.mandate.release()

    def _refuse_foreign(self, claim: Claim) -> None:
        """Raise Failed where another part holds the host: there is at most one claim for each."""
        if claim.verified and claim.holder != self.holder and claim.phase not in NOT_OURS:
            raise Failed(f"{claim.holder} works on this host: {claim.reason}")

    def raise_if_stopped(self) -> None:
        """Raise Stopped when the kill switch is thrown."""
        if self.world.stopped():
            raise Stopped

    def reopen(self, sight: Sight, **kept: float) -> str:
        """Make a closed host DISABLED, so that it is monitored; one that we opened before is an operator's.

        `kept` are the times of its claim that stay as they are.
        """
        claim = sight.claim
        assert claim
        if claim.opened and sight.state is HostState.OFFLINE:
            return self.leave(sight, "another user or program put it into OFFLINE on its way back")
        if sight.state is HostState.OFFLINE:
            self.world.disable(sight.id)
        self.claim(sight, claim.phase, opened=True, **kept)  # type: ignore[arg-type]
        return "waiting for monitoring"

    def leave(self, sight: Sight, reason: str) -> str:
        """Give the host up for a day: someone else controls it."""
        until = self.world.now() + self.limits.left_alone
        self.claim(sight, Phase.LEFT, until=until, reason=reason)
        self.report(sight, "leave", reason)
        return f"left alone: {reason}"

    def waited(self, sight: Sight) -> float:
        """Return for how many seconds the claim of a host that we hold has been unchanged."""
        assert sight.claim
        return self.leases.waited(sight.id, sight.claim, self.world)

    def objection(self, sight: Sight, what: str, began: float) -> str:
        """Take the last look before the BMC is told: return what speaks against it, or nothing.

        The intent that was written at `began` must still bind the others. A host that is switched off must be
        OFFLINE, empty, not needed for MIN_HOSTS, and policy, exclusion, proof and cycles must still allow it.
        """
        world = self.world
        fresh = world.see(sight.id, whole=what.startswith("off"))
        ours = fresh.claim is not None and fresh.claim.verified and same(fresh.claim, sight.claim)
        closed = fresh.empty and fresh.state is HostState.OFFLINE
        if not ours or not (closed if what.startswith("off") else fresh.state in SHUT):
            return "it is no longer empty, closed and claimed by onext"
        if what.startswith("off") and world.others(sight.id) < self.limits.min_hosts:
            return f"MIN_HOSTS is {self.limits.min_hosts}, and others have gone meanwhile"
        if what.startswith("off") and (reason := self.forbids(fresh, self.enrolling)):
            return reason
        self.raise_if_stopped()
        if world.monotonic() - began > self.limits.lease / 2:
            return "it took too long since the intent was written"
        return ""

    def is_off(self, sight: Sight) -> bool:
        """Whether a host that was ordered off is off: its BMC reports it, or without one it is silent."""
        return self.means_off(sight, self.world.ask_bmc(sight.id))

    def means_off(self, sight: Sight, answer: Answer) -> bool:
        """Whether this answer of its BMC is that of a host that is off."""
        return answer.state is Bmc.OFF or (answer.state is Bmc.SILENT and not self.world.proves_off(sight.id))

    def doubt(self, sight: Sight) -> str:
        """Check a host that is reported off again: return what speaks against that, or nothing."""
        if self.world.reachable(sight.id):
            return "it answers although its BMC reports off: is it this host's BMC?"
        return "" if self.is_off(sight) else "its BMC reports contradicting states"

    def verified(self, sight: Sight) -> str:
        """Ask the BMC, which must be this machine's and report on; return the problem, or nothing."""
        answer = self.world.ask_bmc(sight.id)
        if answer.state is Bmc.ON:
            return ""
        return f"its BMC reports {answer.state.value}" + (f": {answer.error}" if answer.error else "")


__all__ = ["Actuator", "Event", "Failed", "Leases", "Limits", "Stopped"]

"""Until when each armed host may run VMs at the latest, as one front-end knows it. Pure.

`now` is a clock of this front-end that only advances (CLOCK_MONOTONIC: where the front-end is suspended it
falls behind, and an expiry is found later). A grant is noted before it is sent, and only after a write of the
zone that began once the challenge was there. A front-end that no longer leads cannot write, so nothing it
grants counts longer than a lease after the first write of its successor. Hence the successor waits that long
before it takes an expiry for a proof. A watchdog that was held in a boot ticks until that boot ends, also
while a daemon that was started again waits for its first grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.onext_lease.lease import NO_GRANT

DRIFT = 0.01  # of the lease: clocks of front-end and node differ by much less
MARGIN = 2.0  # seconds
WATCHDOG = 30.0  # seconds that a watchdog takes at most; one that takes longer does not count
FEEDINGS = 2  # after a grant's end: one that comes late, and the kernel's where the daemon is killed after it
TENURE = 1.25  # leases that a new leader waits
RECENT = 30.0  # seconds since the last write of this front-end, after which another may grant
GRACE = 25.0  # seconds for which a host may answer others after its last challenge


@dataclass(frozen=True, slots=True)
class Contact:
    """The last challenge of a host. `at` is when it came, `until` when its last grant has surely ended.

    `held`: the watchdog ticks, and nothing but a grant makes the daemon feed it.
    """

    session: str
    boot: str
    held: bool
    reason: str
    at: float
    until: float = 0.0
    disarmed: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What the lease shows about a host: whether it answers, and whether its VMs have surely ended."""

    answers: bool
    expired: bool
    detail: str
    boot: str = ""


@dataclass
class Ledger:
    """The grants of one process. `others` are contacts that a predecessor recorded, as of the first write."""

    lease: float
    fresh: float = 25.0  # seconds for which a challenge shows life
    contacts: dict[int, Contact] = field(default_factory=dict)
    _since: float | None = None  # when the first write returned since which no other has written
    _wrote: float = 0.0
    _largest: float = 0.0  # seconds for which grants of this process count at most
    _wait: float = 0.0  # seconds from then until nothing that others granted counts

    def wrote(self, now: float, before: float, *, own: bool) -> None:
        """Note that a write returned; the record before had `before` as its longest, and was `own` or not."""
        self._largest = max(self._largest, self.lease + FEEDINGS * WATCHDOG)
        self._wrote = now
        if self._since is None or not own:
            self._since = now
            longest = max(self._largest, before)
            self._wait = TENURE * longest + self.margin(longest)

    def longest_until(self, now: float, before: float) -> float:
        """Return for how long grants may count that were given until now; `before`: as recorded."""
        settled = self._since is not None and now >= self._since + self._wait
        return max(self.lease + FEEDINGS * WATCHDOG, self._largest, 0.0 if settled else before)

    def lost(self) -> None:
        """Note that another may have written."""
        self._since = None

    def margin(self, lease: float) -> float:
        """Return the seconds by which clocks may differ within a lease, and more."""
        return MARGIN + DRIFT * lease

    def heard(self, host: int, challenge: Challenge, now: float) -> None:
        """Note a challenge when it came."""
        before = self.contacts.get(host)
        until = before.until if before else 0.0
        ticking = before is not None and before.held and not before.disarmed
        held = counts(challenge) or (before is not None and ticking and _ticks_on(before.boot, challenge))
        self.contacts[host] = Contact(
            challenge.session, challenge.boot, held, challenge.reason, now, until, challenge.disarmed
        )

    def granted(self, host: int, challenge: Challenge, now: float) -> None:
        """Note a grant before it is sent."""
        contact = self.contacts[host]
        watchdog = challenge.watchdog if challenge.held else max(challenge.watchdog, WATCHDOG)
        until = now + self.lease + FEEDINGS * watchdog + self.margin(self.lease)
        self.contacts[host] = replace(contact, until=max(contact.until, until))

    def inherit(self, others: Mapping[int, tuple[str, bool, float]], now: float) -> None:
        """Take over what the leader before recorded: boot, held, and how long ago in seconds."""
        for host, (boot, held, age) in others.items():
            own = self.contacts.get(host)
            if own is None or own.at < now - age:
                self.contacts[host] = Contact("", boot, held, "", now - age, own.until if own else 0.0)
            elif held and _ticks_on(boot, own):
                self.contacts[host] = replace(own, held=True)

    def keep(self, armed: Mapping[int, object]) -> None:
        """Forget hosts that are not armed any more."""
        self.contacts = {host: one for host, one in self.contacts.items() if host in armed}

    def status(self, host: int, now: float, *, silent: float) -> Status:
        """Return what the lease shows; `silent`: seconds since anything else showed that the host lives."""
        contact = self.contacts.get(host)
        if contact is None:
            return Status(answers=False, expired=False, detail="armed, but its daemon has not answered yet")
        age = now - contact.at
        if age <= self.fresh and contact.session:
            state = "armed" if contact.held else f"not armed: {contact.reason}"
            return Status(
                answers=True, expired=False, detail=f"its daemon answers, {state}", boot=contact.boot
            )
        if reason := self._no_proof(contact, now, age, silent):
            return Status(answers=False, expired=False, detail=reason, boot=contact.boot)
        return Status(answers=False, expired=True, detail=f"last answered {age:.0f} s ago", boot=contact.boot)

    def _no_proof(self, contact: Contact, now: float, age: float, silent: float) -> str:
        """Return why the lease of a host that does not answer proves nothing, empty where it does."""
        if not contact.held or contact.disarmed:
            return f"its watchdog was not held when it last answered: {contact.reason or 'not known why'}"
        if silent < age - GRACE:
            return "it answered others after its daemon had stopped answering: it may run without a lease"
        if self._since is None or now - self._wrote > RECENT:
            return "this front-end does not write the record of grants now"
        if (left := max(self._since + self._wait, contact.until) - now) > 0:
            return f"its lease ends in {left:.0f} s at the latest"
        return ""


def counts(challenge: Challenge) -> bool:
    """Return whether a host's watchdog is held, and fires within the time that a new leader waits for it."""
    return challenge.held and challenge.watchdog <= WATCHDOG


def _ticks_on(boot: str, found: Challenge | Contact) -> bool:
    """Return whether a daemon that was started again has yet to take the watchdog that this boot began."""
    return found.boot == boot and found.reason == NO_GRANT

"""Rules beside those of test_every_rule_is_needed, in the same form: a patch that removes one, and its check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability import act, brakes, decide, evidence, heartbeat, policy, vm_states
from hooks.availability.evidence import Evidence, Finding, Source, Verdict
from hooks.availability.heartbeat import Heartbeats
from hooks.availability.lease import ledger
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.granter import Granter
from hooks.availability.lease.grants import GRANTS, ZONE, Armed, Arming, Grants
from hooks.availability.lease.ledger import Ledger
from hooks.availability.model import Action, Phase, Stage, Vm
from hooks.availability.steps import Back, Boot, Fence, Unlock
from hooks.availability.vm_states import Course, dispose
from onext.oned.documents import Documents, Stored
from onext.oned.objects import HostState
from tests.hooks.availability.happenings import FrontEnd, happen
from tests.hooks.availability.rule_checks import Checks, registered_in
from tests.hooks.availability.simulation import POLICY, Cloud, Server, SimulatedWorld, build
from tests.onext.hosts.document_pool import DocumentPool

RULES: Checks = {}
rule = registered_in(RULES)


def front(**machines: object) -> FrontEnd:
    """Return a quiet cloud with one VM on host 0."""
    found = build(4, {1: 0}, POLICY, **machines)
    return FrontEnd(found, Server(found))


def play(what: FrontEnd, seconds: float) -> Cloud:
    """Let time pass."""
    for _ in range(int(seconds / 10)):
        what.cloud.advance(10.0)
        what.server.round()
    return what.cloud


@rule("an order follows its record within 30 s", lambda m: m.setattr(act, "ORDER_SECONDS", 1e9))
def _late_order() -> None:
    made = front()
    happen(made, "hang", 0)
    found = play(made, 50)
    found.records[0] = replace(found.records[0], phase=Phase.FENCING, server=0, term=1)
    executor = act.Executor(SimulatedWorld(found), found.policy)
    executor._written[0] = found.clock
    found.clock += 100.0  # the leader was paused
    executor.run([Fence(0)])
    assert found.machines[0].on


@rule("a start follows its proof within 30 s", lambda m: m.setattr(act.Executor, "_in_time", lambda *_: None))
def _late_start() -> None:
    made = front()
    happen(made, "die", 0)
    found = play(made, 50)
    entry = replace(found.records[0].entries[0], stage=Stage.STARTED, target=1)
    record = replace(found.records[0], phase=Phase.EVACUATING, entries=(entry,), server=0, term=1)
    found.records[0] = record
    found.vms[1] = replace(found.vms[1], host=1, state=8, lcm=0)

    class Paused(SimulatedWorld):
        def vm(self, vm: int) -> Vm | None:
            found.clock += 100.0
            return super().vm(vm)

    act.Executor(Paused(found), found.policy).run([Boot(0, 1, 1)])
    assert found.vms[1].state == 8


@rule(
    "an incident is closed only while its host answers",
    lambda m: m.setattr(act.Executor, "_see_again", _see_nothing),
)
def _closed_too_late() -> None:
    made = front()
    happen(made, "hang", 0)
    found = play(made, 60)
    record = found.records[0] = replace(found.records[0], phase=Phase.RETURNING, server=0, term=1)
    act.Executor(SimulatedWorld(found), found.policy).run([Back(0, record), Unlock(0, 1)])
    assert found.vms[1].lock == 3


def _see_nothing(*_: object) -> None:
    """Treat a host as returned."""


def _ignore_pauses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(brakes, "held", lambda *_: "")
    patch.setattr(SimulatedWorld, "forbidden", lambda *_: "")


@rule("a paused cluster is left alone", _ignore_pauses)
def _paused() -> None:
    made = front()
    happen(made, "pause", 0)
    happen(made, "hang", 0)
    assert play(made, 600).machines[0].on


class _NoOffline:
    """States, of which OFFLINE is none."""

    OFFLINE, ERROR, DISABLED = None, HostState.ERROR, HostState.DISABLED


@rule("an OFFLINE host is off on purpose", lambda m: m.setattr(decide, "HostState", _NoOffline))
def _offline() -> None:
    made = front()
    happen(made, "offline", 0)
    happen(made, "hang", 0)
    found = play(made, 600)
    assert not found.records


def _own_services(patch: pytest.MonkeyPatch) -> None:
    real = vm_states.dispose
    patch.setattr(vm_states, "dispose", lambda *words, **_: real(*words, owners=True))


@rule("VMs of a service are left to their owner", _own_services)
def _services() -> None:
    vm = Vm(1, "v", 0, 0, 3, 16, service="OneFlow")
    assert vm_states.dispose(vm, 0, Action.MIGRATE, owners=False).course is Course.STAY


@rule("a transient state waits for its driver", lambda m: m.setattr(vm_states, "_UNKNOWN", 2))
def _transient() -> None:
    assert dispose(Vm(1, "v", 0, 0, 3, 2), 0, Action.MIGRATE, owners=False).course is Course.WAIT


@rule("a heartbeat is judged by its change", lambda m: m.setattr(heartbeat.Heartbeats, "note", _note_any))
def _change() -> None:
    now = [1000.0]
    beats = Heartbeats(lambda: now[0])
    for _ in range(30):
        beats.note(0, {"100": "boot 5"})
        now[0] += 10.0
    assert beats.finding(0).finding is Finding.SILENT


def _note_any(self: Heartbeats, host: int, found: dict[str, str]) -> None:
    for datastore, text in found.items():
        self._seen[host, datastore] = (text, self.monotonic(), self.monotonic())


@rule("a person does not outvote a controller", lambda m: m.setattr(evidence, "set", lambda _: {0}, False))
def _outvoted() -> None:
    items = [Evidence(Source.PERSON, Finding.DEAD), Evidence(Source.BMC, Finding.POWERED, readings=2)]
    assert evidence.judge(items).verdict is Verdict.UNKNOWN


def _expired(held: bool = True, wait: float = 40.0) -> bool:
    """Return whether a lease of 20 s is a proof so long after its last grant, on a leader of long standing."""
    return _granted_long(held, wait).status(7, 495.0 + wait, silent=1e9).expired


def _granted_long(held: bool, wait: float) -> Ledger:
    found = Ledger(20.0)
    challenge = Challenge("s" * 32, 1, "b" * 36, held, "", 4.0, disarmed=False)
    for now in range(0, 500, 5):
        found.heard(7, challenge, float(now))
        found.wrote(float(now), 0.0, own=now > 0)
        found.granted(7, challenge, float(now))
    found.wrote(495.0 + wait, 50.0, own=True)
    return found


@rule("a lease is not a proof before it ended", lambda m: m.setattr(Ledger, "granted", lambda *_: None))
def _not_before() -> None:
    assert not _expired(wait=26.0 - 0.5)


@rule(
    "a lease without a held watchdog is not a proof", lambda m: m.setattr(Ledger, "_no_proof", lambda *_: "")
)
def _not_held() -> None:
    assert not _expired(held=False, wait=200.0)


@rule("a new leader waits before an expiry is a proof", lambda m: m.setattr(ledger, "TENURE", -9.0))
def _new_leader() -> None:
    found = Ledger(20.0)
    found.wrote(0.0, 50.0, own=False)
    found.inherit({7: ("b" * 36, True, 500.0)}, 0.0)
    found.wrote(20.0, 50.0, own=True)
    assert not found.status(7, 20.0, silent=1e9).expired


@rule(
    "an expiry counts only for the front-end that granted last",
    lambda m: m.setattr(Granter, "_superseded", lambda *_: ""),
)
def _granted_last() -> None:
    made = Granter(_granted_long(held=True, wait=40.0), monotonic=lambda: 535.0)
    made._armed = {7: Stored(7, 1, 1, Armed(Arming.ARMED, "host-7", "salt", "key", 1, 0.0))}
    grants = Documents(DocumentPool(), GRANTS)  # type: ignore[arg-type]
    grants.put(ZONE, Grants(1, 1, 1, "another", 50.0, 0.0), None)
    found = made.status(7, silent=1e9, record=grants)
    assert found is not None
    assert not found.expired


@rule(
    "the envelope limits what a cluster chooses", lambda m: m.setattr(policy, "_within", lambda one, _: one)
)
def _envelope() -> None:
    from onext.settings.availability import Availability

    found = policy.read({"MODE": "auto", "MAX_DOWN_HOSTS": "900"}, Availability(highest_mode="advise"))
    assert (found.mode, found.max_down) == (policy.Mode.ADVISE, Availability().highest_down_hosts)

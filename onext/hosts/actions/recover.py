"""Bring back a host whose claim no document verifies: an earlier version wrote it, or someone forged it.

Such a claim permits just this. A host that is off is woken; one that runs is returned to service; one that is
in service loses the claim.
"""

from __future__ import annotations

from dataclasses import replace

from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.return_to_service import go_back
from onext.hosts.actions.wake import waking
from onext.hosts.actions.world import Sight
from onext.hosts.model import SHUT, Bmc, Phase
from onext.oned.objects import HostState

UNVERIFIED = "no record verifies its claim: brought back into service"


def recover(actuator: Actuator, sight: Sight) -> str:
    """Begin to bring a host back, and come as far as can be done without waiting."""
    claim = sight.claim
    assert claim
    if sight.state not in SHUT:
        actuator.release(sight)
        return "it is in service; a claim that no record verifies was removed"
    if sight.state is not HostState.OFFLINE or claim.phase not in (Phase.OFF, Phase.WAKING):
        return go_back(actuator, sight, UNVERIFIED, ordered=claim.phase is Phase.STOPPING)
    answer = actuator.world.ask_bmc(sight.id).state
    if answer is Bmc.ON and claim.phase is Phase.OFF:
        return actuator.leave(sight, "someone else switched it on")
    asleep = answer is Bmc.OFF
    mine = actuator.claim(sight, Phase.WAKING, sight.record, reason=UNVERIFIED, failures=0, slept=asleep)
    actuator.report(sight, "recover", UNVERIFIED)
    return waking(actuator, replace(sight, claim=mine))

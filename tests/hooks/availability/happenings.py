"""What may happen in a cloud, in the words of the scenarios: `hang 0` is about host 0."""

from __future__ import annotations

from dataclasses import dataclass, replace

from onext.oned.objects import HostState
from tests.hooks.availability.simulation import Cloud, Server


@dataclass
class FrontEnd:
    """The cloud, the server that leads, and the one that led before."""

    cloud: Cloud
    server: Server
    old: Server | None = None


FAULTS = (
    "die", "hang", "cut", "cut all", "cut storage", "freeze storage", "heal", "return", "bmc silent", "bmc other",
    "bmc stuck", "bmc ok", "slow off", "disable", "enable", "offline", "maintain", "end maintenance", "confirm",
    "fails starts", "lock", "move", "delete", "suspend", "poweroff", "plan", "oned down", "oned up", "jump",
    "takeover", "kill", "stop", "go", "pause", "unpause", "reboot", "unsure", "sure",
)  # fmt: skip


def happen(front: FrontEnd, what: str, number: int) -> None:  # noqa: C901, PLR0912
    """Let something happen to the cloud."""
    cloud = front.cloud
    one, host = cloud.machines[number], cloud.hosts[number]
    cloud.log(f"* {what} {number}")
    if what == "die":
        one.power_off()
    elif what == "hang" and one.on:
        one.hung = True
    elif what == "cut":
        one.network = False
    elif what == "cut all":
        one.network = one.peers = False
    elif what in ("cut storage", "freeze storage"):
        one.network = one.peers = one.storage = False
    elif what == "heal":
        one.network = one.peers = one.storage = True
    elif what == "return":
        _boot(front, number)
    elif what == "reboot" and one.on:
        one.power_off()
        _boot(front, number)
    elif what.startswith("bmc "):
        one.bmc = what.removeprefix("bmc ")
    elif what == "slow off":
        one.slow_off = 40.0
    elif what == "disable" and host.state is not HostState.OFFLINE:
        host.state = HostState.DISABLED
    elif what == "enable" and one.serves and one.network and number not in cloud.records:
        host.state = HostState.MONITORED
    elif what == "offline":
        host.state = HostState.OFFLINE
    elif what == "maintain":
        host.maintenance = True
    elif what == "end maintenance":
        host.maintenance = False
    elif what == "confirm" and not one.on and number in cloud.records:
        cloud.confirmed.add(number)
    elif what == "fails starts":
        one.fails_starts = not one.fails_starts
    elif what == "mute":
        one.mute = True
    elif what == "unsure":
        one.unsure = True
    elif what == "sure":
        one.unsure = False
    else:
        _to_cloud(front, what, number)


def _boot(front: FrontEnd, number: int) -> None:
    one = front.cloud.machines[number]
    if one.on and not one.hung:
        return
    one.power_off()
    one.on, one.boot = True, one.boot + 1
    front.cloud.confirmed.discard(number)
    one.lease_until = front.cloud.clock + 60


def _to_cloud(front: FrontEnd, what: str, number: int) -> None:  # noqa: C901
    cloud = front.cloud
    vms = [vm for vm in cloud.vms.values() if vm.host == number]
    if what == "oned down":
        cloud.oned_up = False
    elif what == "oned up":
        cloud.oned_up = True
        for host in cloud.hosts.values():
            host.heard = max(host.heard, cloud.clock - 10)
    elif what == "jump":
        cloud.offset += -7200.0 if cloud.offset > 1.7e9 else 3600.0
    elif what == "takeover":
        front.old = front.server
        cloud.leader = (1 - cloud.leader[0], cloud.leader[1] + 1)
        front.server = Server(cloud, *cloud.leader)
    elif what == "stop":
        cloud.halted = True
    elif what == "go":
        cloud.halted = False
    elif what in ("pause", "unpause"):
        cloud.paused = what == "pause"
    elif what == "plan":
        cloud.plan = True
    elif vms and what == "delete" and cloud.machines[number].serves:
        cloud.machines[number].running.discard(vms[0].id)
        cloud.booting.pop(vms[0].id, None)
        del cloud.vms[vms[0].id]
    elif vms and what in ("suspend", "poweroff") and cloud.machines[number].serves and vms[0].lcm == 3:
        cloud.machines[number].running.discard(vms[0].id)
        state = 5 if what == "suspend" else 8
        cloud.vms[vms[0].id] = replace(vms[0], state=state, lcm=0, parked_by="person")
    elif vms and what == "lock":
        cloud.vms[vms[0].id] = replace(vms[0], lock=1)

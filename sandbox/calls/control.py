"""sandbox.*: what a test or the tour wants to happen, to administrators only. docs/sandbox.md lists it."""

import json

from sandbox.calls import answers
from sandbox.errors import ApiError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.names import LCM, HostState


@call("sandbox.host.state", "is")
def host_state(front: FrontEnd, caller: Caller, oid: int, state: str) -> int:
    """Put a host into a state, by its name, and tell the hooks as oned would."""
    answers.admin(caller)
    host = front.world.hosts.get(oid)
    if state not in HostState.__members__:
        raise ApiError(f"no state of a host: {state}; there are {', '.join(HostState.__members__)}")
    host.state = HostState[state]
    front.host_changed(host)
    return oid


@call("sandbox.host.machine", "is")
def host_machine(front: FrontEnd, caller: Caller, oid: int, change: str) -> int:
    """Change the machine behind a host: JSON with any of cpu, memory, alive, running, measured, static."""
    answers.admin(caller)
    host = front.world.hosts.get(oid)
    for name, value in json.loads(change).items():
        if name in ("measured", "static"):
            getattr(host.machine, name).update({key: str(text) for key, text in value.items()})
        elif name == "running":
            host.machine.running = set(value)
        elif name in ("cpu", "memory", "alive"):
            setattr(host.machine, name, value)
        else:
            raise ApiError(f"a machine has no {name}: cpu, memory, alive, running, measured, static")
    return oid


@call("sandbox.node", "ss", locked=False)
def node(front: FrontEnd, caller: Caller, name: str, change: str) -> bool:
    """Make a node that ssh reaches, or change it: JSON with `addresses` and `behaves`."""
    answers.admin(caller)
    wanted = json.loads(change)
    behaves = wanted.get("behaves", "ok")
    front.nodes.set(name, wanted.get("addresses"), behaves)
    return True


@call("sandbox.bmc", "sa", locked=False)
def bmc(front: FrontEnd, caller: Caller, kind: str, hosts: list[str]) -> str:
    """Give hosts a BMC (`ipmi` or `redfish`), and return as JSON how to reach and recognise each."""
    answers.admin(caller)
    if kind not in ("ipmi", "redfish"):
        raise ApiError(f"no kind of BMC: {kind}; there are ipmi, redfish")
    made = front.rack.add(kind, hosts)
    return json.dumps({host: entry.shown() for host, entry in made.items()})


@call("sandbox.monitor", "")
def monitor(front: FrontEnd, caller: Caller) -> int:
    """Take one message of every host now."""
    answers.admin(caller)
    front.host_life.round()
    front.vm_life.monitor()
    return 0


@call("sandbox.vm.happens", "is")
def vm_happens(front: FrontEnd, caller: Caller, oid: int, what: str) -> int:
    """Let something happen to a VM: crash (POWEROFF), lost (UNKNOWN), found (RUNNING)."""
    answers.admin(caller)
    vm = front.world.vms.get(oid)
    life = front.vm_life
    events = {"crash": life.crash, "lost": life.lost, "found": life.found}
    if what not in events:
        raise ApiError(f"nothing called {what} happens to a VM; there are {', '.join(events)}")
    vm.lost = what == "lost"
    events[what](vm)
    return oid


@call("sandbox.vm.fault", "is")
def vm_fault(front: FrontEnd, caller: Caller, oid: int, state: str) -> int:
    """Let the VM fail the next time that it is in this state of its life, e.g. BOOT or MIGRATE."""
    answers.admin(caller)
    if state not in LCM.__members__:
        raise ApiError(f"no state of a life: {state}")
    front.world.vms.get(oid).faults.add(state)
    return oid


@call("sandbox.vm.measured", "is")
def vm_measured(front: FrontEnd, caller: Caller, oid: int, change: str) -> int:
    """Set the monitoring values of a VM from now on (JSON), and measure it now, whatever its state."""
    answers.admin(caller)
    vm = front.world.vms.get(oid)
    vm.measured |= {name: str(value) for name, value in json.loads(change).items()}
    vm.measure(front.pace.keep)
    vm.touch_monitoring()
    return oid


@call("sandbox.step", "d")
def step(front: FrontEnd, caller: Caller, seconds: float) -> bool:
    """Let each state of a life take so many seconds from now on."""
    answers.admin(caller)
    front.pace.step = float(seconds)
    return True


@call("sandbox.scheduler", "b")
def scheduler(front: FrontEnd, caller: Caller, awake: bool) -> bool:  # noqa: FBT001  as the call has it
    """Let the scheduler sleep, or work."""
    answers.admin(caller)
    front.scheduler.asleep = not awake
    return awake


@call("sandbox.hooks", "b")
def hooks(front: FrontEnd, caller: Caller, alive: bool) -> bool:  # noqa: FBT001  as the call has it
    """Take the hook manager down (events are lost) or up again."""
    answers.admin(caller)
    front.hooks.alive = alive
    return alive


@call("sandbox.trouble", "bds")
def trouble(front: FrontEnd, caller: Caller, refuses: bool, seconds: float, calls: str) -> bool:  # noqa: FBT001
    """Close every connection without an answer, or answer calls that begin so after so many seconds."""
    answers.admin(caller)
    front.trouble.refuses, front.trouble.seconds, front.trouble.calls = refuses, float(seconds), calls
    return True


@call("sandbox.raft", "iib")
def raft(front: FrontEnd, caller: Caller, state: int, term: int, cut_off: bool) -> int:  # noqa: FBT001
    """Be SOLO (0), CANDIDATE (1), FOLLOWER (2) or LEADER (3) of a term; who is cut off blocks writes."""
    answers.admin(caller)
    front.raft.state, front.raft.term, front.raft.cut_off = state, term, cut_off
    front.hooks.alive = state in (front.raft.SOLO, front.raft.LEADER)
    return state

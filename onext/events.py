"""Which changes of state are events, and which parts each one concerns: the one table of the event path.

Every state that a part is interested in is one registration at oned, hooks/<name>.hook, whose command is
`onext/event`; the worker hands the event to the parts. `python -m onext.events` writes the files.
Standard library only: it is read before the venv exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PREFIX = "onext-"
COMMAND = "onext/event"  # relative to remotes/hooks
ACTIVE = 3
ANY = -1  # an event without a state


@dataclass(frozen=True)
class State:
    """A state of a host or VM: the name of its registration, and how oned names and numbers it."""

    name: str
    resource: str
    state: str
    number: int
    lcm: str = ""
    lcm_number: int = 0


# HOST: the states that oned 6.10 and later still uses (Host.h).
_HOST = {"INIT": 0, "MONITORED": 2, "ERROR": 3, "DISABLED": 4, "OFFLINE": 8}
# VM: the states without an own life cycle (VirtualMachine.h) …
_VM = {
    "PENDING": 1,
    "HOLD": 2,
    "STOPPED": 4,
    "SUSPENDED": 5,
    "DONE": 6,
    "POWEROFF": 8,
    "UNDEPLOYED": 9,
    "CLONING_FAILURE": 11,
}
# … and of ACTIVE those LCM_STATEs in which a VM stays for a while.
_LCM = {
    "RUNNING": 3,
    "MIGRATE": 4,
    "UNKNOWN": 16,
    "BOOT_FAILURE": 36,
    "BOOT_MIGRATE_FAILURE": 37,
    "PROLOG_MIGRATE_FAILURE": 38,
    "PROLOG_FAILURE": 39,
    "EPILOG_FAILURE": 40,
    "EPILOG_STOP_FAILURE": 41,
    "EPILOG_UNDEPLOY_FAILURE": 42,
    "PROLOG_MIGRATE_POWEROFF_FAILURE": 44,
    "PROLOG_MIGRATE_SUSPEND_FAILURE": 46,
    "BOOT_UNDEPLOY_FAILURE": 47,
    "BOOT_STOPPED_FAILURE": 48,
    "PROLOG_RESUME_FAILURE": 49,
    "PROLOG_UNDEPLOY_FAILURE": 50,
    "PROLOG_MIGRATE_UNKNOWN_FAILURE": 61,
}


def _name(resource: str, state: str) -> str:
    return f"{resource}-{state.lower().replace('_', '-')}"


STATES: Mapping[str, State] = {
    state.name: state
    for state in (
        *(State(_name("host", s), "host", s, n) for s, n in _HOST.items()),
        *(State(_name("vm", s), "vm", s, n, "LCM_INIT") for s, n in _VM.items()),
        *(State(_name("vm", s), "vm", "ACTIVE", ACTIVE, s, n) for s, n in _LCM.items()),
    )
}

_HOSTS = tuple(name for name, state in STATES.items() if state.resource == "host")
_HOST_CHANGES = ("host-monitored", "host-error", "host-disabled", "host-offline")
_FAILURES = tuple(name for name in STATES if name.endswith("-failure"))
_SETTLED = (
    "vm-pending",
    "vm-running",
    "vm-poweroff",
    "vm-suspended",
    "vm-stopped",
    "vm-undeployed",
    "vm-done",
)

# Which states concern a part: one line for each part.
INTERESTS: Mapping[str, tuple[str, ...]] = {
    "geolocation": ("host-monitored",),
    "targets": (*_HOSTS, *_SETTLED, "vm-unknown", *_FAILURES),
    "power": (*_HOST_CHANGES, *_SETTLED),
    "availability": (*_HOST_CHANGES, "vm-running", "vm-unknown", "vm-poweroff", "vm-done", *_FAILURES),
    "events": tuple(STATES),
}

FORMER = ("geolocation", "prometheus", "power")  # executables of the version before; aliases for one release
RENAMED = {"prometheus": "targets"}  # keys that the version before left in the spool


@lru_cache(maxsize=256)
def parts(resource: str, state: int, lcm: int) -> tuple[str, ...]:
    """Return the parts that an event concerns; of a state that is not in the table, all of its resource."""
    names = [
        found.name
        for found in STATES.values()
        if (found.resource, found.number) == (resource, state) and found.lcm_number in (lcm, 0)
    ]
    names = names or [found.name for found in STATES.values() if found.resource == resource]
    return tuple(part for part, wanted in INTERESTS.items() if not set(names).isdisjoint(wanted))


def registered(installed: Iterable[str]) -> Iterator[State]:
    """Yield the states that any of the installed parts is interested in."""
    wanted = {name for part in installed for name in INTERESTS.get(part, ())}
    return (state for name, state in STATES.items() if name in wanted)


def template(state: State) -> str:
    """Return the registration template of a state, as `onehook create` takes it."""
    concerned = ", ".join(part for part, wanted in INTERESTS.items() if state.name in wanted)
    where = f"{state.state}/{state.lcm}" if state.state == "ACTIVE" else state.state
    lines = [f"# A {state.resource.upper()} enters {where}. Concerns: {concerned}."]
    lines += [
        _line("NAME", PREFIX + state.name),
        _line("TYPE", "state"),
        _line("RESOURCE", state.resource.upper()),
    ]
    if state.lcm == "RUNNING":
        lines.append(_line("ON", "RUNNING"))
    elif state.resource == "vm":
        lines += [_line("ON", "CUSTOM"), _line("STATE", state.state), _line("LCM_STATE", state.lcm)]
    else:
        lines.append(_line("STATE", state.state))
    return "\n".join([*lines, *_COMMON]) + "\n"


def _line(name: str, value: str) -> str:
    return f'{name:15} = "{value}"'


_COMMON = (
    _line("REMOTE", "NO"),
    _line("COMMAND", COMMAND),
    _line("ARGUMENTS", "$TEMPLATE"),
    _line("ARGUMENTS_STDIN", "yes"),  # an argument ends at 128 KiB
)


def write(folder: Path) -> None:
    """Write the registration templates of all parts into `hooks/`, and remove those of no state."""
    wanted = {f"{state.name}.hook": template(state) for state in registered(INTERESTS)}
    for file in folder.glob("*.hook"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "hooks")

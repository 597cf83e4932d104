"""Hooks and the log of their executions."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.errors import InternalError
from sandbox.markup import tag
from sandbox.state.names import LCM, HostState, VMState
from sandbox.state.pool_object import PoolObject
from sandbox.template import Template

_ON = {
    "PROLOG": ("ACTIVE", "PROLOG"),
    "RUNNING": ("ACTIVE", "RUNNING"),
    "SHUTDOWN": ("ACTIVE", "EPILOG"),
    "STOP": ("STOPPED", "LCM_INIT"),
    "DONE": ("DONE", "LCM_INIT"),
    "UNKNOWN": ("ACTIVE", "UNKNOWN"),
}


class HookError(InternalError):
    """The template is not one of a hook; the message is oned's."""


@dataclass(frozen=True)
class Execution:
    """One run of a hook, as HookLog keeps it."""

    number: int
    code: int
    when: int
    arguments: str
    remote_host: str
    xml: str


@dataclass(kw_only=True)
class Hook(PoolObject):
    """A hook: what it waits for, what it runs."""

    KIND: ClassVar[str] = "HOOK"

    type: str
    log: list[Execution] = field(default_factory=list)
    ran: int = 0

    @classmethod
    def from_template(cls, template: Template) -> "Hook":
        """Make a hook of what `onehook create` takes, refusing what Hook::insert refuses."""
        values = template.copy()
        name = _taken(values, "NAME", "No NAME in template for Hook.")
        if not values.get("COMMAND"):
            raise HookError("No COMMAND in template for Hook.")
        remote = _taken(values, "REMOTE", "")
        values.put("REMOTE", "YES" if remote.upper() == "YES" else "NO")
        kind = _taken(values, "TYPE", "").lower()
        if kind not in ("state", "api"):
            raise HookError("No TYPE or invalid one in template for Hook.")
        (_state if kind == "state" else _api)(values)
        return cls(name=name, type=kind, template=values)

    @property
    def key(self) -> str:
        """What it waits for: `HOST/MONITORED/`, `VM/ACTIVE/RUNNING` or the name of a call."""
        values = self.template
        if self.type == "api":
            return values.get("CALL")
        return f"{values.get('RESOURCE')}/{values.get('STATE')}/{values.get('LCM_STATE')}"

    @property
    def on_stdin(self) -> bool:
        """Whether the arguments come on standard input."""
        return self.template.get("ARGUMENTS_STDIN").upper() == "YES"

    @property
    def timeout(self) -> int | None:
        """Return the seconds that it may run; None without a limit."""
        return int(self.template.number("TIMEOUT")) or None

    def note(self, code: int, arguments: str, remote_host: str, xml: str, *, keep: int) -> None:
        """Add an execution to the log, which keeps the last ones."""
        self.log.append(Execution(self.ran, code, int(time.time()), arguments, remote_host, xml))
        self.ran += 1
        del self.log[:-keep]

    def xml(self) -> str:
        """Return the hook as one.hook.info does, with its log."""
        return (
            self.listed_xml()[: -len("</HOOK>")]
            + tag("HOOKLOG", "".join(map(self.record, self.log)))
            + "</HOOK>"
        )

    def listed_xml(self) -> str:
        """Return the hook as one.hookpool.info does."""
        return tag(
            "HOOK", tag("ID", self.id) + tag("NAME", self.name) + tag("TYPE", self.type) + self.template.xml()
        )

    def record(self, run: Execution) -> str:
        """Return one execution."""
        head = tag("HOOK_ID", self.id) + tag("EXECUTION_ID", run.number) + tag("TIMESTAMP", run.when)
        return tag("HOOK_EXECUTION_RECORD", head + run.xml)


def _taken(values: Template, name: str, missing: str) -> str:
    found = values.get(name)
    values.remove(name)
    if not found and missing:
        raise HookError(missing)
    return found


def _state(values: Template) -> None:
    resource = values.get("RESOURCE").upper()
    if not resource:
        raise HookError("RESOURCE attribute is required for STATE hooks.")
    if resource not in ("HOST", "VM"):
        raise HookError(f"Invalid resource type: {resource}")
    values.put("RESOURCE", resource)
    (_host_state if resource == "HOST" else _vm_state)(values)


def _host_state(values: Template) -> None:
    state = values.get("STATE")
    if state.upper() not in HostState.__members__:
        raise HookError(f"Invalid STATE: {state}")
    values.put("STATE", state.upper())


def _vm_state(values: Template) -> None:
    on = _taken(values, "ON", "").upper()
    state, lcm = _ON.get(on, ("", ""))
    if on == "CUSTOM":
        state, lcm = values.get("STATE").upper(), values.get("LCM_STATE").upper()
        if state not in VMState.__members__:
            raise HookError(f"Wrong STATE: {state}")
        if lcm not in LCM.__members__:
            raise HookError(f"Wrong LCM_STATE: {lcm}")
    elif not state:
        raise HookError(f"Unkown state condition: {on}")
    values.put("STATE", state)
    values.put("LCM_STATE", lcm)


def _api(values: Template) -> None:
    call = values.get("CALL")
    if not call.startswith("one.") or call.endswith((".info", ".infoextended")):
        raise HookError(f"API call does not exist or is not supported: {call}")

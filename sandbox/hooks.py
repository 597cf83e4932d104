"""The hook manager: events to executables, ten at once, in order, without a retry.

As src/hem/onehem-server.rb does it: the command line is one string, which goes through `sh -c` when it holds
shell characters; the payload is the object alone in strict base64; a non-zero exit is only logged.
"""

import base64
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sandbox import markup
from sandbox.log import OnedLog
from sandbox.processes import Children, Completed
from sandbox.state.hook import Execution, Hook

SLOTS = 10
_FAILED = 255
_SHELL = set("*?{}[]<>()~&|\\$;'`\"\n#")  # Ruby's: any of them sends the string through sh -c
_LINE = 60  # characters of a line of Ruby's Base64.encode64


@dataclass(frozen=True)
class Event:
    """Something that happened: what hooks wait for, and what they get."""

    key: str
    document: str
    remote_host: str = ""
    api: bool = False


class Hooks:
    """Starts the executables that wait for an event."""

    def __init__(
        self,
        *,
        base: Path,
        env: Callable[[], dict[str, str]],
        log: OnedLog,
        children: Children,
        lock: threading.RLock,
        pool: Iterable[Hook],
        retention: int = 20,
    ) -> None:
        self.alive = True  # a hook manager that is down loses events
        self._base, self._env, self._log = base, env, log
        self._children, self._lock, self._pool, self._retention = children, lock, pool, retention
        self._slots = ThreadPoolExecutor(SLOTS, "hook")

    def happened(self, event: Event) -> None:
        """Queue every hook that waits for this event."""
        if not self.alive:
            return
        kind = "api" if event.api else "state"
        for hook in self._pool:
            if hook.type == kind and hook.key == event.key:
                self._slots.submit(self._execute, hook, event)

    def wanted(self, key: str) -> bool:
        """Tell whether any hook waits for this, so that no payload is rendered in vain."""
        return self.alive and any(hook.key == key for hook in self._pool)

    def retry(self, hook: Hook, run: Execution) -> None:
        """Queue an execution of the log once more, with the arguments of then."""
        self._slots.submit(self._run, hook, run.arguments, run.remote_host, again=True)

    def stop(self) -> None:
        """Start nothing more."""
        self.alive = False
        self._slots.shutdown(wait=False, cancel_futures=True)

    def _execute(self, hook: Hook, event: Event) -> None:
        payload = base64.b64encode(markup.pretty(event.document).encode()).decode()
        self._run(hook, arguments(hook, payload, api=event.api), event.remote_host, again=False)

    def _run(self, hook: Hook, given: str, remote_host: str, *, again: bool) -> None:
        command = str(self._base / hook.template.get("COMMAND"))
        stdin = b""
        if hook.on_stdin:
            stdin = given.encode()
        elif given:
            command = f"{command} {given}"
        done = self._start(command, stdin, hook.timeout)
        self._note(hook, command, given, remote_host, done, again=again)

    def _start(self, command: str, stdin: bytes, timeout: int | None) -> Completed:
        try:
            return self._children.run(
                argv_of(command), stdin=stdin, timeout=timeout, env=self._env(), cwd="/"
            )
        except OSError as error:
            return Completed(_FAILED, b"", f"Internal error {os.strerror(error.errno or 0)}".encode())

    def _note(
        self, hook: Hook, command: str, given: str, remote_host: str, done: Completed, *, again: bool
    ) -> None:
        # The command is in the log as Ruby wrote it: unescaped.
        result = markup.tag(
            "EXECUTION_RESULT",
            markup.tag("COMMAND", markup.escape(command))
            + markup.tag("STDOUT", encode64(done.out))
            + markup.tag("STDERR", encode64(done.err))
            + markup.tag("CODE", done.code),
        )
        remote = hook.template.get("REMOTE") == "YES" and remote_host
        xml = markup.tag("ARGUMENTS", markup.escape(given)) + result
        xml += (markup.tag("REMOTE_HOST", remote_host) if remote else "") + (
            "<RETRY>yes</RETRY>" if again else ""
        )
        with self._lock:
            hook.note(done.code, given, remote_host, xml, keep=self._retention)
            hook.touch()
        level, outcome = ("E", "Error") if done.code else ("I", "Success")
        self._log.write(level, "HKM", f"{outcome} executing Hook {hook.id}")


def arguments(hook: Hook, payload: str, *, api: bool) -> str:
    """Return ARGUMENTS with $TEMPLATE (state hooks) or $API (API hooks) filled in."""
    filled = {"$TEMPLATE": "" if api else payload, "$API": payload if api else ""}
    return " ".join(filled.get(word, word) for word in hook.template.get("ARGUMENTS").split(" ")).strip()


def argv_of(command: str) -> list[str]:
    """Return what Ruby runs for a command line given as one string."""
    if _SHELL & set(command) or "=" in command.split(" ", maxsplit=1)[0]:
        return ["/bin/sh", "-c", command]
    return command.split()


def encode64(data: bytes) -> str:
    """Return Ruby's Base64.encode64: lines of 60 characters, each with a newline."""
    encoded = base64.b64encode(data).decode()
    return "".join(encoded[start : start + _LINE] + "\n" for start in range(0, len(encoded), _LINE))

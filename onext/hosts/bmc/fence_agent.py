"""A fence agent (FenceAgentAPI of the ClusterLabs project). Runs in the child only.

Options go to its standard input, one `name=value` a line; it prints `Status: ON` with exit code 0 or
`Status: OFF` with 2. What it returns for an order does not count: the state that is read afterwards does.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from onext import bounds, process
from onext.hosts.bmc.errors import InvalidAnswer, Refused, TimedOut, UnsafeFile
from onext.hosts.bmc.identity import Reported
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.watts import Draw

FOLDER = Path("/usr/sbin")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
_STATUS = {("Status: ON", 0): "on", ("Status: OFF", 2): "off"}
_ACTION = {"on": "on", "hard": "off"}
_LARGEST = 64_000  # bytes of output
_MARGIN = 0.5  # seconds before the session ends, for the answer
_MOST_SECONDS = 60.0  # for one run


class FenceAgent:
    """One agent with the options of an entry; each question is a run of it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._program = _verified(FOLDER / job.agent)

    def power(self) -> str:
        """Return `on` or `off`; raise when text and exit code contradict each other."""
        done = self._run("status")
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip().startswith("Status:")]
        state = _STATUS.get((said[0], done.exit_code)) if len(said) == 1 else None
        if state is None:
            raise InvalidAnswer(f"{self._job.agent} reports no clear status: {self._why(done)}")
        return state

    def identity(self) -> Reported:
        """Return what bmc.yaml names: an agent cannot tell whose power it switches."""
        return Reported(self._job.uuid or "", (self._job.serial,) if self._job.serial else ())

    def order(self, order: Order) -> None:
        """Have the agent switch; raise unless the state afterwards is as ordered."""
        if order not in _ACTION:
            raise Refused("a fence agent only cuts the power: set `shutdown: ssh` in bmc.yaml for a shutdown")
        done = self._run(_ACTION[order])
        if self.power() != _ACTION[order]:
            raise Refused(f"{self._job.agent} was ordered {_ACTION[order]} without effect: {self._why(done)}")

    def watts(self, *, on: bool) -> Draw:  # noqa: ARG002 - every driver has it
        """Return nothing: agents do not measure power."""
        return Draw()

    def privilege(self) -> bool | None:
        """Return None: only an order would show."""
        return None

    def close(self) -> None:
        """Nothing is kept open."""

    def _run(self, action: str) -> process.Completed:
        left = min(_MOST_SECONDS, self._job.ends - time.monotonic() - _MARGIN)
        if left <= 0:
            raise TimedOut("no time is left for the agent")
        # coreutils' timeout ends the agent and its children also when this process is killed.
        argv = ["timeout", "--signal=KILL", f"{left:.1f}", str(self._program)]
        try:
            done = process.run(
                argv,
                timeout=left + _MARGIN / 2,
                input=self._input(action, left),
                max_output=_LARGEST,
                env=_ENVIRONMENT,
                check=False,
            )
        except process.CommandError as error:
            raise TimedOut(f"{self._job.agent} did not end in time or printed too much") from error
        if done.exit_code in (124, 137, -9):
            raise TimedOut(f"{self._job.agent} did not end within {left:.0f} s")
        if any(f"nknown option '{name}=".encode() in done.stderr for name in self._job.options):
            raise Refused(f"{self._job.agent} does not know an option of bmc.yaml: {self._why(done)}")
        return done

    def _input(self, action: str, left: float) -> bytes:
        seconds = str(max(1, int(left - 1)))
        lines = {
            **self._job.options,
            **dict.fromkeys(("login_timeout", "shell_timeout", "power_timeout"), seconds),
            **({"password": self._job.password} if self._job.password else {}),
            "action": action,
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items()).encode()

    def _why(self, done: process.Completed) -> str:
        """Return the last thing that it printed, without any value of bmc.yaml."""
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().split("\n")
        shown = bounds.words(lines[-1], 200)
        for secret in sorted(self._job.options.values(), key=len, reverse=True):
            shown = shown.replace(secret, "***") if len(secret) > 3 else shown
        return f"{shown or 'it printed nothing'} (exit code {done.exit_code})"


def _verified(program: Path) -> Path:
    """Return an agent that only root can have put there; raise Refused or UnsafeFile."""
    for place in (program, *program.parents):
        try:
            found = os.lstat(place)
        except OSError as error:
            raise Refused(f"{place}: {error.strerror}: install the package fence-agents") from error
        link = stat.S_ISLNK(found.st_mode)  # as /usr/sbin on Fedora; the mode of a link does not matter
        writable = not link and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid != 0 or writable or (place == program and not stat.S_ISREG(found.st_mode)):
            raise UnsafeFile(f"{place}: not a program that only root can change: it is not started")
    return program

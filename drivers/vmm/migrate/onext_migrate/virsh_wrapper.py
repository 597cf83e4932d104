"""The virsh that OpenNebula's own migrate finds first on its PATH, for the commands that matter.

`migrate` gets the tunnel's options. When it fails, both hosts are asked where the VM is before OpenNebula's
script hears of a failure: it would destroy the VM on the destination and delete its folder there. `destroy`
and `undefine` on the destination ask the same, for the case that this wrapper was killed as well.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from typing import List, NamedTuple, Tuple

from . import location, virsh, virsh_options, wrapper_files
from .commands import run
from .errors import BadInputError, CommandError
from .virsh import State
from .wrapper_files import Report

_SETTLE = 60.0  # seconds for both hosts to agree where the VM is
_PDEATHSIG = 1  # linux/prctl.h


class Call(NamedTuple):
    """One command line of virsh."""

    before: List[str]  # the options of virsh itself
    command: str
    words: List[str]  # what follows the command

    @property
    def argv(self) -> List[str]:
        """Return the whole command line."""
        return ["virsh", *self.before, self.command, *self.words]

    @property
    def uri(self) -> str:
        """Return the value of --connect, "" without it."""
        for index, word in enumerate(self.before):
            if word in ("-c", "--connect") and index + 1 < len(self.before):
                return self.before[index + 1]
            if word.startswith("--connect="):
                return word.partition("=")[2]
        return ""


def virsh_command(arguments: List[str]) -> int:
    """Run one virsh command line for OpenNebula's script; return its exit code."""
    folder = os.environ.get(wrapper_files.VARIABLE, "")
    try:
        order = wrapper_files.read_order(folder)
    except (OSError, ValueError, TypeError) as error:
        return _fail(f"the driver's order cannot be read: {error}")
    call = read_call(arguments)
    if call.command == "migrate":
        return _migrate(folder, order, call)
    if call.command in ("destroy", "undefine") and call.uri != order.uri:
        return _remove_from_destination(folder, order, call)
    return _become_virsh(call)


def read_call(arguments: List[str]) -> Call:
    """Split a command line: virsh's own options come before the command."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        valued = arguments[index] in ("-c", "--connect", "-d", "--debug", "-l", "--log", "-e", "--escape")
        index += 2 if valued else 1
    return Call(arguments[:index], "".join(arguments[index : index + 1]), arguments[index + 1 :])


def _migrate(folder: str, order: wrapper_files.Order, call: Call) -> int:
    if not order.driver_start or wrapper_files.process_start(order.driver) != order.driver_start:
        return _fail("the migrate driver is gone: not migrating")
    try:
        merged = virsh_options.merge(call.words, order.kvmrc, order.wishes, order.tunnel)
        domain, destination = virsh_options.positional(call.words)[:2]
    except (BadInputError, ValueError) as error:
        wrapper_files.write_report(folder, Report(called=True, refused=str(error)))
        return _fail(str(error))
    report = Report(
        called=True,
        postcopy="--postcopy" in merged.names,
        notes=merged.notes,
        snapshots=False if order.shared else _disks_with_snapshots(domain, order.uri),
    )
    wrapper_files.write_report(folder, report)
    exit_code = _run(Call(call.before, call.command, merged.words))
    if exit_code == 0:
        return 0
    found = _settle(domain, order.uri, destination)
    if found.where == location.HERE:
        return max(exit_code, 1)  # negative: ended by a signal
    if found.where == location.THERE:
        note = f"virsh migrate ended with {exit_code}, but the VM has arrived ({found.message})"
        with contextlib.suppress(OSError):  # a full disk must not turn the answer round
            wrapper_files.write_report(folder, report._replace(notes=[*report.notes, note]))
            sys.stderr.write(f"error: {note}\n")
        return 0
    return _prevent_cleanup(folder, order.driver, f"virsh migrate ended with {exit_code}; {found.message}")


def _remove_from_destination(folder: str, order: wrapper_files.Order, call: Call) -> int:
    domain = "".join(virsh_options.positional(call.words)[:1])
    found = _settle(domain, order.uri, call.uri)
    if found.where != location.HERE:
        why = f"OpenNebula's script wanted to {call.command} it; {found.message}"
        return _prevent_cleanup(folder, order.driver, why)
    return _become_virsh(call)


def _settle(domain: str, here: str, there: str) -> location.Location:
    def states() -> Tuple[State, State]:
        return virsh.state(domain, here), virsh.state(domain, there)

    def active() -> bool:
        job = virsh.job(domain, here)
        return job is None or job.active

    return location.settle(states, active, _SETTLE)


def _prevent_cleanup(folder: str, driver: int, why: str) -> int:
    """End OpenNebula's script before it deletes what may be the only copy; the driver reports it."""
    with contextlib.suppress(OSError):
        wrapper_files.write_report(folder, wrapper_files.read_report(folder)._replace(unsettled=why))
        sys.stderr.write(f"error: {why}: nothing is removed\n")
        sys.stderr.flush()
    if not _in_our_group(driver):
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getppid(), signal.SIGKILL)
    return 1


def _in_our_group(process: int) -> bool:
    try:
        return os.getpgid(process) == os.getpgrp()
    except ProcessLookupError:
        return False


def _become_virsh(call: Call) -> int:
    os.execvp("virsh", call.argv)  # noqa: S606 (no shell is wanted; PATH is the node's)
    return 127


def _run(call: Call) -> int:
    """Run virsh, which ends with us; return its exit code, negative for a signal."""
    process = subprocess.Popen(call.argv, preexec_fn=_die_with_parent)  # noqa: PLW1509 (one thread)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: process.send_signal(received))
    return process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PDEATHSIG, signal.SIGKILL)


def _disks_with_snapshots(domain: str, uri: str) -> bool:
    """Tell whether OpenNebula copies a disk again after the migration; in doubt it does."""
    try:
        listed = run(["virsh", "--connect", uri, "domblklist", domain]).stdout
        paths = [line.split(None, 1)[1].strip() for line in listed.splitlines()[2:] if len(line.split()) > 1]
        files = [path for path in paths if os.path.isfile(path) and not os.path.islink(path)]
        return any(_has_snapshots(path) for path in files)
    except (CommandError, ValueError):
        return True


def _has_snapshots(path: str) -> bool:
    shown = run(["qemu-img", "info", "--force-share", "--output", "json", path]).stdout
    return bool(json.loads(shown).get("snapshots"))


def _fail(why: str) -> int:
    sys.stderr.write(f"error: {why}\n")
    return 1

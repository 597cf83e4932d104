"""What libvirt reports about a VM, through virsh: its state and its migration job."""

import re
from typing import Dict, NamedTuple, Optional

from .commands import run
from .errors import CommandError

URI = "qemu:///system"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_FIGURE = re.compile(r"([0-9.]+)\s*(\w*)")


class State(NamedTuple):
    """`virsh domstate --reason`: ("running", "booted"); ("absent", "") without a domain, ("unknown", why)."""

    name: str
    reason: str

    @property
    def postcopy(self) -> bool:
        """Tell whether a part of the VM's memory is on either side: nothing may be taken away now."""
        return "post-copy" in self.reason

    @property
    def failed_postcopy(self) -> bool:
        """Whether post-copy broke: a part of the memory is on each side, and libvirt cannot continue."""
        return "post-copy failed" in self.reason

    @property
    def incoming(self) -> bool:
        """Tell whether this is a destination whose memory is still arriving (or a source at its very end)."""
        return self.name == "paused" and self.reason in ("migrating", "starting up")

    @property
    def paused_by_a_person(self) -> bool:
        """Tell whether a person suspended the VM (libvirt reports an arrival with --suspend alike)."""
        return self.name == "paused" and self.reason == "user"


class Job(NamedTuple):
    """`virsh domjobinfo`, in bytes and milliseconds; None where it has no value."""

    active: bool  # a migration is under way
    processed: Optional[int] = None
    remaining: Optional[int] = None
    elapsed: Optional[int] = None
    downtime: Optional[int] = None  # without what the hosts' clocks differ by


def state(domain: str, uri: str = URI, timeout: float = 15.0) -> State:
    """Ask for a domain's state."""
    try:
        done = run(["virsh", "--connect", uri, "domstate", "--reason", domain], timeout, check=False)
    except CommandError as error:
        return State("unknown", str(error))
    return read_state(done.exit_code, done.stdout, done.stderr)


def read_state(exit_code: int, stdout: str, stderr: str) -> State:
    """Parse domstate's answer."""
    if exit_code:
        if "failed to get domain" in stderr or "Domain not found" in stderr:
            return State("absent", "")
        return State("unknown", stderr.strip()[-300:])
    name, _, reason = stdout.strip().partition("(")
    name = name.strip()
    return State("absent" if name == "shut off" else name, reason.rstrip(")"))


def job(domain: str, uri: str = URI, completed: bool = False) -> Optional[Job]:
    """Ask for the domain's job, or with `completed` for its last one; None when libvirt does not answer."""
    argv = ["virsh", "--connect", uri, "domjobinfo", domain] + (["--completed"] if completed else [])
    try:
        done = run(argv, timeout=10)
    except CommandError:
        return None
    return read_job(done.stdout)


def read_job(text: str) -> Job:
    """Parse domjobinfo's table ("Data processed:   12.345 MiB")."""
    rows: Dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            rows[key.strip().lower()] = value.strip()
    running = rows.get("job type", "None") not in ("None", "Completed", "Failed", "Cancelled")
    return Job(
        running and "migration" in rows.get("operation", "migration").lower(),  # not a backup
        _figure(rows.get("data processed")),
        _figure(rows.get("data remaining")),
        _figure(rows.get("time elapsed")),
        _figure(rows.get("downtime w/o network", rows.get("total downtime"))),
    )


def abort(domain: str, uri: str = URI) -> bool:
    """End the domain's job; the VM stays where it is. Return whether libvirt agreed."""
    try:
        return run(["virsh", "--connect", uri, "domjobabort", domain], timeout=10, check=False).exit_code == 0
    except CommandError:
        return False


def postcopy(domain: str, uri: str = URI) -> bool:
    """Let the VM run on the destination, its memory follows. Return whether libvirt agreed."""
    argv = ["virsh", "--connect", uri, "migrate-postcopy", domain]
    try:
        return run(argv, timeout=10, check=False).exit_code == 0
    except CommandError:
        return False


def resume(domain: str, uri: str = URI) -> bool:
    """Resume a paused VM. Return whether libvirt agreed."""
    try:
        return run(["virsh", "--connect", uri, "resume", domain], timeout=15, check=False).exit_code == 0
    except CommandError:
        return False


def destroy(domain: str, uri: str = URI) -> bool:
    """End the domain. Return whether libvirt agreed."""
    try:
        return run(["virsh", "--connect", uri, "destroy", domain], timeout=30, check=False).exit_code == 0
    except CommandError:
        return False


def _figure(text: Optional[str]) -> Optional[int]:
    match = _FIGURE.match(text or "")
    return int(float(match.group(1)) * _UNITS.get(match.group(2), 1)) if match else None

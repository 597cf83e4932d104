"""What the driver and the virsh wrapper tell each other: two files in a private folder of one migration.

The driver writes the order before OpenNebula's own migrate starts; the wrapper writes the report. The script
between them discards what a successful virsh prints and, in old Rubies, closes inherited descriptors.
"""

import contextlib
import json
import os
import shutil
import tempfile
from typing import Any, Dict, NamedTuple, Optional, Sequence

from . import refcount
from .virsh_options import Tunnel, Wishes

VARIABLE = "ONEXT_MIGRATION"  # the environment variable that names the folder
PREFIX = "run-"


class Order(NamedTuple):
    """What the wrapper has to know."""

    driver: int  # process id
    driver_start: str  # its start time: process ids are used again
    uri: str  # libvirt on this host
    shared: bool  # the disks are on shared storage
    kvmrc: str  # MIGRATE_OPTIONS
    wishes: Wishes
    tunnel: Tunnel


class Report(NamedTuple):
    """What the wrapper did."""

    called: bool = False  # `virsh migrate` came to the wrapper
    postcopy: bool = False  # the command allows post-copy
    notes: Sequence[str] = ()  # lines for the VM's log
    refused: str = ""  # why it did not start virsh
    snapshots: Optional[bool] = None  # a local disk has snapshots that are copied after the migration
    unsettled: str = ""  # why OpenNebula's clean-up of the destination was prevented


def create(order: Order) -> str:
    """Write the order to a new folder and return its path; raise OSError or TunnelError."""
    refcount.ensure_folder(refcount.FOLDER)
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{order.driver}-", dir=refcount.FOLDER)
    _write(
        folder, "order", {**dict(order._asdict()), "wishes": list(order.wishes), "tunnel": list(order.tunnel)}
    )
    return folder


def read_order(folder: str) -> Order:
    """Return the order; raise OSError or ValueError."""
    found = _read(folder, "order")
    found["wishes"], found["tunnel"] = Wishes(*found["wishes"]), Tunnel(*found["tunnel"])
    return Order(**found)


def write_report(folder: str, report: Report) -> None:
    """Replace the report in one step; raise OSError."""
    _write(folder, "report", dict(report._asdict()))


def read_report(folder: str) -> Report:
    """Return the report; a missing report means that nothing was called."""
    try:
        found = _read(folder, "report")
        found["notes"] = tuple(map(str, found["notes"]))
        return Report(**found)
    except (OSError, ValueError, TypeError, KeyError):
        return Report()


def remove(folder: str) -> None:
    """Remove the folder."""
    shutil.rmtree(folder, ignore_errors=True)


def reap() -> None:
    """Remove what killed drivers left."""
    with contextlib.suppress(OSError):
        for name in os.listdir(refcount.FOLDER):
            process = name[len(PREFIX) :].partition("-")[0]
            if name.startswith(PREFIX) and not (process.isdigit() and os.path.exists("/proc/" + process)):
                remove(os.path.join(refcount.FOLDER, name))


def process_start(process: int) -> str:
    """Return when a process started (clock ticks since boot), "" when it has ended."""
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _write(folder: str, name: str, content: Dict[str, Any]) -> None:
    path = os.path.join(folder, name)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w") as file:
        json.dump(content, file)
    os.rename(temporary, path)


def _read(folder: str, name: str) -> Dict[str, Any]:
    with open(os.path.join(folder, name)) as file:
        content = json.load(file)
    if not isinstance(content, dict):
        raise ValueError(f"{name}: not an object")  # noqa: TRY004 (what a caller catches for broken content)
    return content

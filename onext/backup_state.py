"""Last backups and restores of VMs, for the exporter: what a hook of OpenNebula 7.4 keeps in state.json.

The file (metrics/backup_restore_metrics.rb of OpenNebula writes it) is in oneadmin's folder, which the
exporter's user cannot enter: the worker hands its figures on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onext import metrics

PART = "backups"
FILE = "state.json"  # below /var/lib/one
_LARGEST = 8_388_608  # bytes
_MOST = 50_000  # VMs
_NAMES = (
    ("backup_status", "opennebula_vm_backup_last_status", "Last backup of the VM: 1 done, 0 failed."),
    ("backup_ts", "opennebula_vm_backup_last_timestamp", "Unix time of the VM's last backup."),
    ("restore_status", "opennebula_vm_restore_last_status", "Last restore of the VM: 1 done, 0 failed."),
    ("restore_ts", "opennebula_vm_restore_last_timestamp", "Unix time of the VM's last restore."),
)
_log = logging.getLogger("onext.metrics")


def hand_on(one_var: Path, folder: Path) -> None:
    """Write the figures of `one_var/state.json` for the exporter; without the file there is nothing to do."""
    file = one_var / FILE
    if file.is_file():
        metrics.write(folder, PART, families(file))


def families(file: Path) -> list[metrics.Family]:
    """Return the four metrics of a state.json; a missing or non-numeric key produces no sample."""
    vms = list(_vms(file).values())[:_MOST]
    found = []
    for key, name, text in _NAMES:
        samples = [
            ({"one_vm_id": str(number), "one_vm_name": str(vm.get("vm_name", "unknown"))[:256]}, float(value))
            for vm in vms
            if isinstance(vm, dict)
            and (number := _whole(vm.get("vm_id"))) is not None
            and (value := _whole(vm.get(key))) is not None
        ]
        found.append(metrics.Family(name, "gauge", text, samples))
    return found


def _vms(file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
        document = json.loads(text) if len(text) <= _LARGEST else {}
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s: no backups and restores can be shown: %s", file, error)
        return {}
    return document if isinstance(document, dict) else {}


def _whole(value: object) -> int | None:
    """Return a number of the file, which writes some as text."""
    text = str(value)
    return (
        int(text)
        if isinstance(value, (int, str)) and text.isascii() and text.isdigit() and len(text) < 13
        else None
    )

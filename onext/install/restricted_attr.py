"""The lines of oned.conf that keep tenants from setting what administrators set for VMs: text in, text out.

Pins and restart priorities count only when an administrator set them, so oned must refuse them from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

ATTRIBUTES = {
    "ONEXT_POWER_PIN": "pins of VMs are ignored",
    "ONEXT_HA_PRIORITY": "restart priorities of VMs are ignored",
    "ONEXT_HA_ACTION": "actions of VMs after a host's failure are ignored",
    "ONEXT_HA_READY": "readiness checks of VMs after a restart are ignored",
}
_MARK = "# onext: install.sh --uninstall takes the next line out\n"
_LINE = re.compile(r'(?m)^\s*VM_RESTRICTED_ATTR\s*=\s*"([^"]*)"[^\n]*\n?')


def problems(text: str) -> list[str]:
    """Return what is missing, in words; nothing when all is well."""
    return [f"{name} is not a VM_RESTRICTED_ATTR: {ATTRIBUTES[name]}" for name in _missing(text)]


def add(text: str) -> str:
    """Return the text with the attributes restricted, after the last line of its kind."""
    ours = "".join(_ours(name) for name in _missing(text))
    if not ours:
        return text
    last = max((match.end() for match in _LINE.finditer(text)), default=len(text))
    before = text[:last]
    return before + ("" if before.endswith("\n") or not before else "\n") + ours + text[last:]


def remove(text: str) -> str:
    """Return the text as `add` got it; but for an end of line that its last line lacked."""
    for name in ATTRIBUTES:
        text = text.replace(_ours(name), "", 1)
    return text


def _missing(text: str) -> Iterator[str]:
    present = {match.group(1).strip().upper() for match in _LINE.finditer(text)}
    return (name for name in ATTRIBUTES if name not in present)


def _ours(name: str) -> str:
    return f'{_MARK}VM_RESTRICTED_ATTR = "{name}"\n'

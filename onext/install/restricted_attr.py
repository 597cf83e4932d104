"""The line of oned.conf that keeps tenants from pinning VMs: text in, text out.

ONEXT_POWER_PIN counts only when an administrator set it, so oned must refuse it from others.
"""

from __future__ import annotations

import re

ATTRIBUTE = "ONEXT_POWER_PIN"
_OURS = f'# onext: install.sh --uninstall takes the next line out\nVM_RESTRICTED_ATTR = "{ATTRIBUTE}"\n'
_LINE = re.compile(r'(?m)^\s*VM_RESTRICTED_ATTR\s*=\s*"([^"]*)"[^\n]*\n?')


def problems(text: str) -> list[str]:
    """Return what is missing, in words; nothing when all is well."""
    if any(match.group(1) == ATTRIBUTE for match in _LINE.finditer(text)):
        return []
    return [f"{ATTRIBUTE} is not a VM_RESTRICTED_ATTR: pins of VMs are ignored"]


def add(text: str) -> str:
    """Return the text with the attribute restricted, after the last line of its kind."""
    if not problems(text):
        return text
    last = max((match.end() for match in _LINE.finditer(text)), default=len(text))
    before = text[:last]
    return before + ("" if before.endswith("\n") or not before else "\n") + _OURS + text[last:]


def remove(text: str) -> str:
    """Return the text as `add` got it; but for an end of line that its last line lacked."""
    return text.replace(_OURS, "", 1)

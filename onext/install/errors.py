"""What ends an installation. Standard library only."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot continue; the message states what was wrong, where, and what to do."""

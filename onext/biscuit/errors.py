"""What can go wrong in `onext biscuit`; click shows the message as one line and exits with 1."""

from __future__ import annotations

import click


class BiscuitError(click.ClickException):
    """Base of the failures that the user can correct."""


class KeyUnreadable(BiscuitError):
    """A key file or text is not in a form that OpenNebula or the biscuit CLI writes."""


class TokenUnreadable(BiscuitError):
    """The input is not a biscuit token, or its signature does not match the key."""


class BadBlock(BiscuitError):
    """A block is not valid datalog."""


class ListUnusable(BiscuitError):
    """The revocation list is missing or cannot be written, or a revocation id is invalid."""

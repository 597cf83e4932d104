"""What can go wrong in `onext biscuit`; click shows the message as one line and exits with 1."""

from __future__ import annotations

import click


class BiscuitError(click.ClickException):
    """Any failure that the person at the keyboard can do something about."""


class KeyUnreadable(BiscuitError):
    """A key file or spelling is not one that OpenNebula or the biscuit CLI writes."""


class TokenUnreadable(BiscuitError):
    """What was given is not a biscuit token, or its signature does not fit the key."""


class BadBlock(BiscuitError):
    """A block is not datalog."""


class ListUnusable(BiscuitError):
    """The revocation list is missing, cannot be written, or an id is none."""

"""`onext power`: what is planned and why, what is done, and what it would bring."""

from __future__ import annotations

from hooks.power.commands.group import power

__all__ = ["power"]

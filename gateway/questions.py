"""What the process that decides on scoped tokens is asked, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

Facts = tuple[tuple[str, str, int], ...]  # operation, kind and id of each object


class Question(NamedTuple):
    """A token and every fact that it has to permit."""

    user: str
    token: str
    stored: str  # the user's public keys, as OpenNebula has them
    facts: Facts


class Answer(NamedTuple):
    """The composed token, or the reason for a refusal; `unknown`: the user did not sign this token."""

    token: str = ""
    refused: str = ""
    unknown: bool = False

"""The content of a token for people: its blocks, checks, revocation ids and expiry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from biscuit_auth import UnverifiedBiscuit

# The library prints values without escaping quotes: this text is for people, never for a decision.
_EXPIRY = re.compile(r"check if time\(\$(\w+)\), \$\1 (<=?) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_USER = re.compile(r'user\("([^"]*)"\)')


@dataclass(frozen=True)
class Block:
    """One block: number 0 is the authority block, the others only restrict."""

    number: int
    statements: tuple[str, ...]
    expires: datetime | None
    revocation_id: str

    @property
    def title(self) -> str:
        """Return the origin of the block."""
        return "authority, signed by the user's key" if self.number == 0 else "added later, can only restrict"


@dataclass(frozen=True)
class Token:
    """The content of a token; nothing is verified."""

    blocks: tuple[Block, ...]

    @property
    def users(self) -> tuple[str, ...]:
        """The users that the authority block states."""
        return tuple(m[1] for s in self.blocks[0].statements if (m := _USER.fullmatch(s)))

    @property
    def expires(self) -> datetime | None:
        """When the first of its blocks expires, or None."""
        return min((block.expires for block in self.blocks if block.expires), default=None)


def read(token: UnverifiedBiscuit) -> Token:
    """Return the content of a token."""
    ids = token.revocation_ids
    return Token(tuple(_block(number, token.block_source(number), ids[number]) for number in range(len(ids))))


def left(expires: datetime | None, now: datetime) -> str:
    """Return when a token expires, in words."""
    if expires is None:
        return "never expires"
    seconds = int((expires - now).total_seconds())
    return f"expired {_span(-seconds)} ago" if seconds < 0 else f"valid for {_span(seconds)}"


def stamp(moment: datetime) -> str:
    """Return a time as text."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _block(number: int, source: str, revocation_id: str) -> Block:
    statements = tuple(line.strip() for line in source.split(";\n") if line.strip())
    ends = [_moment(match) for s in statements if (match := _EXPIRY.fullmatch(s))]
    return Block(number, statements, min(ends, default=None), revocation_id)


def _moment(match: re.Match[str]) -> datetime:
    return datetime.strptime(match[3], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def _span(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

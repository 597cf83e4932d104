"""Creating and attenuating tokens, and reading them from files and standard input."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from biscuit_auth import (
    Biscuit,
    BiscuitBlockError,
    BiscuitBuilder,
    BiscuitBuildError,
    BiscuitValidationError,
    BlockBuilder,
    DataLogError,
    PrivateKey,
    PublicKey,
    UnverifiedBiscuit,
)

from onext.biscuit.errors import BadBlock, BiscuitError, TokenUnreadable

# The same text as `biscuit generate --add-ttl`, so that every tool shows it as an expiry.
EXPIRY = "check if time($time), $time <= {expires}"
STDIN = "-"
JOIN = "onext-edge:"  # begins a join token (edge/word.py)
_LONGEST_NAME = 200  # characters of a file's name in a message
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:\d+[wdhms])+")


def mint(private: PrivateKey, user: str, expires: datetime | None, blocks: Sequence[str] = ()) -> Biscuit:
    """Return a token that states `user`, ends at `expires`, and is attenuated by `blocks`."""
    builder = BiscuitBuilder("user({user})", {"user": user})
    if expires is not None:
        builder.add_code(EXPIRY, {"expires": expires})
    return attenuate(builder.build(private), None, blocks)


def attenuate(token: Biscuit, expires: datetime | None, blocks: Sequence[str]) -> Biscuit:
    """Return the token with one more block for the expiry and one for each of `blocks`."""
    try:
        if expires is not None:
            token = token.append(BlockBuilder(EXPIRY, {"expires": expires}))
        for block in blocks:
            token = token.append(BlockBuilder(block))
    except DataLogError as error:
        raise BadBlock(f"not datalog, such as 'check if true': {_short(error)}") from None
    except (BiscuitBlockError, BiscuitBuildError, BiscuitValidationError) as error:
        raise BiscuitError(f"no block can be added to the token (is it sealed?): {_short(error)}") from None
    return token


def read(source: str | None) -> str:
    """Return the token in a file, on standard input (`-`), or, without a source, in ONE_AUTH's file."""
    return normal(written(source))


def written(source: str | None) -> str:
    """Return what a file, standard input (`-`), or, without a source, ONE_AUTH's file holds.

    A file may hold the token alone or `user:token`, as one_auth does. Tokens are never command-line
    arguments, which every user of the machine can see.
    """
    path = Path(source) if source else one_auth()
    try:
        text = sys.stdin.read() if source == STDIN else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        name = str(path) if len(str(path)) < _LONGEST_NAME else "the argument"  # it may be a token
        raise TokenUnreadable(f"{name}: {reason}; give a file with the token, or - to paste it") from None
    return text


def join_word(text: str, token: Biscuit) -> str | None:
    """Return an edge node's join token with another biscuit; None if `text` is not a join token."""
    head = "".join(text.split()).rpartition(":")[0]
    return f"{head}:{token.to_base64()}" if head.startswith(JOIN) else None


def normal(text: str) -> str:
    """Return a token in the library's base64 alphabet, from any of its usual forms."""
    return text.strip().rpartition(":")[2].replace("+", "-").replace("/", "_")


def one_auth() -> Path:
    """Return the file from which `oneuser`, pyone and other clients read user and token."""
    return Path(os.environ.get("ONE_AUTH") or Path.home() / ".one/one_auth")


def unverified(text: str) -> UnverifiedBiscuit:
    """Return a token without checking its signature."""
    try:
        return UnverifiedBiscuit.from_base64(text)
    except BiscuitValidationError:
        raise TokenUnreadable("not a biscuit token, or cut or altered") from None


def verified(text: str, keys: Sequence[PublicKey]) -> Biscuit:
    """Return a token that one of `keys` signed."""
    unverified(text)
    for key in keys:
        try:
            return Biscuit.from_base64(text, key)
        except BiscuitValidationError:
            continue
    raise TokenUnreadable("the token is not signed by this key, or was altered since")


def duration(text: str) -> timedelta:
    """Return a time such as `90s`, `1h30m` or `2w`; raise ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text}: not a duration such as 30m, 1h30m or 2d")
    units: dict[str, int] = {}
    for number, unit in re.findall(r"(\d+)([wdhms])", text):
        units[_UNITS[unit]] = units.get(_UNITS[unit], 0) + int(number)
    try:
        length = timedelta(**units)
    except OverflowError:
        raise ValueError(f"{text}: too long") from None
    if not timedelta(0) < length <= timedelta(days=36525):
        raise ValueError(f"{text}: a duration must be more than 0 and at most 100 years")
    return length


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""What an armed node reports about itself, read from a sealed message."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hooks.availability.lease.onext_lease.lease import LONGEST_LEASE, Message, seal, unseal, whole
from onext import bounds

_HEX = re.compile(r"[0-9a-f]{32}")
_BOOT = re.compile(r"[0-9a-f-]{36}")
_LATEST = 1 << 60


@dataclass(frozen=True, slots=True)
class Challenge:
    """A node's answer: which start of its daemon, which boot, and whether the watchdog is held.

    `sent` is in ms of the node's own clock, `watchdog` in seconds.
    """

    session: str
    sent: int
    boot: str
    held: bool
    reason: str
    watchdog: float
    disarmed: bool


def read(key: bytes, host: int, nonce: str, data: bytes) -> Challenge | None:
    """Return a host's answer to the hello with this nonce, None for anything else."""
    message = unseal(key, data)
    if message is None or (message.get("kind"), message.get("host"), message.get("nonce")) != (
        "challenge", host, nonce,
    ):  # fmt: skip
        return None
    try:
        return Challenge(
            _matching(message, "session", _HEX), whole(message, "sent", _LATEST),
            _matching(message, "boot", _BOOT), _true(message, "held"),
            bounds.words(str(message.get("reason", ""))[:400], 200),
            whole(message, "watchdog", LONGEST_LEASE) / 1000, _true(message, "disarmed"),
        )  # fmt: skip
    except ValueError:
        return None


def _matching(message: Message, name: str, pattern: re.Pattern[str]) -> str:
    value = message.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(name)
    return value


def _true(message: Message, name: str) -> bool:
    value = message.get(name)
    if not isinstance(value, bool):
        raise ValueError(name)  # noqa: TRY004 - of a message, not of our own
    return value


def hello(key: bytes, host: int, nonce: str) -> bytes:
    """Return the question for a host."""
    return seal(key, {"kind": "hello", "host": host, "nonce": nonce})


def grant(key: bytes, host: int, answered: Challenge, epoch: int, lease: float) -> bytes:
    """Return a grant of `lease` seconds that answers a challenge."""
    return seal(key, _answer("grant", host, answered, epoch) | {"lease": int(lease * 1000)})


def disarm(key: bytes, host: int, answered: Challenge, epoch: int, nonce: str) -> bytes:
    """Return the order to feed the watchdog without grants from now on."""
    return seal(key, _answer("disarm", host, answered, epoch) | {"nonce": nonce})


def _answer(kind: str, host: int, answered: Challenge, epoch: int) -> Message:
    return {
        "kind": kind,
        "host": host,
        "session": answered.session,
        "sent": answered.sent,
        "epoch": epoch,
    }

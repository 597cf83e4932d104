"""The lease of one node: sealed messages, and until when this node may run VMs. Pure; Python 3.6.

Every message is sealed with the node's own key (HMAC-SHA256). Four kinds:

  hello      front-end: which instance answers?            nonce
  challenge  node: this one; its time `sent` counts        nonce, session, sent, boot, held, reason, ...
  grant      front-end: run VMs for `lease` after `sent`   session, sent, epoch, lease
  disarm     front-end: feed the watchdog without grants   session, sent, epoch, nonce

Times are milliseconds of the node's CLOCK_BOOTTIME, which counts while the machine is suspended. A grant
counts from the moment at which the node sent the challenge that it answers: late, doubled or replayed grants
extend nothing. A session is one start of the program, so that grants to an earlier one count for nothing. An
epoch lower than one that was seen comes from a front-end that no longer leads.
"""

import hashlib
import hmac
import json
from typing import Any, Dict, Optional

MAGIC = b"onext-lease 1 "
LARGEST = 1200  # bytes of a message: it fits one datagram
LONGEST_LEASE = 3600 * 1000
NO_GRANT = "no grant yet"  # the reason of a program that has not touched the watchdog
DISARM_WITHIN = 60 * 1000  # after the challenge that a disarm answers

Message = Dict[str, Any]


def seal(key: bytes, message: Message) -> bytes:
    """Return a message as it is sent."""
    body = json.dumps(message, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + hmac.new(key, body, hashlib.sha256).hexdigest().encode() + b" " + body


def unseal(key: bytes, data: bytes) -> Optional[Message]:
    """Return a message that was sealed with this key, None for anything else."""
    if len(data) > LARGEST or not data.startswith(MAGIC):
        return None
    code, _, body = data[len(MAGIC) :].partition(b" ")
    if not hmac.compare_digest(code, hmac.new(key, body, hashlib.sha256).hexdigest().encode()):
        return None
    try:
        message = json.loads(body.decode())
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def whole(message: Message, name: str, most: int) -> int:
    """Return an integer of a message within [0, most]; raise ValueError."""
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} is not a number within range")
    return value


class Lease:
    """What one node may do now. Every argument `now` and every time is in ms of CLOCK_BOOTTIME.

    `until` is None before the first grant. `ended` is final: a node whose lease ended resets.
    """

    def __init__(self, host: int, key: bytes, session: str, boot: str) -> None:
        self.host, self.key, self.session, self.boot = host, key, session, boot
        self.until = None  # type: Optional[int]
        self.lease = 0  # ms, as last granted
        self.epoch = 0
        self.held = False  # the watchdog is open and cannot be stopped
        self.reason = NO_GRANT  # why it is not held
        self.watchdog = 0  # ms until the watchdog resets a node that does not feed it
        self.ended = False
        self.disarmed = False

    def answer(self, data: bytes, now: int) -> Optional[bytes]:
        """Take what came from the network and return what to reply, None for nothing."""
        message = unseal(self.key, data)
        if message is None or message.get("host") != self.host:
            return None
        try:
            if message.get("kind") == "hello":
                return self._challenge(message, now)
            if message.get("kind") == "grant":
                self._grant(message, now)
            if message.get("kind") == "disarm":
                return self._disarm(message, now)
        except ValueError:
            return None
        return None

    def _challenge(self, message: Message, now: int) -> bytes:
        nonce = message.get("nonce")
        if not isinstance(nonce, str) or len(nonce) > 64:
            raise ValueError("nonce")
        reply = {
            "kind": "challenge",
            "host": self.host,
            "nonce": nonce,
            "session": self.session,
            "sent": now,
            "boot": self.boot,
            "held": self.held and not self.ended,
            "reason": self.reason[:200],
            "watchdog": self.watchdog,
            "disarmed": self.disarmed,
        }
        return seal(self.key, reply)

    def _own(self, message: Message, now: int) -> int:
        """Return when the challenge that a message answers was sent; raise ValueError."""
        sent, epoch = whole(message, "sent", now), whole(message, "epoch", 1 << 60)
        if message.get("session") != self.session or epoch < self.epoch:
            raise ValueError("of another session, or of an earlier leader")
        self.epoch = epoch
        return sent

    def _grant(self, message: Message, now: int) -> None:
        sent, lease = self._own(message, now), whole(message, "lease", LONGEST_LEASE)
        until = sent + lease
        if self.ended or until <= now:
            return
        if self.until is None or until > self.until:
            self.until, self.lease = until, lease

    def _disarm(self, message: Message, now: int) -> Optional[bytes]:
        sent = self._own(message, now)
        if self.ended or now - sent > DISARM_WITHIN:
            return None
        self.disarmed = True
        return self._challenge(message, now)

    def granted(self, now: int) -> bool:
        """Return whether a grant counts now, without the time that the watchdog takes."""
        return not self.ended and self.until is not None and now < self.until

    def feeds(self, now: int) -> bool:
        """Return whether the watchdog may be fed now; once it may not, the lease has ended for good.

        Feeding stops as long before the end of the grant as the watchdog takes to reset the node.
        """
        if not self.held:
            return False
        if self.disarmed:
            return not self.ended
        if self.until is None or now >= self.until - self.watchdog:
            self.ended = True
        return not self.ended

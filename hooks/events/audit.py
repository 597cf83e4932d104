"""Who called which method of oned, from where, with which result: from the lines that oned logs of calls.

Two lines belong to each call (src/rm/RequestLogger.cc of OpenNebula):

    Sat Nov 28 19:11:57 2026 [Z0][ReM][D]: Req:8911 UID:0 IP:127.0.0.1 one.vm.action invoked 5f0c… 8911
    Sat Nov 28 19:11:57 2026 [Z0][ReM][D]: Req:8911 UID:0 one.vm.action result SUCCESS, 12

Parameters and results may hold passwords: nothing of them is read. Calls that only read are left out.

A user can make oned log lines of any text: messages of failures quote arguments, with their ends of lines.
So oned.conf has a secret word behind `invoked`, and a call is `verified` where its first line has that word
and agrees with the second.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from hooks.events.changes import PREFIX, Change
from hooks.events.facts import Facts, Object
from hooks.events.outbox import AUDITED

MOST = 4 << 20  # bytes of the log that one pass reads
_LONGEST_LINE = 4096
_MOST_OPEN = 10_000  # calls whose result was not logged yet
_MOST_FILES = 200  # in the log's folder, when a rotated log is looked for
_LINE = re.compile(
    rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} \[Z\d{1,9}\]\[ReM\]\[[DE]\]: "
    rb"Req:(?P<request>\d{1,19}) UID:(?P<user>-?\d{0,10})(?: IP:(?P<address>[0-9A-Fa-f.:]{0,45}))?"
    rb" (?P<method>one\.[a-z.]{1,40}) (?P<rest>invoked|result (?:SUCCESS|FAILURE))"
    rb"(?: (?P<word>[0-9a-f]{32}))?(?=[ ,\n]|$)"
)
_WORD = re.compile(r" invoked ([0-9a-f]{32})(?: |$)")
_READING = "info|infoextended|infoset|list|monitoring|accounting|showback|version|config|status"
_READS = re.compile(rf".*\.({_READING})")


class AuditError(Exception):
    """The log cannot be read; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log was read: the file by its inode, since rotation renames it, and bytes."""

    inode: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.inode}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read what __str__ wrote; None for anything else."""
        inode, _, offset = text.partition(":")
        if not (inode.isdecimal() and offset.isdecimal() and len(text) < 48):
            return None
        return cls(int(inode), int(offset))


@dataclass(frozen=True, slots=True)
class _Invoked:
    """The first line of a call; `known` where it has the secret word."""

    address: str = ""
    method: str = ""
    user: int = -1
    known: bool = False


@dataclass
class CallLog:
    """The log of oned on this server. Where it is read for the first time, it begins at its end."""

    path: Path
    word: str = ""  # the secret one of oned.conf; without it no call is verified
    _open: dict[bytes, _Invoked] = field(default_factory=dict)  # calls without a result, by request

    def read(self, before: Position | None) -> tuple[list[Change], Position]:
        """Return the calls since a position, oldest first, and the new position; raise AuditError."""
        try:
            with self.path.open("rb") as log:
                found = os.fstat(log.fileno())
                if before is None:
                    return [], Position(found.st_ino, found.st_size)
                rotated = before.inode != found.st_ino
                if rotated and (rest := self._rest_of_rotated(before)) is not None:
                    return rest
                start = 0 if rotated or before.offset > found.st_size else before.offset
                log.seek(start)
                block = _whole_lines(log.read(MOST))
        except OSError as error:
            raise AuditError(f"{self.path} cannot be read: {error.strerror}") from error
        return list(self._calls(block, found.st_ino, start)), Position(found.st_ino, start + len(block))

    def _rest_of_rotated(self, before: Position) -> tuple[list[Change], Position] | None:
        """Return what the former file still holds, None once it was read or where it is gone."""
        for path in sorted(islice(self.path.parent.glob(f"{self.path.name}*"), _MOST_FILES)):
            try:
                with path.open("rb") as log:
                    if os.fstat(log.fileno()).st_ino != before.inode:
                        continue
                    log.seek(before.offset)
                    block = _whole_lines(log.read(MOST))
            except OSError:
                continue
            if block:
                calls = list(self._calls(block, before.inode, before.offset))
                return calls, Position(before.inode, before.offset + len(block))
        return None

    def _calls(self, block: bytes, inode: int, start: int) -> Iterator[Change]:
        for offset, line in _lines(block):
            match = _LINE.match(line[:_LONGEST_LINE])
            if match is None:
                continue
            request, rest = match["request"], match["rest"]
            if rest == b"invoked":
                self._note(request, match)
                continue
            begun, method = self._open.pop(request, _Invoked()), match["method"].decode("ascii")
            if not _READS.fullmatch(method):
                verified = begun.known and (begun.method, begun.user) == (method, _user(match["user"]))
                facts: Facts = {
                    "method": method,
                    "uid": _user(match["user"]),
                    "address": begun.address,
                    "verified": int(verified),
                }
                yield _change(f"{inode}:{start + offset}", line, facts, rest)

    def _note(self, request: bytes, match: re.Match[bytes]) -> None:
        word = (match["word"] or b"").decode("ascii")
        known = bool(self.word) and hmac.compare_digest(word, self.word)
        if not known and self._open.get(request, _Invoked()).known:
            return  # a line of a user must not displace that of oned
        address, method = (match["address"] or b"").decode("ascii"), match["method"].decode("ascii")
        self._open.pop(request, None)
        self._open[request] = _Invoked(address, method, _user(match["user"]), known)
        while len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]


def secret_word(call_format: str) -> str:
    """Return the secret word of a LOG_CALL_FORMAT, empty without one."""
    found = _WORD.search(call_format)
    return found[1] if found else ""


def _user(text: bytes) -> int:
    return int(text) if text not in (b"", b"-") else -1


def _change(where: str, line: bytes, facts: Facts, rest: bytes) -> Change:
    digest = hashlib.sha256(where.encode() + b" " + line[:_LONGEST_LINE]).hexdigest()[:32]
    result = "success" if rest.endswith(b"SUCCESS") else "failure"
    whole: Facts = {**facts, "result": result, "logged": line[:24].decode("ascii")}
    return Change(digest, f"{PREFIX}.audit.{result}", Object(AUDITED, int(facts["uid"])), whole)


def _whole_lines(block: bytes) -> bytes:
    """Cut a line that is not complete yet; one that is longer than all that was read counts as complete."""
    end = block.rfind(b"\n") + 1
    return block[:end] if end or len(block) < MOST else block


def _lines(block: bytes) -> Iterable[tuple[int, bytes]]:
    offset = 0
    for line in block.split(b"\n"):
        yield offset, line
        offset += len(line) + 1

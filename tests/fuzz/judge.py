"""What the driver does with a document, and whether it may do that.

The driver's own code decides in a child of this process under its own guard; what it lets in is asked
again of the library, by way of another module.
"""

from __future__ import annotations

import base64
import os
import resource
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from xml.sax.saxutils import escape

from biscuit_auth import Biscuit, BiscuitValidationError, PublicKey

from onext.biscuit import policy
from tests.fuzz.mutation import P256, ROOT, USER

ACCEPTED, REFUSED, INTERNAL = 0, 1, 99
GUARDS = (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT)
KEYS = f"{str(ROOT.public_key).removeprefix('ed25519/')},{P256.public_key}"


class Fault(AssertionError):
    """The driver did what it must never do; the message holds the document."""


@dataclass
class Judge:
    """Runs the driver's code on documents and counts the outcomes."""

    driver: ModuleType
    revoked: Path
    seen: Counter[int] = field(default_factory=Counter)
    child: Child | None = None

    def token(self, token: bytes) -> int:
        """Judge one token under the user's key; return the outcome."""
        return self.secret(base64.urlsafe_b64encode(token).decode())

    def secret(self, secret: str) -> int:
        """Judge the text of a token."""
        outcome = self.document(document(USER, KEYS, secret))
        if outcome == ACCEPTED and not may_enter(secret):
            raise Fault(f"let in, and the library does not verify it: {secret}")
        return outcome

    def document(self, data: bytes) -> int:
        """Return what becomes of a document; raise Fault for a traceback or a run past the guard.

        Most end before the token's rules are run: that is cheap and bounded, and needs no child.
        """
        before = time.process_time()
        try:
            name, stored, secret = self.driver.fields(data)
            self.driver.checked_name(name)
            self.driver.verified(secret, stored)
        except self.driver.Refused:
            outcome = REFUSED
        except BaseException as error:
            raise Fault(f"{type(error).__name__}: {error}: {data!r}") from error
        else:
            outcome = self._decided(data)
        if time.process_time() - before > self.driver.MAX_CPU:
            raise Fault(f"{time.process_time() - before:.1f} s of CPU before the guard's limit: {data!r}")
        self.seen[outcome] += 1
        return outcome

    def _decided(self, data: bytes) -> int:
        if self.child is None:
            self.child = Child(self.driver, self.revoked)
        outcome = self.child.ask(data)
        if outcome < 0:
            self.child = None
        if outcome not in (ACCEPTED, REFUSED, *GUARDS):
            raise Fault(f"exit {outcome}: {data!r}")
        return outcome


class Child:
    """A process that decides one document after the other, each within the guard's limits; a bomb ends it."""

    def __init__(self, driver: ModuleType, revoked: Path) -> None:
        asked, self._question = os.pipe()
        self._answer, answered = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._question)
            os.close(self._answer)
            _serve(driver, revoked, asked, answered)
        os.close(asked)
        os.close(answered)

    def ask(self, data: bytes) -> int:
        """Return the exit code that the driver would have, or minus the signal that ended it."""
        os.write(self._question, len(data).to_bytes(4, "big") + data)
        answer = os.read(self._answer, 1)
        if answer:
            return answer[0]
        os.close(self._question)
        os.close(self._answer)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _serve(driver: ModuleType, revoked: Path, asked: int, answered: int) -> None:
    """Answer until there are no more questions; output of the library goes nowhere."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    driver.lower(resource.RLIMIT_DATA, 2 * driver.MAX_MEMORY, 2 * driver.MAX_MEMORY)
    while size := os.read(asked, 4):
        data = b""
        while len(data) < int.from_bytes(size, "big"):
            data += os.read(asked, int.from_bytes(size, "big") - len(data))
        # RLIMIT_CPU counts from the start of the process, in whole seconds.
        limit = int(time.process_time()) + driver.MAX_CPU + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        os.write(answered, bytes((_decide(driver, revoked, data),)))
    os._exit(0)


def _decide(driver: ModuleType, revoked: Path, data: bytes) -> int:
    """Do what the driver's `main` does, but tell an unexpected error from a refusal."""
    vars(driver).update(standard_input=lambda: data)
    try:
        driver.decide(str(revoked))
    except driver.Refused:
        return REFUSED
    except BaseException:  # noqa: BLE001 - the library's panic is no Exception
        return INTERNAL
    return ACCEPTED


def document(name: str, stored: str, secret: str) -> bytes:
    """Return the document as oned writes it."""
    values = {"USERNAME": name, "PASSWORD": stored, "SECRET": secret}
    lines = "".join(f"  <{key}>{escape(value)}</{key}>\n" for key, value in values.items())
    return f"<AUTHN>\n{lines}</AUTHN>".encode()


def may_enter(secret: str) -> bool:
    """Whether the library verifies the token with a key of ours, for our user, by another way than the driver."""
    text = secret.strip().removeprefix("biscuit:").replace("+", "-").replace("/", "_")
    return any(_enters(text, key) for key in (ROOT.public_key, P256.public_key))


def _enters(text: str, key: PublicKey) -> bool:
    try:
        policy.check(Biscuit.from_base64(text, key), USER)
    except (BiscuitValidationError, policy.Refused):
        return False
    return True

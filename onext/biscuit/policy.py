"""The driver's decision: the same policy, for users who verify a token before they log in.

The driver cannot share this code, because it imports nothing; tests compare the two.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitValidationError,
    Rule,
)

from onext.biscuit import revocation
from onext.biscuit.errors import BiscuitError

POLICY = "allow if user({name}); reject if time($a), time($b), $a != $b;"
MAX_TIME = timedelta(seconds=60)
MAX_CPU = 5.0  # seconds
_LONGEST = 4096  # bytes of a rule in words
_EXPIRED = re.compile(r"in block n°(\d+): check if time\(\$(\w+)\), \$\2 <=? ([-:.\w]+)")


class Refused(BiscuitError):
    """The driver would refuse this user; the message names the rule, as in oned.log."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"refused: {rule}")
        self.rule = rule


def check(token: Biscuit, user: str, revoked: Iterable[str] = ()) -> None:
    """Raise Refused when the driver would, for a token with a valid signature."""
    listed = {identifier.lower() for identifier in revoked}
    for number, identifier in enumerate(token.revocation_ids):
        if not listed.isdisjoint(revocation.forms(identifier)):
            raise Refused(f"revoked: block {number} is in the revocation list")
    builder = AuthorizerBuilder(POLICY, {"name": user})
    try:
        with _bound(builder):
            builder.build(token).authorize()
    except AuthorizationError as error:
        raise Refused(_reason(str(error))) from None
    except BiscuitValidationError:
        raise Refused("check: the token holds a rule that cannot be evaluated") from None


def refusal(token: Biscuit, user: str) -> str:
    """Return the rule by which the driver would refuse a token now, empty where it would not.

    A child process decides: a token that computes for too long ends the child, not the caller.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            check(token, user)
        except Refused as error:
            os.write(writing, error.rule.encode()[:_LONGEST])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        rule = answer.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    return (
        rule
        if os.WIFEXITED(status)
        else f"size: evaluating its checks takes more than {MAX_CPU:g} s of CPU time"
    )


def users(token: Biscuit) -> list[str]:
    """Return the users that the authority block states, asked of the library and not read from text."""
    builder = AuthorizerBuilder("allow if true")
    # Terms other than strings are kept out: reading a set or a map panics in biscuit-python 0.4.
    rule = Rule('found($name) <- user($name), $name.type() == "string"')
    with _bound(builder):
        return sorted(fact.terms[0] for fact in builder.build(token).query(rule))


@contextmanager
def _bound(builder: AuthorizerBuilder) -> Iterator[None]:
    """Give the builder the time and limits; end the process when a token computes for longer.

    The library checks its own limit between queries only, and lets no signal handler of Python run
    meanwhile, not even that of Ctrl-C: the default action of a timer is what ends a cross join.
    """
    limits = builder.limits()  # type: ignore[attr-defined]  # biscuit-python 0.4's stub omits it
    limits.max_time = MAX_TIME
    builder.set_limits(limits)  # type: ignore[attr-defined]
    builder.set_time()  # type: ignore[attr-defined]
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CPU)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _reason(message: str) -> str:
    verdict, _, failed = message.partition(", and the following checks failed: ")
    if "no matching policy" in verdict:
        return "user: the authority block does not state this user"
    if failed.startswith("Check n°0 in authorizer"):
        return "time: the authority block contains a time fact"
    if expired := _EXPIRED.search(failed):
        return f"expired: block {expired[1]} was valid until {expired[3]}"
    return f"check: {ascii(failed or verdict)[1:200]}"

"""Who a request is from: one credential, counted by user and by address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from starlette.requests import Request

from gateway import gate as module
from gateway import limits
from gateway.callers import Caller, Callers
from gateway.credentials import Credential
from gateway.gate import Gate
from gateway.limits import Buckets
from gateway.refusals import Forbidden, TooMany, Unauthorised, Unavailable
from gateway.rpc.table import Call, Resource
from gateway.scoped import Scopes
from gateway.sessions import Sessions
from tests.gateway.conftest import basic
from tests.gateway.test_sessions import Clock

PUBLIC, ALICE = Credential("public", "secret"), Credential("alice", "a")
CALLS = (Call("vm:info", (Resource("vm", 1),)),)


class Oned:
    """Everybody's password is right but `wrong`; it remembers how old an answer may be."""

    def __init__(self) -> None:
        self.ages: list[tuple[str, float | None]] = []

    async def of(self, credential: Credential, max_age: float | None = None) -> Caller:
        self.ages.append((credential.user, max_age))
        if credential.secret == "wrong":
            raise Unauthorised("no")
        if credential.secret == "down":
            raise Unavailable("later")
        return Caller(credential, 7, credential.user, frozenset({1}))


class Trusting:
    """Composes a token for calls; a scoped one begins with `biscuit`."""

    def scoped(self, credential: Credential) -> bool:
        return credential.secret.startswith("biscuit")

    async def compose(self, credential: Credential, _calls: Sequence[Call]) -> Credential:
        return Credential(credential.user, "composed")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the allowances."""
    made = Clock()
    monkeypatch.setattr(limits, "time", made)
    return made


def made(requests: float = 100.0, public: Credential | None = None, scopes: object = None) -> Gate:
    """Return a gate."""
    scoped = cast("Scopes | None", scopes)
    return Gate(cast("Callers", Oned()), Sessions(8.0), Buckets(0.001, requests), public, scoped)


def request(*authorization: str, cookie: str = "", address: str | None = "192.0.2.1") -> Request:
    """Return a request."""
    headers = [(b"authorization", one.encode()) for one in authorization]
    headers += [(b"cookie", f"onext_session={cookie}".encode())] if cookie else []
    client = (address, 1) if address else None
    return Request({"type": "http", "headers": headers, "client": client})


def header(credential: Credential) -> str:
    """Return the header of a credential."""
    return basic(credential.session)["Authorization"]


def ask(gate: Gate, credential: Credential, address: str | None = "192.0.2.1") -> Caller:
    """Let a credential pass, or not."""
    return asyncio.run(gate.accept(credential, request(address=address)))


def test_a_header_counts_before_a_login_and_that_before_the_public_user() -> None:
    """A page would act as another user than the client named."""
    gate = made(public=PUBLIC)
    cookie = gate.sessions.begin(ALICE)
    bob = Credential("bob", "b")
    assert gate.credential(request(header(bob), cookie=cookie)) == bob
    assert gate.credential(request(cookie=cookie)) == ALICE
    assert gate.credential(request(cookie="other")) == PUBLIC
    assert gate.credential(request()) == PUBLIC
    with pytest.raises(Unauthorised, match="authenticate"):
        made().credential(request())


def test_two_headers_are_no_credential() -> None:
    """A proxy in between may have read the other one."""
    with pytest.raises(Unauthorised, match="one Authorization header"):
        made().credential(request(header(ALICE), header(ALICE)))


def test_a_scoped_token_needs_calls_that_it_permits() -> None:
    """Where no calls are stated it would be a password with all rights of its user."""
    gate, token = made(scopes=Trusting()), header(Credential("alice", "biscuit"))
    with pytest.raises(Forbidden, match="no scoped token"):
        asyncio.run(gate.caller(request(token)))
    caller = asyncio.run(gate.caller(request(token), CALLS))
    assert (caller.scoped, caller.credential.secret) == (True, "composed")
    plain = asyncio.run(gate.caller(request(header(ALICE)), CALLS))
    assert (plain.scoped, plain.credential) == (False, ALICE)
    without = asyncio.run(made().caller(request(token)))
    assert (without.scoped, without.credential.secret) == (False, "biscuit"), "this gateway has no key"


def test_guesses_are_counted_by_address(clock: Clock) -> None:
    """Passwords could be guessed; or one who guesses would keep out the others behind the same address."""
    gate = made()
    ask(gate, ALICE)
    for number in range(10):
        with pytest.raises(Unauthorised):
            ask(gate, Credential(f"user-{number}", "wrong"))
    with pytest.raises(TooMany) as found:
        ask(gate, Credential("bob", "b"))
    assert found.value.retry == 5.0
    assert ask(gate, ALICE).name == "alice", "accepted before"
    assert ask(gate, Credential("bob", "b"), "192.0.2.2").name == "bob"
    clock.now += 5.0
    assert ask(gate, Credential("dave", "d")).name == "dave"
    assert ask(gate, Credential("carol", "c"), None).name == "carol"


def test_only_refused_passwords_are_guesses() -> None:
    """A front-end that is down for a minute would lock everybody out for longer."""
    gate = made()
    for _ in range(20):
        with pytest.raises(Unavailable):
            ask(gate, Credential("alice", "down"))
    assert ask(gate, ALICE).name == "alice"


def test_a_user_has_a_number_of_requests() -> None:
    """One user would take oned's fifteen connections from all others."""
    gate = made(requests=2.0)
    for _ in range(2):
        ask(gate, ALICE)
    with pytest.raises(TooMany):
        ask(gate, ALICE, "192.0.2.9")


def test_an_answer_may_be_as_old_as_the_request_permits() -> None:
    """A change of rights would count seconds later where it has to count at once."""
    gate = made()
    oned = cast("Oned", gate.callers)
    asyncio.run(gate.accept(ALICE, request(), 0.0))
    asyncio.run(gate.accept(ALICE, request()))
    assert oned.ages == [("alice", 0.0), ("alice", None)]


def test_credentials_that_were_accepted_are_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory has a bound, and who was accepted last is remembered."""
    monkeypatch.setattr(module, "_REMEMBERED", 2)
    gate = made()
    others = [Credential(f"user-{n}", "x") for n in range(2)]
    for credential in (ALICE, others[0], ALICE, others[1]):
        ask(gate, credential)
    assert list(gate._accepted) == [ALICE.digest, others[1].digest]


def test_strangers_share_no_allowance() -> None:
    """One stranger would use up the public view for all of them; a user with two addresses has one allowance."""
    gate = made(2.0, PUBLIC)
    for _ in range(2):
        ask(gate, PUBLIC)
    with pytest.raises(TooMany):
        ask(gate, PUBLIC)
    ask(gate, PUBLIC, "192.0.2.2")
    user = Credential("public", "other")  # the same user with a login
    for address in ("192.0.2.1", "192.0.2.2"):
        ask(gate, user, address)
    with pytest.raises(TooMany):
        ask(gate, user, "192.0.2.3")

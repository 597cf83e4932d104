"""Who oned says a caller is: the user that the credential names, and nobody who acts for others."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.callers import SECONDS, Caller, Callers, accepted, require_person
from gateway.credentials import Credential
from gateway.oned_calls import OnedCalls
from gateway.refusals import Unauthorised

ALICE = Credential("alice", "a")


def user(**changes: str) -> bytes:
    """Return what oned answers about a user."""
    values = {"ID": "7", "GID": "100", "NAME": "alice", "ENABLED": "1", "AUTH_DRIVER": "core", **changes}
    fields = "".join(f"<{tag}>{text}</{tag}>" for tag, text in values.items())
    return f"<USER>{fields}<GROUPS><ID>100</ID><ID>101</ID><ID>x</ID></GROUPS></USER>".encode()


def test_a_caller_is_who_oned_says() -> None:
    """A user would see what another group may see, or lose what the own one may."""
    assert accepted(user(), ALICE) == Caller(ALICE, 7, "alice", frozenset({100, 101}))
    assert accepted(user(GID="1"), ALICE).group_ids == {1, 100, 101}
    assert accepted(user(GID="x", ID="0"), ALICE) == Caller(ALICE, 0, "alice", frozenset({100, 101}))
    assert accepted(user(ID=str(2**31), GID="0"), ALICE).group_ids == {0, 100, 101}
    groups = b"".join(b"<ID>%d</ID>" % number for number in (-1, 0, 2**31, 2**31 + 1))
    assert accepted(user().replace(b"<ID>100</ID>", groups), ALICE).group_ids == {0, 100, 101, 2**31}


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (user(NAME="bob"), "does not accept"), (user(ID="x"), "does not accept"), (user(ID="-1"), "does not accept"),
        (user(ID=str(2**31 + 1)), "does not accept"), (b"<USER>", "does not accept"), (b"", "does not accept"),
        (user(AUTH_DRIVER="server_cipher"), "own servers"), (user(ENABLED="0"), "disabled"), (user(ENABLED=""), "disabled"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(element: bytes, reason: str) -> None:
    """A credential of OpenNebula's servers acts for any user; a disabled one must be out at once."""
    with pytest.raises(Unauthorised, match=reason):
        accepted(element, ALICE)


def test_servers_are_refused_before_oned_is_asked() -> None:
    """Their secret names another user behind their own: oned would answer about that one."""
    require_person(ALICE, {"bob"})
    for credential in (Credential("serveradmin", "x"), Credential("bob", "x")):
        with pytest.raises(Unauthorised, match="own servers"):
            require_person(credential, {"bob"})


@pytest.mark.parametrize(
    ("number", "groups", "scoped", "administrator"),
    [(0, {5}, False, True), (7, {0}, False, True), (7, {5}, False, False), (0, {0}, True, False), (7, {0}, True, False)],
)  # fmt: skip
def test_who_sees_everything(number: int, groups: set[int], scoped: bool, administrator: bool) -> None:
    """A token for one VM of an administrator would show all of the cloud."""
    assert Caller(ALICE, number, "alice", frozenset(groups), scoped).administrator is administrator
    assert Caller(ALICE, 7, "alice", frozenset({1})).scoped is False


class Calls:
    """oned, which remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def single(self, *words: object) -> bytes:
        self.asked.append(words)
        return user()


def test_oned_is_asked_once_in_a_few_seconds() -> None:
    """A page would be twenty logins at oned; where rights must be fresh it is asked anew."""
    calls = Calls()
    callers = Callers(cast("OnedCalls", calls), lambda: {"bob"})

    async def ask() -> None:
        for age in (SECONDS, SECONDS, -1.0):
            assert (await callers.of(ALICE, age)).id == 7
        await callers.of(ALICE)
        with pytest.raises(Unauthorised):
            await callers.of(Credential("bob", "x"))

    asyncio.run(ask())
    assert calls.asked == [(ALICE, "user.info", -1, False)] * 2

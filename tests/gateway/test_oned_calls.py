"""Calls to oned: what a client is told of a failure, and how many are made at once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.credentials import Credential
from gateway.oned_calls import OnedCalls, refusal
from gateway.refusals import Elsewhere, Forbidden, Missing, Refusal, Unauthorised, Unavailable
from onext.oned import errors


@pytest.mark.parametrize(
    ("error", "kind", "retry"),
    [
        (errors.Unauthenticated("secret"), Unauthorised, 0), (errors.Unauthorised("secret"), Forbidden, 0),
        (errors.NotFound("secret"), Missing, 0), (errors.TimedOut("secret"), Unavailable, 5),
        (errors.Unreachable("secret"), Unavailable, 5), (errors.Malformed("secret"), Unavailable, 0),
        (errors.OnedError("secret"), Forbidden, 0),
    ],
)  # fmt: skip
def test_a_client_is_told_the_kind_of_failure_only(
    error: errors.OnedError, kind: type[Refusal], retry: int
) -> None:
    """Details name addresses and other users; a client that is told to authenticate asks a person for nothing."""
    found = refusal(error)
    assert type(found) is kind
    assert found.retry == retry
    assert "secret" not in str(found)


def test_oned_has_a_bounded_time_and_number_of_calls() -> None:
    """Oned has fifteen connections for everybody: a gateway that takes all of them stops the cloud."""
    calls = OnedCalls("http://127.0.0.1:1/RPC2", 3, 20.0)
    source = calls.source(Credential("alice", "a"))
    assert (source.read_timeout, source.deadline) == (20.0, 40.0)

    async def limited() -> tuple[float, bool]:
        return calls.limiter.total_tokens, calls.limiter is calls.limiter

    assert asyncio.run(limited()) == (3, True)


def test_a_redirect_names_the_page_of_the_other_server() -> None:
    """A person would be sent to the address of a program."""
    assert Elsewhere("https://two.example:8444/v1/actions?x=1").origin == "https://two.example:8444/"
    assert (Elsewhere("x").status, Refusal("x").retry) == (307, 0.0)

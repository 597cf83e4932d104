"""The process that decides: it reads tokens within bounds, and has seconds for each decision."""

from __future__ import annotations

import resource
import signal
from multiprocessing.connection import Connection
from typing import Any, cast

import pytest
from biscuit_auth import BiscuitValidationError, BlockBuilder

from gateway import vouching
from gateway.questions import Answer, Question
from onext.biscuit import keys, tokens
from tests.gateway.test_scoped_tokens import GATEWAY, ONE_VM, STORED

PUBLIC = keys.stored(GATEWAY.public_key)
QUESTION = Question("dann1", ONE_VM.to_base64(), STORED, (("vm:info", "vm", 12),))


def test_a_tokens_length_and_blocks_are_those_of_opennebulas_driver() -> None:
    """A token that the driver refuses for its size would cost the gateway seconds of each minute."""
    token = ONE_VM
    while token.block_count() < 30:
        token = token.append(BlockBuilder("check if true"))
    assert vouching.trusts(token.to_base64(), PUBLIC)
    assert not vouching.trusts(token.append(BlockBuilder("check if true")).to_base64(), PUBLIC)
    assert (vouching.LONGEST, vouching.trusts("x" * 16_385, PUBLIC)) == (16_384, False)


def test_lengths_at_which_a_secret_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each password of each request would be read as a token."""
    read: list[int] = []

    class Unread:
        @staticmethod
        def from_base64(text: str) -> None:
            read.append(len(text))
            raise BiscuitValidationError

    monkeypatch.setattr(vouching, "UnverifiedBiscuit", Unread)
    monkeypatch.setattr(tokens, "normal", str)
    for size in (99, 100, 16_384, 16_385):
        assert not vouching.trusts("x" * size, PUBLIC)
    assert read == [100, 16_384]


def test_a_private_key_is_an_ed25519_one() -> None:
    """Tokens name the gateway by its key: one of another form would match nothing, for ever."""
    assert vouching.public_of(str(GATEWAY.private_key)) == PUBLIC.removeprefix("ed25519/")
    for text in ("", "x", "ed25519-private/00"):
        with pytest.raises(ValueError, match=r"."):
            vouching.public_of(text)


def test_a_sealed_token_is_refused_with_a_reason() -> None:
    """No block can be added to it: its holder would not learn why it never works."""
    bomb = ONE_VM.to_base64()[:-9]
    answer = vouching.decide(QUESTION._replace(token=bomb), GATEWAY.private_key)
    assert answer.unknown
    many = QUESTION._replace(facts=(*QUESTION.facts, ("vm:info", "vm", 13)))
    refused = vouching.decide(many, GATEWAY.private_key)
    assert (refused.token, refused.unknown) == ("", False)
    assert refused.refused.startswith("vm:info on vm 13: ")
    assert vouching.decide(QUESTION._replace(facts=()), GATEWAY.private_key) == Answer()


def test_it_answers_until_the_pipe_ends_and_limits_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """One token would take the gateway's memory, or its processor for hours."""
    done: list[object] = []
    left = [QUESTION, QUESTION]

    class Pipe:
        def recv(self) -> Question:
            if not left:
                raise EOFError
            return left.pop()

        def send(self, answer: Answer) -> None:
            done.append(bool(answer.token))

    def timer(which: int, seconds: float) -> None:  # the driver's policy has another one
        done.extend([(which, seconds)] if which == signal.ITIMER_PROF else [])

    monkeypatch.setattr(
        signal, "signal", lambda *words: done.append(words) if words[0] == signal.SIGPROF else None
    )
    monkeypatch.setattr(signal, "setitimer", timer)
    monkeypatch.setattr(resource, "setrlimit", lambda *words: done.append(words))
    vouching.serve(cast("Connection[Any, Any]", Pipe()), str(GATEWAY.private_key))
    one = [(signal.ITIMER_PROF, 2.0), (signal.ITIMER_PROF, 0), True]
    assert done == [
        (signal.SIGPROF, signal.SIG_DFL), (resource.RLIMIT_AS, (1 << 30, 1 << 30)), (resource.RLIMIT_CORE, (0, 0)),
        *one, *one,
    ]  # fmt: skip

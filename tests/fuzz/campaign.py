"""A fuzzing run by hypothesis: so many mutated tokens and documents, each judged."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import mutation
from tests.fuzz.judge import KEYS, Judge, document

CHANGES = 4  # alone and in pairs: twice as many mutated tokens from one example
_BASE64 = st.sampled_from("AZaz09-_+/= \n:ü\x00")


def tokens(judge: Judge, examples: int) -> int:
    """Judge at most `examples` x 2 x CHANGES mutated tokens; return how many there were."""
    count = 0

    @_many(examples)
    @given(
        st.sampled_from(mutation.CORPUS), st.lists(mutation.mutations(), min_size=CHANGES, max_size=CHANGES)
    )
    def run(token: bytes, changes: list[mutation.Mutation]) -> None:
        nonlocal count
        for mutant in mutation.steps(token, changes):
            judge.token(mutant)
            count += 1

    run()
    return count


def spellings(judge: Judge, examples: int) -> int:
    """Judge tokens whose base64 is damaged; return how many there were."""
    count = 0

    @_many(examples)
    @given(
        st.sampled_from(mutation.CORPUS),
        st.integers(0, 0xFFFF),
        st.text(_BASE64, max_size=6),
        st.integers(0, 4),
    )
    def run(token: bytes, where: int, put: str, gone: int) -> None:
        nonlocal count
        text = base64.urlsafe_b64encode(token).decode()
        position = where * len(text) // 0x10000
        judge.secret((text[:position] + put + text[position + gone :]).replace("\x00", ""))
        count += 1

    run()
    return count


def documents(judge: Judge, examples: int) -> int:
    """Judge damaged AUTHN documents; return how many there were."""
    good = [document(mutation.USER, KEYS, base64.urlsafe_b64encode(t).decode()) for t in mutation.CORPUS[:4]]
    tricks = [
        b"<!DOCTYPE AUTHN>", b"&amp;", b"&x;", b"<SECRET>", b"</SECRET>", b"<PASSWORD>-</PASSWORD>", b"<![CDATA[",
        b"]]>", b"<?x?>", b"<!---->", b"\xff", b"\x00", b"&#0;", b"&#13;", b"<USERNAME>dann1</USERNAME>",
    ]  # fmt: skip
    count = 0

    @_many(examples)
    @given(
        st.sampled_from(good),
        st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)), max_size=3),
        st.lists(st.tuples(st.integers(0, 0xFFFF), st.sampled_from(tricks)), max_size=3),
    )
    def run(data: bytes, damages: list[tuple[int, int]], put: list[tuple[int, bytes]]) -> None:
        nonlocal count
        for where, number in damages:
            data = mutation.damage(data, where, number) if data else data
        for where, trick in put:
            position = where * len(data) // 0x10000
            data = data[:position] + trick + data[position:]
        judge.document(data)
        count += 1

    run()
    return count


def _many(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

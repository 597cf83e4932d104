"""A short fuzzing run; `make fuzz` is the long one."""

from __future__ import annotations

import base64
from pathlib import Path
from types import ModuleType

import pytest
from biscuit_auth import BiscuitBuilder, BlockBuilder
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import campaign, mutation
from tests.fuzz.judge import ACCEPTED, GUARDS, KEYS, REFUSED, Fault, Judge, document, may_enter

from .conftest import Driver

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60)


@pytest.fixture
def judge(rules: ModuleType, tmp_path: Path) -> Judge:
    """Return the judge of the driver's code, with an empty revocation list."""
    revoked = tmp_path / "revoked"
    revoked.touch(0o640)
    return Judge(rules, revoked)


@given(TEXT, TEXT, TEXT)
def test_what_oned_writes_is_read_back(rules: ModuleType, name: str, stored: str, secret: str) -> None:
    """Some name, key or token is taken for another."""
    assert rules.fields(document(name, stored, secret)) == (name, stored, secret)


@pytest.mark.process
def test_mutated_tokens(judge: Judge) -> None:
    """A damaged token opens, or ends the driver by a traceback."""
    count = campaign.tokens(judge, 250)
    assert count >= 1000
    assert judge.seen[ACCEPTED] > 0
    assert judge.seen[REFUSED] > count / 2


@pytest.mark.process
def test_mutated_spellings_and_documents(judge: Judge) -> None:
    """Some base64 or XML opens, or ends the driver by a traceback."""
    assert campaign.spellings(judge, 200) + campaign.documents(judge, 400) >= 300
    assert judge.seen[REFUSED] > 0


@pytest.mark.process
def test_the_judge_sees_a_bomb_and_a_fault(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer is blind: it would not see a guard's signal, a wrong accept or a crash."""
    facts = "".join(f"n({number});" for number in range(40))
    body = ", ".join(f"n($x{number})" for number in range(8))
    bomb = BiscuitBuilder('user("dann1")').build(mutation.ROOT.private_key)
    bomb = bomb.append(BlockBuilder(f"{facts} check if {body}, $x0 + $x1 < 0"))
    assert judge.secret(bomb.to_base64()) in GUARDS
    good = base64.urlsafe_b64encode(mutation.CORPUS[0]).decode()
    assert judge.secret(good) == ACCEPTED
    monkeypatch.setattr(judge.driver, "POLICY", "allow if true")
    judge.child = None
    other = BiscuitBuilder('user("other")').build(mutation.ROOT.private_key).to_base64()
    with pytest.raises(Fault, match="let in"):
        judge.secret(other)
    monkeypatch.setattr(judge.driver, "readable", lambda _secret: 1 // 0)
    with pytest.raises(Fault, match="ZeroDivisionError"):
        judge.secret(good)


@pytest.mark.process
def test_mutants_through_the_real_process(driver: Driver) -> None:
    """What the process prints or returns is more than a line and 0, 1 or a guard's signal."""
    changes = [
        mutation.Mutation(kind, 7919 * i % 65536, 104729 * i)
        for i in range(6)
        for kind in sorted(mutation.KINDS)
    ]
    for mutant in mutation.steps(mutation.CORPUS[1], changes)[::2]:
        secret = base64.urlsafe_b64encode(mutant).decode()
        answer = driver.run(document(mutation.USER, KEYS, secret))
        assert answer.code in (ACCEPTED, REFUSED, *GUARDS)
        assert answer.stderr.count("\n") == (answer.code == REFUSED)
        assert "Traceback" not in answer.stderr
        assert "panicked" not in answer.stderr
        assert (answer.code == ACCEPTED) == (answer.stdout != "")
        assert answer.code != ACCEPTED or may_enter(secret)

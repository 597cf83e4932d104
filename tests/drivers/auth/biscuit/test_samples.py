"""The loader and its limits against the specification's own cases, and those through the driver process."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    BiscuitBuilder,
    BiscuitValidationError,
    BlockBuilder,
    DataLogError,
    KeyPair,
)

from .conftest import Driver


@dataclass(frozen=True)
class Outcome:
    """What a validation came to: the policy that allowed, or what refused."""

    policy: int | None
    error: str


def validate(rules: ModuleType, token: bytes, key: str, code: str) -> tuple[Outcome, list[str]]:
    """Load a token as the driver does and decide it with another authorizer under the driver's limits."""
    try:
        loaded, _ = rules.verified(base64.urlsafe_b64encode(token).decode(), key)
    except rules.Refused as refusal:
        return Outcome(None, f"Format {refusal}"), []
    try:
        builder = AuthorizerBuilder(code)
        builder.register_extern_func("test", _test)  # type: ignore[attr-defined]
        rules.limit(builder)
        return Outcome(builder.build(loaded).authorize(), ""), loaded.revocation_ids
    except (AuthorizationError, BiscuitValidationError, DataLogError) as error:
        return Outcome(None, str(error)), loaded.revocation_ids


def _test(left: object, right: object = None) -> object:
    """Return what case 35's external function does."""
    if right is None:
        return left
    return "equal strings" if left == right else "different strings"


def test_agrees_with_the_specification(rules: ModuleType, shared: Path) -> None:
    """A token that other tools accept is refused here, or the reverse."""
    folder = shared / "data/biscuit-samples"
    samples = json.loads((folder / "samples.json").read_text())
    count = 0
    for case in samples["testcases"]:
        token = (folder / case["filename"]).read_bytes()
        for name, validation in case["validations"].items():
            outcome, identifiers = validate(
                rules, token, samples["root_public_key"], validation["authorizer_code"]
            )
            _agree(case["filename"] + name, outcome, validation["result"])
            if not outcome.error.startswith("Format"):
                assert identifiers == validation["revocation_ids"]
            count += 1
    assert count == 50


def _agree(name: str, outcome: Outcome, expected: dict[str, Any]) -> None:
    if "Ok" in expected:
        assert outcome.policy == expected["Ok"], f"{name}: {outcome}"
    else:
        assert outcome.policy is None, name
        assert outcome.error.startswith("Format") == ("Format" in expected["Err"]), f"{name}: {outcome}"


@pytest.mark.process
def test_the_driver_refuses_all_of_them(driver: Driver, shared: Path) -> None:
    """A token that was made for something else logs somebody in."""
    folder = shared / "data/biscuit-samples"
    key = json.loads((folder / "samples.json").read_text())["root_public_key"]
    refused = 0
    for file in sorted(folder.glob("*.bc")):
        answer = driver.login("dann1", key, base64.urlsafe_b64encode(file.read_bytes()).decode())
        assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (1, "", 1), file.name
        refused += 1
    assert refused == 38


OWN = [
    (['right("f", "read")'], 'allow if right("f", "read")', 0),
    (['right("f", "read")'], 'deny if false; allow if right("f", "read")', 1),
    (['right("f", "read")'], "allow if false", None),
    (['right("f", "read")'], "", None),
    (['right("f", "read")', "check if false"], "allow if true", None),
    (['right("f", "read")', 'right("g", "read")'], 'allow if right("g", $any)', None),
    (["n(1)", "check all n($x), $x > 0"], "allow if true", 0),
    (["n(9223372036854775807)", "check if n($x), $x + 1 > 0"], "allow if true", None),
    (["n(1)", 'check if n($x), $x.extern::test(2) == "equal strings"'], "allow if true", None),
    (["n(1)", 'check if n($x), 1.extern::test(1) == "equal strings"'], "allow if true", 0),
    (["s([1, 2])", "check if [1, 2].all($x -> $x > 0)"], "allow if true", 0),
    (["t(1)", "reject if true"], "allow if true", None),
]


@pytest.mark.parametrize(("blocks", "code", "policy"), OWN)
def test_own_cases(rules: ModuleType, blocks: list[str], code: str, policy: int | None) -> None:
    """The same without the specification's files at hand."""
    root = KeyPair()
    token = BiscuitBuilder(blocks[0]).build(root.private_key)
    for block in blocks[1:]:
        token = token.append(BlockBuilder(block))
    outcome, identifiers = validate(rules, bytes(token.to_bytes()), str(root.public_key), code)
    assert outcome.policy == policy, outcome
    assert identifiers == token.revocation_ids

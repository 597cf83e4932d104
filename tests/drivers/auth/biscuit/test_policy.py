"""Who gets in: every row of the table of cases, on the real driver process and oned's recorded document."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from biscuit_auth import Algorithm, Biscuit, BiscuitBuilder, BlockBuilder, KeyPair, PrivateKey

from onext.biscuit import keys, policy, tokens
from onext.biscuit.errors import TokenUnreadable

from .conftest import Driver, in_an_hour

pytestmark = pytest.mark.process
SECP256R1 = PrivateKey("secp256r1-private/" + "17" * 32)
KNOWN = 'user("dann1");'


def token(root: KeyPair, authority: str = KNOWN, *blocks: str, **values: object) -> Biscuit:
    """Return a token of these blocks."""
    built = BiscuitBuilder(authority, values).build(root.private_key)
    for block in blocks:
        built = built.append(BlockBuilder(block, values if "{" in block else None))
    return built


def third_party(
    root: KeyPair, signer: KeyPair, authority: str = 'user("other")', added: str = KNOWN
) -> Biscuit:
    """Return a token to which a third party's block adds a user; by default ours to another's."""
    built = token(root, authority)
    block = built.third_party_request().create_block(signer.private_key, BlockBuilder(added))
    return built.append_third_party(signer.public_key, block)


def bare(root: KeyPair) -> str:
    """Return the public key as users of the reference have it."""
    return str(root.public_key).removeprefix("ed25519/")


ACCEPTED: dict[str, Callable[[KeyPair], Biscuit]] = {
    "the user alone": token,
    "good for an hour": lambda root: token(root, KNOWN + "check if time($t), $t < {e}", e=in_an_hour()),
    "attenuated": lambda root: token(root, KNOWN, "check if time($t), $t < {e}", e=in_an_hour()),
    "a check on the user": lambda root: token(root, KNOWN, 'check if user("dann1")'),
    "two users": lambda root: token(root, KNOWN + 'user("other")'),
    "a rule that derives the user": lambda root: token(root, 'staff("dann1"); user($u) <- staff($u)'),
    "a third party adds another user": lambda root: third_party(root, KeyPair(), KNOWN, 'user("other")'),
}

REFUSED: dict[str, tuple[str, Callable[[KeyPair], Biscuit]]] = {
    "another user": ("user:", lambda root: token(root, 'user("other")')),
    "no user": ("user:", lambda root: token(root, 'role("admin")')),
    "expired": ("expired: block 0", lambda root: token(root, KNOWN + "check if time($t), $t < {e}", e=in_an_hour(-1))),
    "expired later": ("expired: block 1", lambda root: token(root, KNOWN, "check if time($now), $now <= {e}", e=in_an_hour(-1))),
    "foreign": ("signature:", lambda _root: token(KeyPair())),
    "attenuated to nothing": ("check: ", lambda root: token(root, KNOWN, "check if false")),
    "attenuation adds the user": ("user:", lambda root: token(root, 'user("other")', KNOWN)),
    "attenuation derives the user": ("user:", lambda root: token(root, 'user("other")', 'user("dann1") <- user($any)')),
    "attenuation derives it from itself": ("user:", lambda root: token(root, 'user("other")', 'a(1); user("dann1") <- a(1)')),
    "trusting previous": ("user:", lambda root: token(root, 'user("other")', 'user("dann1") <- user($any) trusting previous')),
    "a third party": ("user:", lambda root: third_party(root, KeyPair())),
    "a third party with the root key": ("user:", lambda root: third_party(root, root)),
    "a check on the operation": ("check: ", lambda root: token(root, KNOWN, 'check if operation("read")')),
    "a check on the resource": ("check: ", lambda root: token(root, KNOWN + 'check if resource("vm")')),
    "two terms": ("user:", lambda root: token(root, 'user("dann1", "x")')),
    "a number": ("user:", lambda root: token(root, "user(1)")),
    "bytes": ("user:", lambda root: token(root, "user(hex:64616e6e31)")),
    "an old time of its own": ("time:", lambda root: token(root, KNOWN + "time(2020-01-01T00:00:00Z)", "check if time($t), $t < 2021-01-01T00:00:00Z")),
    "an old time of its own, unexpired": ("time:", lambda root: token(root, KNOWN + "time(2020-01-01T00:00:00Z)")),
    "reject if": ("check: ", lambda root: token(root, KNOWN, "reject if true")),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_lets_in(driver: Driver, root: KeyPair, case: str) -> None:
    """A user with a good token would stand before a closed door."""
    answer = driver.login("dann1", root.public_key, ACCEPTED[case](root))
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.stdout == f"biscuit dann1 {root.public_key}\n"


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(driver: Driver, root: KeyPair, case: str) -> None:
    """Somebody gets in whom the key's owner never let in, or the log does not say why not."""
    rule, build = REFUSED[case]
    refused = build(root)
    answer = driver.login("dann1", root.public_key, refused)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"biscuit: refused: {rule}")
    assert answer.stderr.count("\n") == 1
    assert refused.to_base64()[:24] not in answer.stderr


@pytest.mark.parametrize("case", [*ACCEPTED, *REFUSED])
def test_the_verify_command_says_the_same(root: KeyPair, rules: ModuleType, case: str) -> None:
    """`onext biscuit verify` calls a token good that the driver refuses, or the reverse."""
    assert rules.POLICY == policy.POLICY
    text = (ACCEPTED.get(case) or REFUSED[case][1])(root).to_base64()
    if case in ACCEPTED:
        policy.check(tokens.verified(text, [root.public_key]), "dann1")
        return
    rule = REFUSED[case][0].replace("signature:", "not signed by this key")
    with pytest.raises((policy.Refused, TokenUnreadable), match=rule):
        policy.check(tokens.verified(text, [root.public_key]), "dann1")


def test_wrong_user_with_a_valid_token(driver: Driver, root: KeyPair) -> None:
    """The reference's hole: any token of the stored key logs in as whoever has that key."""
    assert driver.login("dann2", root.public_key, token(root)).code == 1


@pytest.mark.parametrize("name", ['x"); allow if true; user("', "{name}", "dann1\\", "DANN1", "dann"])
def test_a_name_is_no_datalog(driver: Driver, root: KeyPair, name: str) -> None:
    """Whoever may create users logs in as anybody by a name that is a policy."""
    assert driver.login(name, root.public_key, token(root)).code == 1


@pytest.mark.parametrize("name", ["", " ", "dann1 ", "dann1\n", "a\tb", "a\x85b", "a\u2028b"])
def test_a_name_of_several_words(driver: Driver, root: KeyPair, name: str) -> None:
    """A name with white space shifts the words of the line that oned reads: groups by choice."""
    answer = driver.login(
        name, root.public_key, BiscuitBuilder("user({n})", {"n": name}).build(root.private_key)
    )
    assert (answer.code, answer.stdout) == (1, "")


def test_name_of_any_language(driver: Driver, root: KeyPair) -> None:
    """Users whose names are not ASCII cannot log in."""
    assert driver.login("josé-名", root.public_key, token(root, 'user("josé-名")')).code == 0


@pytest.mark.parametrize("spelling", ["bare", "BARE", "prefixed", "rotated", "rotated to", "beside rubbish"])
def test_spellings_of_the_stored_key(driver: Driver, root: KeyPair, spelling: str) -> None:
    """Users created as the reference's users are, or in the middle of a rotation, cannot log in."""
    other = KeyPair().public_key
    stored = {
        "bare": bare(root),
        "BARE": bare(root).upper(),
        "prefixed": str(root.public_key),
        "rotated": f"{other},{bare(root)}",
        "rotated to": f"{bare(root)},{other}",
        "beside rubbish": f"rubbish,{root.public_key}",
    }[spelling]
    answer = driver.login("dann1", stored, token(root))
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.stdout.split()[2] in stored.split(",")


def test_secp256r1(driver: Driver) -> None:
    """A key of the other algorithm, as hardware tokens make them, does not work."""
    pair = KeyPair.from_private_key(SECP256R1)
    assert driver.login("dann1", pair.public_key, token(pair)).code == 0
    assert driver.login("dann1", str(pair.public_key).removeprefix("secp256r1/"), token(pair)).code == 1


@pytest.mark.parametrize(
    "stored", ["", "-", ",", "ed25519/", "secp256r1/", "ed25519/zz", "0" * 63, "*", "ed25519/" + "f" * 64]
)
def test_what_is_no_key_verifies_nothing(driver: Driver, root: KeyPair, stored: str) -> None:
    """An empty or broken stored key opens the account to everybody."""
    answer = driver.login("dann1", stored, token(root))
    assert answer.code == 1
    assert answer.stderr.startswith("biscuit: refused: signature:")


@pytest.mark.parametrize(
    "form", ["{} 0 1", "{}zz", "{}\n", " {}", "{}\t", "{}00", "{}=", "x{}", "/{}", "{}\u0660"]
)
def test_S11_a_stored_key_is_matched_whole(
    driver: Driver, root: KeyPair, rules: ModuleType, form: str
) -> None:
    """A stored text that only begins like a key opens, and its words reach oned as groups."""
    curve = KeyPair.from_private_key(SECP256R1)
    for key in (str(root.public_key), bare(root), str(curve.public_key)):
        stored = form.format(key)
        assert rules.public_key(stored) is None
        assert driver.login("dann1", stored, token(root)).code == 1
        with pytest.raises(ValueError, match="not a public key"):
            keys.parse_stored(stored)


def test_key_of_the_wrong_algorithm(driver: Driver, root: KeyPair) -> None:
    """A key read under the other algorithm's name verifies something by accident, or ends in a traceback."""
    curve = KeyPair.from_private_key(SECP256R1)
    digits = str(curve.public_key).removeprefix("secp256r1/")
    for stored in (f"secp256r1/{bare(root)}", f"ed25519/{digits}", f"ed25519/{digits[2:]}", curve.public_key):
        answer = driver.login("dann1", stored, token(root))
        assert (answer.code, answer.stderr.count("\n")) == (1, 1)


def test_unknown_users_cannot_be_told_from_foreign_tokens(
    driver: Driver, root: KeyPair, recordings: object
) -> None:
    """The answer tells an attacker with the log which names exist; or an unknown user walks in."""
    unknown = driver.login("newbob", "-", token(root, 'user("newbob")'))
    foreign = driver.login("dann1", KeyPair().public_key, token(root))
    assert unknown.code == 1
    assert unknown == foreign


@pytest.mark.parametrize(
    "change", ["newline", "prefix", "alphabet", "unpadded", "cut", "flipped", "block taken away"]
)
def test_ways_a_token_arrives(driver: Driver, root: KeyPair, change: str) -> None:
    """A token pasted with a newline or from another tool is refused, or a tampered one accepted."""
    good = token(root, KNOWN + 'd("¿¿¿???~~~")', "check if true")
    text = good.to_base64()
    short = token(root, KNOWN + 'd("¿¿¿???~~~")').to_base64()
    changed, accepted = {
        "newline": (f" {text}\n", True),
        "prefix": (f"biscuit:{text}", True),
        "alphabet": (text.replace("-", "+").replace("_", "/"), True),
        "unpadded": (text.rstrip("="), True),
        "cut": (text[:-8], False),
        "flipped": (text[:60] + ("A" if text[60] != "A" else "B") + text[61:], False),
        "block taken away": (short[:200] + text[200:], False),
    }[change]
    answer = driver.login("dann1", root.public_key, changed)
    assert answer.code == (0 if accepted else 1)
    assert accepted or answer.stderr.startswith(("biscuit: refused: format:", "biscuit: refused: signature:"))


def test_algorithms_are_those_that_are_documented() -> None:
    """The library knows another algorithm, which the documentation does not name."""
    assert [name for name in dir(Algorithm) if not name.startswith("_")] == ["Ed25519", "Secp256r1"]

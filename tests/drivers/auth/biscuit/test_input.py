"""What arrives on standard input: oned's document, and what only looks like it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from biscuit_auth import BiscuitBuilder, BlockBuilder, KeyPair

from .conftest import Driver

KNOWN = b"<AUTHN><USERNAME>a</USERNAME><PASSWORD>b</PASSWORD><SECRET>c</SECRET></AUTHN>"
BAD = {
    "nothing": b"",
    "no XML": b"a b c",
    "cut": KNOWN[:-4],
    "another root": KNOWN.replace(b"AUTHN", b"AUTHZ"),
    "no name": KNOWN.replace(b"<USERNAME>a</USERNAME>", b""),
    "no key": KNOWN.replace(b"<PASSWORD>b</PASSWORD>", b""),
    "two names": KNOWN.replace(b"<PASSWORD>", b"<USERNAME>b</USERNAME><PASSWORD>"),
    "two keys": KNOWN.replace(b"<SECRET>", b"<PASSWORD>mine</PASSWORD><SECRET>"),
    "an element in the secret": KNOWN.replace(b"c</", b"c<SECRET>d</SECRET></"),
    "an element in the name": KNOWN.replace(b">a<", b">a<B/><"),
    "two documents": KNOWN + KNOWN,
    "a DOCTYPE": b"<!DOCTYPE AUTHN>" + KNOWN,
    "an entity": b'<!DOCTYPE AUTHN [<!ENTITY e "a">]>' + KNOWN.replace(b">a<", b">&e;<"),
    "a file": b'<!DOCTYPE AUTHN [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + KNOWN.replace(b">a<", b">&e;<"),
    "an unknown entity": KNOWN.replace(b">a<", b">&e;<"),
    "no UTF-8": KNOWN.replace(b">a<", b">\xff<"),
    "another encoding": b'<?xml version="1.0" encoding="utf-7"?>' + KNOWN.replace(b">a<", b">\xff<"),
    "a control character": KNOWN.replace(b">a<", b">\x00<"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses_what_oned_does_not_write(rules: ModuleType, case: str) -> None:
    """A crafted name or token smuggles a second user or key into the document."""
    with pytest.raises(rules.Refused, match=r"^input: "):
        rules.fields(BAD[case])


def test_reads_every_recorded_document(rules: ModuleType, recordings: Path) -> None:
    """What a real oned writes is not understood."""
    for file in sorted((recordings / "auth").glob("authn.*.xml")):
        name, stored, secret = rules.fields(file.read_bytes())
        assert (name, stored[:8]) in {("alice", "ed25519/"), ("newbob", "-")}
        assert secret
    special = (recordings / "auth/authn.known-user.special-characters.xml").read_bytes()
    assert rules.fields(special)[2] == "base64url-_~+/=.:;<>&\"' \t\nline2"


@pytest.mark.process
@pytest.mark.parametrize("case", BAD)
def test_one_line_and_exit_1(driver: Driver, case: str) -> None:
    """Bad input ends in a traceback in oned.log."""
    answer = driver.run(BAD[case])
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("biscuit: refused: input: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.process
def test_recorded_documents_as_they_are(driver: Driver, recordings: Path) -> None:
    """A document with a secret that is no token gets anything but a refusal."""
    for file in sorted((recordings / "auth").glob("authn.*.xml")):
        answer = driver.run(file.read_bytes())
        assert (answer.code, answer.stdout) == (1, "")
        assert answer.stderr.startswith("biscuit: refused: format:")


@pytest.mark.process
@pytest.mark.parametrize("size", [17_000, 70_000, 1_100_000])
def test_big_tokens_are_read_and_refused(driver: Driver, size: int) -> None:
    """A huge token costs memory, or oned's write fails because the driver went away before its end."""
    answer = driver.login("dann1", "ab" * 32, "A" * size)
    assert answer.code == 1
    assert answer.stderr.startswith("biscuit: refused: size:")


@pytest.mark.process
def test_number_of_blocks(driver: Driver, root: KeyPair) -> None:
    """A token of hundreds of blocks costs a signature check for each."""
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    for _ in range(31):
        token = token.append(BlockBuilder("check if true"))
    assert driver.login("dann1", root.public_key, token).code == 0
    answer = driver.login("dann1", root.public_key, token.append(BlockBuilder("check if true")))
    assert answer.code == 1
    assert answer.stderr.startswith("biscuit: refused: size:")


@pytest.mark.process
def test_a_token_cannot_write_lines_into_the_log(driver: Driver, root: KeyPair) -> None:
    """A check whose text holds a line break forges lines of oned.log."""
    token = BiscuitBuilder('user("dann1"); check if {t} == "x"', {"t": "a\nSat Nov 21: forged\x1b[2J"})
    answer = driver.login("dann1", root.public_key, token.build(root.private_key))
    assert answer.code == 1
    assert answer.stderr.startswith("biscuit: refused: check: ")
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.isascii()
    assert "\x1b" not in answer.stderr


@pytest.mark.process
def test_without_the_library(driver: Driver, tmp_path: Path) -> None:
    """A venv that went away is a traceback, and nobody knows what to do."""
    text = driver.executable.read_text()
    broken = text.replace('SITE_PACKAGES = "', f'SITE_PACKAGES = "{tmp_path}/gone"\n_ = "').replace(
        "SITE_PACKAGES = '", f"SITE_PACKAGES = '{tmp_path}/gone'\n_ = '"
    )
    assert broken != text
    driver.executable.write_text(broken)
    answer = driver.run(KNOWN)
    assert (answer.code, answer.stdout) == (1, "")
    assert "run install.sh again" in answer.stderr
    assert answer.stderr.count("\n") == 1

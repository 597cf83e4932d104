"""The private keys of a zone: for their owner only, never overwritten, never half written."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hooks.edge import secrets
from hooks.edge.forms import HEX_KEY, SSH_KEY, WIREGUARD_KEY
from hooks.edge.secrets import Secrets, SecretsError, verified
from onext.paths import Paths

FORMS = {
    secrets.TOKEN: HEX_KEY, secrets.ANSWER: HEX_KEY, secrets.USER_CA: SSH_KEY, secrets.HOST_CA: SSH_KEY,
    secrets.USER: SSH_KEY, secrets.HUB: WIREGUARD_KEY,
}  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Secrets:
    """Return the folder of a zone's keys, with all of them."""
    made = Secrets(tmp_path / "var/edge")
    assert made.present() == []
    for name in FORMS:
        made.create(name)
    return made


def test_every_key_is_for_its_owner_and_has_its_form(kept: Secrets) -> None:
    """Other users could use a readable key; nodes refuse a key of another form."""
    assert kept.present() == [*FORMS]
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    for name, form in FORMS.items():
        assert stat.S_IMODE(kept.file(name).stat().st_mode) == 0o600
        assert form.fullmatch(kept.public(name)), name
    assert len({kept.public(name) for name in FORMS}) == len(FORMS)
    assert set(kept.exported()) == set(FORMS) - {secrets.HUB}, "the hub's key is this server's"


def test_a_public_key_is_that_of_the_file(kept: Secrets) -> None:
    """Nodes would trust a key whose private half does not exist."""
    hub = X25519PrivateKey.from_private_bytes(base64.b64decode(kept.read(secrets.HUB)))
    assert base64.b64decode(kept.public(secrets.HUB)) == hub.public_key().public_bytes_raw()
    user = serialization.load_ssh_private_key(kept.read(secrets.USER), None)
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert user.public_key().public_bytes(*form).decode() == kept.public(secrets.USER)
    assert kept.signing(secrets.TOKEN).public_key().public_bytes_raw().hex() == kept.public(secrets.TOKEN)


def test_a_key_is_never_overwritten(kept: Secrets) -> None:
    """Every node would be locked out."""
    before = kept.read(secrets.USER_CA)
    with pytest.raises(SecretsError, match="never overwritten"):
        kept.create(secrets.USER_CA)
    with pytest.raises(SecretsError, match="never overwritten"):
        kept.write(secrets.USER_CA, b"x")
    assert kept.read(secrets.USER_CA) == before


def test_a_full_disk_leaves_no_half_of_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` kept an empty file for the key, and refused to go on, until a person removed it."""
    kept = Secrets(tmp_path / "var/edge")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            kept.create(secrets.TOKEN)
    assert list(kept.folder.iterdir()) == []
    kept.create(secrets.TOKEN)
    assert stat.S_IMODE(kept.file(secrets.TOKEN).stat().st_mode) == 0o600


def test_a_key_is_replaced_at_one_moment(kept: Secrets) -> None:
    """A server that is killed in between would have no key, or go on with half of one."""
    before = {name: kept.read(name) for name in FORMS}
    (kept.folder / "token.key.new").write_text("of an attempt that was killed")
    kept.replace(secrets.TOKEN)
    assert kept.read(secrets.TOKEN) != before[secrets.TOKEN]
    assert HEX_KEY.fullmatch(kept.public(secrets.TOKEN))
    kept.replace(secrets.HUB, before[secrets.HUB])
    kept.replace(secrets.ANSWER, before[secrets.TOKEN])
    assert kept.read(secrets.ANSWER) == before[secrets.TOKEN]
    assert stat.S_IMODE(kept.file(secrets.ANSWER).stat().st_mode) == 0o600
    assert {file.name for file in kept.folder.iterdir()} == {*FORMS}
    for name in set(FORMS) - {secrets.TOKEN, secrets.ANSWER}:
        assert kept.read(name) == before[name]


def test_a_former_key_stays_under_its_other_name(kept: Secrets) -> None:
    """Nodes that were away could not be reached with it; it is kept again at the next replacement."""
    for _ in range(2):
        before = kept.read(secrets.USER)
        kept.keep_former(secrets.USER, secrets.FORMER_USER)
        kept.replace(secrets.USER)
        assert kept.read(secrets.FORMER_USER) == before != kept.read(secrets.USER)
    assert set(kept.exported()) == {*secrets.ZONE, secrets.FORMER_USER}


def test_the_folder_is_the_front_ends(tmp_path: Path) -> None:
    """Another folder is not in the backup."""
    paths = Paths.self_contained(tmp_path)
    assert Secrets.of(paths).folder == paths.var / "edge"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o660])
def test_a_key_that_others_read_is_none(kept: Secrets, mode: int) -> None:
    """Whoever read it may have it: signing on with it would hide that."""
    kept.file(secrets.TOKEN).chmod(mode)
    with pytest.raises(SecretsError, match="other users can read it"):
        kept.signing(secrets.TOKEN)


def test_what_is_no_key(kept: Secrets) -> None:
    """A traceback would show what the file holds."""
    for name in FORMS:
        kept.file(name).write_text("x")
        with pytest.raises(SecretsError, match="holds no key"):
            kept.public(name)
        kept.file(name).unlink()
        with pytest.raises(SecretsError, match="`onext edge init` makes it"):
            kept.read(name)
        elsewhere = kept.folder / "elsewhere"
        elsewhere.write_text("0" * 64)
        elsewhere.chmod(0o600)
        kept.file(name).symlink_to(elsewhere)
        with pytest.raises(SecretsError):
            kept.read(name)
    assert "token.key" in kept.present(), "a link stands in its place"


def test_signatures() -> None:
    """A request that is not signed by its key would be another node's."""
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw().hex(), key.sign(b"message").hex()
    assert verified(public, b"message", signature) is True
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    for given in (
        (public, b"messagf", signature), (other, b"message", signature), (public, b"message", f"{int(signature[:2], 16) ^ 1:02x}{signature[2:]}"),
        (public, b"message", "x"), ("x", b"message", signature), (public[:-2], b"message", signature),
    ):  # fmt: skip
        assert verified(*given) is False

"""bmc.yaml: who may read it, and what is said when it is wrong."""

from pathlib import Path

import pytest

from hooks.power.bmc.credentials import CredentialsError, load

GOOD = "12:\n  address: 10.0.0.12\n  user: onext\n  password: s3cret\n"


def written(tmp_path: Path, text: str = GOOD, mode: int = 0o640) -> Path:
    file = tmp_path / "bmc.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_entries_are_read_and_secrets_not_shown(tmp_path: Path) -> None:
    """A password in a traceback or log is a password lost."""
    entries = load(written(tmp_path), tmp_path / "remotes")
    assert entries[12].job()["password"] == "s3cret"
    assert entries[12].job()["port"] == 623
    assert "s3cret" not in repr(entries)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o666])
def test_a_wider_mode_is_refused(tmp_path: Path, mode: int) -> None:
    """Any user of the front-end could switch hosts off."""
    with pytest.raises(CredentialsError, match="too wide: chmod 0640"):
        load(written(tmp_path, mode=mode), tmp_path / "remotes")


def test_below_remotes_is_refused(tmp_path: Path) -> None:
    """`onehost sync` would copy the passwords to every node."""
    with pytest.raises(CredentialsError, match="copied to every node"):
        load(written(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12:\n  address: -o\n  user: a\n  password: s3cret\n", "12.address"),
        ("12:\n  address: a\n  password: s3cret\n", "12.user"),
        ("twelve:\n  address: a\n  user: a\n  password: s3cret\n", "twelve"),
        ("12: [s3cret", "not YAML"),
        ("12:\n  address: a\n  user: a\n  password: s3cret\n  pin: s3cret\n", "12.pin"),
    ],
)
def test_a_wrong_entry_is_named_without_its_secret(tmp_path: Path, text: str, said: str) -> None:
    """Somebody must find the line, and nobody the password."""
    with pytest.raises(CredentialsError, match=said) as caught:
        load(written(tmp_path, text), tmp_path / "remotes")
    assert "s3cret" not in str(caught.value)


def test_no_file_means_no_bmc(tmp_path: Path) -> None:
    """A cluster without BMCs is not an error."""
    assert load(tmp_path / "bmc.yaml", tmp_path / "remotes") == {}

"""bmc.yaml: who may read it, and what is said when it is wrong."""

import os
import traceback
from pathlib import Path

import pytest

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Ipmi, Redfish
from onext.hosts.bmc.errors import ConfigError, NotConfigured, UnsafeFile

SECRET = "s3cret"
UUID = "4c4c4544-0042-3510-8053-b4c04f564433"
LOGIN = f"  user: onext\n  password: {SECRET}\n"
GOOD = f"12:\n  kind: ipmi\n  address: 192.0.2.12\n{LOGIN}  uuid: {UUID}\n"


def written(folder: Path, text: str = GOOD, mode: int = 0o640) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bmc.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_entries_are_read_with_what_is_usual(tmp_path: Path) -> None:
    """An administrator would have to write ports and empty keys for every host."""
    text = GOOD + f"13:\n  kind: redfish\n  address: 2001:db8::13\n{LOGIN}  serial: ABC1234\n"
    book = BmcConfig.load(written(tmp_path, text))
    ipmi, redfish = book.entries[12], book.entries[13]
    assert isinstance(ipmi, Ipmi)
    assert isinstance(redfish, Redfish)
    assert (ipmi.port, redfish.port, redfish.pin) == (623, 443, None)
    assert 12 in book
    assert 14 not in book


def test_no_file_means_no_bmc(tmp_path: Path) -> None:
    """A cloud without BMCs could not use anything else of the part."""
    book = BmcConfig.load(tmp_path / "bmc.yaml")
    with pytest.raises(NotConfigured, match=r"host 12 has no entry in .*bmc\.yaml"):
        book.bmc(12)


def test_a_book_that_is_printed_shows_no_password(tmp_path: Path) -> None:
    """A password in a log or traceback is a password lost."""
    book = BmcConfig.load(written(tmp_path))
    assert SECRET not in f"{book!r} {book} {book.entries[12]} {book.bmc(12)!r}"


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o650, 0o666])
def test_a_wider_mode_is_refused(tmp_path: Path, mode: int) -> None:
    """Any user of the front-end could switch hosts off, or have a password sent to an address of his."""
    with pytest.raises(UnsafeFile, match="wider than 0640: chmod 0640"):
        BmcConfig.load(written(tmp_path, mode=mode))


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o400])
def test_a_narrower_mode_is_taken(tmp_path: Path, mode: int) -> None:
    """Who protects the file better would be punished."""
    assert 12 in BmcConfig.load(written(tmp_path, mode=mode))


def test_a_stranger_s_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the file decides which addresses get passwords, whatever its mode."""
    file = written(tmp_path)
    found = file.stat()
    stranger = os.stat_result((*found[:4], 4242, *found[5:]))
    monkeypatch.setattr(os, "fstat", lambda _: stranger)
    with pytest.raises(UnsafeFile, match="belongs to user 4242: chown root:oneadmin"):
        BmcConfig.load(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe put there would hang the worker."""
    os.mkfifo(tmp_path / "bmc.yaml", mode=0o640)
    with pytest.raises(UnsafeFile):
        BmcConfig.load(tmp_path / "bmc.yaml")


def test_below_remotes_is_refused_also_behind_a_link(tmp_path: Path) -> None:
    """`onehost sync` would copy the passwords to every node."""
    file = written(tmp_path / "remotes/etc")
    (tmp_path / "bmc.yaml").symlink_to(file)
    for named in (file, tmp_path / "bmc.yaml"):
        with pytest.raises(UnsafeFile, match="copied to every node"):
            BmcConfig.load(named)


IPMI = f"12:\n  kind: ipmi\n  address: 192.0.2.12\n{LOGIN}"
REDFISH = f"12:\n  kind: redfish\n  address: 192.0.2.12\n{LOGIN}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (IPMI, r":1: 12: uuid or serial is missing: `dmidecode"),
        (IPMI + "  uuid: 00000000-0000-0000-0000-000000000000\n", r":6: 12.uuid: many boards have this"),
        (IPMI + "  serial: To be filled by O.E.M.\n", r":6: 12.serial: many boards have this"),
        (IPMI + f"  uuid: {UUID}\n  pasword: {SECRET}\n", r":7: 12.pasword: no such key"),
        (IPMI.replace("192.0.2.12", "bmc12.example"), r":3: 12.address: value is not a valid IPv4"),
        (IPMI.replace(SECRET, f"{SECRET}-that-is-too-long"), r":5: 12.password: .*at most 20"),
        (IPMI.replace(SECRET, "12345"), r":5: 12.password: text was expected: put it in quotes"),
        (IPMI.replace("kind: ipmi", f"kind: {SECRET}"), r":1: 12: kind: ipmi, redfish, suspend or agent"),
        (IPMI.replace("  kind: ipmi\n", ""), r":1: 12: kind: ipmi, redfish, suspend or agent"),
        (REDFISH + f"  serial: a1\n  certificate: {SECRET}\n", r":7: 12.certificate: String should match"),
        (REDFISH + "  serial: a1\n  system: //elsewhere/\n", r":7: 12.system: String should match"),
        (GOOD.replace("12:", "twelve:"), r":1: twelve: Input should be a valid integer"),
        (GOOD.replace(SECRET, f"*{SECRET}"), r":5: not YAML \(a password with special characters"),
        (GOOD.replace(SECRET, f"%{SECRET}"), r":5: not YAML"),
        (GOOD + f"  password: {SECRET}\n", r":7: this key was there before"),
        (GOOD + GOOD.replace("12", "13"), r":7: 13: names the same machine as 12"),
        (GOOD + IPMI.replace("12:", "13:") + "  serial: a1\n", r":7: 13: names the same machine as 12"),
        (f"- {SECRET}\n", r":1: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_without_the_secret(
    tmp_path: Path, text: str, said: str
) -> None:
    """Somebody has to find the line, and nobody the password: not even in a traceback."""
    with pytest.raises(ConfigError, match=said) as caught:
        BmcConfig.load(written(tmp_path, text))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    """Fifty entries would be mended one run at a time."""
    text = GOOD.replace("192.0.2.12", "a") + GOOD.replace("12:", "13:").replace("192.0.2.12", "b")
    with pytest.raises(ConfigError) as caught:
        BmcConfig.load(written(tmp_path, text))
    assert str(caught.value).count(".address: ") == 2

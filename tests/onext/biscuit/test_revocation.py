"""The revocation list: an id is in it or not, whoever writes at the same time and however full the disk is."""

from __future__ import annotations

import errno
import os
import resource
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.biscuit import revocation
from onext.biscuit.errors import ListUnusable

FIRST, SECOND = "ab" * 64, "cd" * 64
DER = "3045" + "0220" + "11" * 32 + "0221" + "00" + "ab" * 32


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Return an empty list."""
    file = tmp_path / revocation.FILE
    file.touch(0o640)
    return file


def test_adds_once(listed: Path) -> None:
    """The list grows by repetition, or an id is lost."""
    assert revocation.add(listed, [FIRST]) == [FIRST]
    assert revocation.add(listed, [FIRST, SECOND, SECOND]) == [SECOND]
    assert revocation.add(listed, [FIRST]) == []
    assert listed.read_text() == f"{FIRST}\n{SECOND}\n"


def test_what_a_person_wrote_stays(listed: Path) -> None:
    """A remark, or the last line without its end, is damaged."""
    listed.write_text(f"# lost laptops\n{FIRST.upper()} dann1")
    assert revocation.add(listed, [FIRST, SECOND]) == [SECOND]
    assert listed.read_text() == f"# lost laptops\n{FIRST.upper()} dann1\n{SECOND}\n"


def test_a_missing_list_is_not_made(tmp_path: Path) -> None:
    """After somebody deleted the list, adding one id lets all the others in again."""
    with pytest.raises(ListUnusable, match="No such file"):
        revocation.add(tmp_path / revocation.FILE, [FIRST])
    assert not list(tmp_path.iterdir())


def test_keeps_mode_and_file(listed: Path) -> None:
    """The driver, which runs as oneadmin, cannot read the list after root wrote it."""
    before = listed.stat()
    revocation.add(listed, [FIRST])
    assert (listed.stat().st_ino, listed.stat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("text", ["", "x", "ab" * 63, "ab" * 65, "zz" * 64, "30" + "a" * 151, FIRST[:-1]])
def test_what_is_no_id(text: str) -> None:
    """A typing error revokes nothing and says nothing; a short one revokes everybody."""
    with pytest.raises(ListUnusable, match="not a revocation id"):
        revocation.identifier(text)


def test_spellings() -> None:
    """An id in capitals is not found again."""
    assert revocation.identifier(f" {FIRST.upper()}\n") == FIRST
    assert revocation.identifier(DER.upper()) == DER
    for wrong in (DER[:-2], DER + "00", DER[:128], "3046" + DER[4:]):
        with pytest.raises(ListUnusable, match="not a revocation id"):
            revocation.identifier(wrong)


def test_S11_ids_are_added_to_a_list_that_is_not_good_and_it_is_named(listed: Path) -> None:
    """Revoking in an emergency would fail because of an old line, or not tell of it."""
    listed.write_text(f"{SECOND}\n{SECOND[:64]}\n{SECOND[64:]}\n")
    with pytest.raises(ListUnusable, match=r"biscuit-revoked:2 is not a revocation id"):
        revocation.add(listed, [FIRST])
    assert listed.read_text().endswith(f"\n{FIRST}\n")
    with pytest.raises(ListUnusable, match="2 is not a revocation id"):
        revocation.read(listed)


def test_S11_the_list_is_read_as_ids(listed: Path) -> None:
    """A check that counts lines reports ids that revoke nothing."""
    listed.write_text(f"# one\n\n{FIRST.upper()} dann1\r\n{DER}\t#\n")
    assert revocation.read(listed) == [FIRST, DER]
    listed.write_bytes(b"")
    assert revocation.read(listed) == []
    listed.unlink()
    with pytest.raises(ListUnusable, match="refuses every biscuit user"):
        revocation.read(listed)


def test_S13_both_forms_of_an_ecdsa_signature() -> None:
    """`verify --revoked` calls a token good that the driver refuses."""
    same, other = revocation.forms(DER)
    assert same == DER != other
    assert revocation.forms(other) == (other, DER)
    assert revocation.forms(FIRST) == (FIRST,)


@given(st.lists(st.sampled_from([secrets.token_hex(64) for _ in range(6)]), max_size=8))
def test_all_of_them_are_in_it(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    """Some order of adding loses an id."""
    listed = tmp_path_factory.mktemp("list") / revocation.FILE
    listed.touch()
    for identifier in ids:
        revocation.add(listed, [identifier])
    assert listed.read_text().split() == list(dict.fromkeys(ids))


def test_at_the_same_time(listed: Path) -> None:
    """Two administrators at once overwrite each other."""
    ids = [secrets.token_hex(64) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda identifier: revocation.add(listed, [identifier]), ids))
    assert sorted(listed.read_text().split()) == sorted(ids)


@pytest.mark.process
@pytest.mark.parametrize("room", [0, 60])
def test_a_full_disk(listed: Path, room: int) -> None:
    """The list has half an id, and the command reported that it was revoked."""
    listed.write_text(f"{SECOND}\n")
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({129 + room}, {129 + room}))\n"
        "from pathlib import Path\n"
        "from onext.biscuit import revocation\n"
        "from onext.biscuit.errors import ListUnusable\n"
        "try:\n"
        f"    revocation.add(Path(sys.argv[1]), ['{FIRST}'])\n"
        "except ListUnusable as error:\n"
        "    sys.exit(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, listed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nothing was added" in done.stderr
    assert listed.read_text() == f"{SECOND}\n"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_not_allowed(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without the right gets a traceback."""

    def refuse(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ListUnusable, match="run as oneadmin or root"):
        revocation.add(listed, [FIRST])


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def der(r: bytes, s: bytes) -> str:
    """Return a signature (r, s) in DER."""
    body = bytes((2, len(r))) + r + bytes((2, len(s))) + s
    return (bytes((0x30, len(body))) + body).hex()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (der(b"\x01", b"\x01"), True),
        (der(b"\x01\x01", b"\x01"), True),
        (der(b"\x01", b"\x01" * 33), True),
        (der(b"\x01\x01\x01", b""), False),  # without a second number
        ("300602010102" + "02" + "01", False),  # a second number that is longer than what is there
        ("3006020101" + "03" + "0101", False),  # not a number
        ("3006" + "03" + "0101020101", False),
        ("3007020101020101", False),  # longer than what is there
        ("30060204" + "01010101", False),  # a first number that fills it
        ("3006" + "02ff" + "01020101", False),
        (der(b"\x01", b"\x01" * 65), True),
        (der(b"\x01", b"\x01" * 66), False),  # 73 bytes
    ],
)
def test_an_ecdsa_id_is_two_numbers_that_fill_it(text: str, valid: bool) -> None:
    """A cut id revokes nothing, and the list with it looks all right."""
    if valid:
        assert revocation.identifier(text) == text
    else:
        with pytest.raises(ListUnusable, match="is not a revocation id"):
            revocation.identifier(text)


@pytest.mark.parametrize(("s", "other"), [(1, ORDER - 1), (ORDER - 1, 1), (ORDER - 128, 128)])
def test_the_other_form_is_the_order_less_s(s: int, other: int) -> None:
    """Its holder logs in again with the other, equally valid form of a revoked signature."""
    one, two = (der(b"\x01", n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in (s, other))
    assert revocation.forms(one) == (one, two)


@pytest.mark.parametrize("s", [ORDER, ORDER + 1])
def test_a_signature_beyond_the_order_has_no_other_form(s: int) -> None:
    """No library takes it, and its other form would not be a number."""
    only = der(b"\x01", s.to_bytes(33, "big"))
    assert revocation.forms(only) == (only,)


@pytest.mark.parametrize("start", ["#", FIRST])
def test_a_line_has_at_most_4096_bytes(listed: Path, start: str) -> None:
    """The driver refuses every user because of a line that the check calls good, or the other way round."""
    remark = " x" + "x" * (4096 - len(start) - 2)
    listed.write_text(f"{start}{remark}\n")
    assert revocation.read(listed) == ([FIRST] if start == FIRST else [])
    listed.write_text(f"{start}{remark}x\n")
    with pytest.raises(ListUnusable, match=":1 is not a revocation id"):
        revocation.read(listed)


def test_a_list_that_is_too_large_is_refused(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be read in part, and a token in its other part logs in."""
    monkeypatch.setattr(revocation, "LARGEST", 258)
    listed.write_text(f"{FIRST}\n{SECOND}\n")
    assert revocation.read(listed) == [FIRST, SECOND]
    listed.write_text(f"{FIRST}\n{SECOND}\n\n")
    with pytest.raises(ListUnusable, match="more than 258 bytes"):
        revocation.read(listed)


@pytest.mark.parametrize(("word", "shown"), [("y" * 20, "y" * 20), ("y" * 21, "y" * 19 + "…")])
def test_a_wrong_line_is_shown_as_far_as_it_is_needed(listed: Path, word: str, shown: str) -> None:
    """The administrator has to find it, and the log must not hold a page of it."""
    listed.write_text(f"{FIRST}\n\n{word}\n")
    with pytest.raises(ListUnusable) as refused:
        revocation.read(listed)
    assert refused.value.message == (
        f"{listed}:3 is not a revocation id: the driver refuses every biscuit user until it is"
        f" corrected ({shown!r})"
    )
    with pytest.raises(ListUnusable, match=f"^{shown!r} is not a revocation id"):
        revocation.identifier(word)

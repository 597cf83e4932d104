"""Our line in ~/.ssh/config of OpenNebula's account: put once, and taken out with nothing else changed."""

import os
import stat
from pathlib import Path

import pytest

from onext.ssh_include import put, take_out

OWN = "Host edge-*\n    User oneadmin\nInclude /etc/ssh/other\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home without a .ssh folder."""
    made = tmp_path / "home"
    made.mkdir()
    return made


def config(home: Path, text: str) -> Path:
    """Write an administrator's configuration."""
    file = home / ".ssh/config"
    file.parent.mkdir(mode=0o700)
    file.write_text(text)
    file.chmod(0o644)
    return file


def test_it_comes_before_all_others_and_once(home: Path) -> None:
    """Ssh takes the first value that it finds: after a `Host *` ours would not count."""
    file = config(home, OWN)
    assert put(home, home / "onext/edge/ssh_config")
    assert not put(home, home / "onext/edge/ssh_config")
    assert file.read_text() == f"Include {home}/onext/edge/ssh_config\n{OWN}"


@pytest.mark.parametrize("text", [OWN, OWN.rstrip("\n"), "# é \udcff\n"])
def test_what_a_person_wrote_stays(home: Path, text: str) -> None:
    """An uninstall that changes a person's ssh configuration locks oneadmin out of hosts."""
    file = config(home, "")
    file.write_bytes(text.encode(errors="surrogateescape"))
    put(home, home / "onext/edge/ssh_config")
    file.chmod(0o640)
    assert take_out(home, home / "onext")
    assert file.read_bytes() == text.encode(errors="surrogateescape")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert not take_out(home, home / "onext"), "nothing is left to take out"


def test_a_file_and_a_folder_of_ours_go(home: Path) -> None:
    """An empty configuration would be left on every front-end that had edge nodes."""
    put(home, home / "onext/edge/ssh_config")
    assert take_out(home, home / "onext")
    assert list(home.iterdir()) == []


def test_keys_beside_it_stay(home: Path) -> None:
    """Oneadmin's keys are in the same folder."""
    put(home, home / "onext/edge/ssh_config")
    (home / ".ssh/id_rsa").write_text("key")
    assert take_out(home, home / "onext")
    assert [path.name for path in (home / ".ssh").iterdir()] == ["id_rsa"]


def test_a_file_of_another_program_is_not_ours(home: Path) -> None:
    """A folder whose name begins like ours belongs to somebody else."""
    text = f"Include {home}/onext-other/ssh_config\n"
    file = config(home, text)
    assert not take_out(home, home / "onext")
    assert file.read_text() == text


def test_what_is_no_file_or_too_long_is_left_and_named(home: Path) -> None:
    """A pipe would block root's uninstall."""
    file = config(home, "x" * (2 << 20))
    with pytest.raises(OSError, match="more than"):
        take_out(home, home / "onext")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(OSError, match="is not a file"):
        take_out(home, home / "onext")


def test_without_a_configuration_nothing_is_made(home: Path) -> None:
    """Most front-ends have none."""
    assert not take_out(home, home / "onext")
    assert list(home.iterdir()) == []

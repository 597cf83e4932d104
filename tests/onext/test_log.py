"""The log."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext import log


@given(st.text())
def test_nothing_from_outside_can_forge_a_line(text: str) -> None:
    """A VM's name must not be able to write a second line, or turn the text around."""
    line = log.line("power", "I", f"vm {text}")
    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_lines_look_like_oneds(tmp_path: Path) -> None:
    """People grep oned.log and onext.log with the same patterns."""
    file = tmp_path / "onext.log"
    log.open_log(file)
    log.get("geolocation").warning("host %s: %s", "a\nb", "x")
    root = logging.getLogger("onext")
    root.handlers.pop().close()
    root.propagate = True
    (line,) = file.read_text().splitlines()
    assert line.endswith("[Z0][ONEXT][W]: geolocation: host a\\nb: x")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Path]:
    """Open the log in a folder of its own, and close it again."""
    file = tmp_path / "log/onext.log"
    file.parent.mkdir()
    log.open_log(file)
    yield file
    root = logging.getLogger("onext")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.propagate = True


def test_C2_a_log_that_takes_nothing_does_not_end_who_logs(
    opened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a full disk, the worker died of its own warning about it."""
    opened.unlink()
    opened.parent.rmdir()  # it cannot be opened again
    log.get("power").warning("host 3 is gone")
    log.get("power").warning("host 4 too")
    printed = capsys.readouterr().err
    assert "power: host 3 is gone" in printed
    assert "Traceback" not in printed


def test_C2_without_a_file_there_is_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a read-only disk the worker could not even start."""
    log.open_log(tmp_path / "no/such/folder/onext.log")
    log.get("power").warning("host 3")
    root = logging.getLogger("onext")
    root.handlers.pop().close()
    root.propagate = True
    assert "the log goes to standard error" in capsys.readouterr().err


def test_S8_a_line_is_bounded() -> None:
    """A tenant's attribute of 177 KB in an error message would fill the disk, one line each round."""
    assert len(log.line("power", "W", "x" * 200_000)) < 2200

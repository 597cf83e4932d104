"""The log."""

import logging
from pathlib import Path

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

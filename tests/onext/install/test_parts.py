"""Which parts are installed: the choice, and what follows from it."""

from pathlib import Path

import pytest

from onext.install import parts, sources
from onext.install.front_end import InstallError

from .conftest import ROOT


@pytest.fixture
def lib(tmp_path: Path) -> Path:
    return tmp_path


def test_all_parts_by_default_and_new_ones_come_along(lib: Path) -> None:
    """Whoever chose nothing gets what a new version brings."""
    names = parts.chosen(ROOT, None, lib)
    assert {"geolocation", "targets", "power", "exporter", "biscuit", "tunnel"} <= set(names)
    parts.store(lib, names, ROOT)
    assert not (lib / parts.FILE).exists()


def test_a_choice_is_kept_by_upgrades(lib: Path) -> None:
    """A part that an administrator left out must not appear with the next version."""
    names = parts.chosen(ROOT, "targets, geolocation", lib)
    assert names == ("geolocation", "targets")
    parts.store(lib, names, ROOT)
    assert parts.chosen(ROOT, None, lib) == names
    assert parts.chosen(ROOT, "power", lib) == ("power",)
    parts.store(lib, parts.chosen(ROOT, "all", lib), ROOT)
    assert "exporter" in parts.chosen(ROOT, None, lib)


@pytest.mark.parametrize("given", ["geolocaton", "geolocation,../x", ",", ""])
def test_a_name_that_is_unknown_is_refused_with_those_that_are_known(lib: Path, given: str) -> None:
    """A misspelt part would silently not be installed."""
    with pytest.raises(InstallError, match=r"--parts: .*geolocation"):
        parts.chosen(ROOT, given, lib)


def test_what_is_left_out_is_not_in_the_version(lib: Path) -> None:
    """A part that was not chosen has neither hooks nor commands nor files on the front-end."""
    names = ("geolocation", "biscuit")
    copied = {str(path.relative_to(ROOT)) for path in sources.files(ROOT, names)}
    assert "hooks/geolocation/part.py" in copied
    assert "hooks/hook" in copied
    assert not [name for name in copied if name.startswith(("hooks/power/", "exporter/", "drivers/vmm/"))]
    assert sources.version(ROOT, names) != sources.version(ROOT)
    assert sources.version(ROOT, tuple(parts.available(ROOT))) == sources.version(ROOT)


def test_biscuit_alone_is_left_out_on_python_3_14() -> None:
    """On the newest Python everything else is installed, and one line tells why biscuit is not."""
    names = tuple(parts.available(ROOT))
    assert parts.left_out(ROOT, names, (3, 14)) == ["drivers/auth"]
    assert parts.left_out(ROOT, names, (3, 13)) == []
    assert "no wheel for Python 3.14" in parts.remark(names, (3, 14))
    assert parts.remark(names, (3, 13)) == ""


def test_a_damaged_choice_is_named(lib: Path) -> None:
    """Without the file, parts that were left out would appear: it is not taken as no choice."""
    (lib / parts.FILE).write_text("{")
    with pytest.raises(InstallError, match=r"parts\.json: invalid"):
        parts.chosen(ROOT, None, lib)

"""The locks: what pyproject.toml asks for is in them, with hashes, for every Python and architecture."""

import hashlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from onext.install import locked, versions
from onext.install.front_end import InstallError
from tests.lock_files import pins

from .conftest import ROOT

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli")

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def asked(extra: str) -> list[Requirement]:
    """Return what pyproject.toml asks for, with the extras that it is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(text) for text in project["optional-dependencies"][extra]]
    own = [name for one in wanted if one.name == "onext" for name in one.extras]
    others = [one for one in wanted if one.name != "onext"]
    return (
        others
        + [one for name in own for one in asked(name)]
        + [Requirement(t) for t in project["dependencies"]]
    )


@pytest.mark.parametrize("extra", ["frontend", "sandbox"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_is_current(extra: str, python: str) -> None:
    """A package that was added to pyproject.toml but not locked is missing on every front-end: run `make lock`."""
    found = pins(extra, python)
    for one in asked(extra):
        environment = {
            **default_environment(),
            "python_version": python,
            "python_full_version": f"{python}.1",
        }
        if one.marker is not None and not one.marker.evaluate(environment):  # type: ignore[arg-type]
            continue
        version = found.get(canonicalize_name(one.name))
        assert version is not None, f"{one} is not locked for Python {python}"
        assert one.specifier.contains(version, prereleases=True), f"{one}: {version} is locked"
    assert "setuptools" in found  # builds onext itself


def test_both_locks_agree() -> None:
    """The sandbox would try other versions than a front-end gets."""
    for python in PYTHONS:
        sandbox = pins("sandbox", python)
        assert {name: sandbox.get(name) for name in pins("frontend", python)} == pins("frontend", python)


def test_biscuit_alone_is_missing_on_python_3_14() -> None:
    """Without a wheel of one package nothing at all could be installed on the newest Python."""
    missing = pins("frontend", "3.13").keys() - pins("frontend", "3.14").keys()
    assert missing == {"biscuit-python"}


def test_every_package_has_hashes_and_no_address() -> None:
    """One line without a hash ends every installation; an address of an index would be asked by everybody."""
    for extra in ("frontend", "sandbox"):
        text = (ROOT / f"locks/{extra}.txt").read_text()
        blocks = re.split(r"\n(?=\S)", text.strip())
        assert all("--hash=sha256:" in block for block in blocks)
        assert "://" not in text
        assert "index" not in text


def test_urllib3_has_what_the_client_reads_with() -> None:
    """Streams are read with read1, which urllib3 has since 2.2."""
    (one,) = [one for one in asked("frontend") if one.name == "urllib3"]
    assert not one.specifier.contains("2.1.0")


def test_one_requirement_is_taken_out_of_a_lock() -> None:
    """The build backend is installed alone before anything is built from source."""
    text = "a==1 \\\n    --hash=sha256:00\nsetuptools==80 ; python_version > '3' \\\n    --hash=sha256:11\nz==1\n"
    assert locked.requirement(text, "setuptools") == (
        "setuptools==80 ; python_version > '3' \\\n    --hash=sha256:11\n"
    )


@pytest.mark.process
def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    """A wheel that somebody replaced in the index, or in the folder of --offline, would run as root."""
    wheels, source = tmp_path / "wheels", tmp_path / "source"
    wheels.mkdir()
    wheel = wheels / "click-8.1.0-py3-none-any.whl"
    build_wheel(wheel)
    (source / "locks").mkdir(parents=True)
    good = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for digest in ("0" * 64, good):
        (source / "locks/frontend.txt").write_text(f"click==8.1.0 --hash=sha256:{digest}\n")
        with pytest.raises(InstallError) as failed:
            versions.venv(tmp_path / digest[:4] / "venv", source, "frontend", wheels)
        said = str(failed.value)
        assert ("Expected sha256" in said) == (digest != good), said
        assert ("onext cannot be built" in said) == (digest == good), said  # the good one went further


def build_wheel(target: Path) -> None:
    import zipfile

    with zipfile.ZipFile(target, "w") as wheel:
        wheel.writestr("click.py", "")
        wheel.writestr(
            "click-8.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: click\nVersion: 8.1.0\n"
        )
        wheel.writestr(
            "click-8.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("click-8.1.0.dist-info/RECORD", "")


def test_a_package_that_was_changed_by_hand_is_named(tmp_path: Path) -> None:
    """A package that somebody upgraded in a version's venv differs from every other server of the zone."""
    now = locked.installed()
    assert "pip" not in now
    (tmp_path / locked.STAMP).write_text(json_of({**now, "click": "0.1", "gone": "1"}))
    assert list(locked.differences(tmp_path)) == [
        f"click is {now['click']} instead of 0.1",
        "gone is missing instead of 1",
    ]
    (tmp_path / locked.STAMP).write_text(json_of(now))
    assert list(locked.differences(tmp_path)) == []


def json_of(packages: dict[str, str]) -> str:
    import json

    return json.dumps(packages)


@pytest.mark.process
def test_the_set_is_printed_by_the_interpreter_that_has_it() -> None:
    """The stamp of a version is of its own packages, not of those of the Python that builds it."""
    done = subprocess.run(
        [sys.executable, "-m", "onext.install.locked"], capture_output=True, text=True, check=True
    )
    assert '"click":' in done.stdout

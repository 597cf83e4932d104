"""`./install.sh --sandbox`: what a person sees who tries the bundle on a machine without OpenNebula."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.tour.stage import Stage, TourError
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.process, pytest.mark.timeout(1200)]


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder for temporary files with a short name: paths of Unix sockets have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tour-", dir="/tmp") as folder:
        yield Path(folder)


def test_the_whole_tour(wheels: Path, short: Path) -> None:
    """One command shows a host that got its place through a hook, and leaves nothing behind."""
    done = subprocess.run(
        [ROOT / "install.sh", "--sandbox", "--offline", wheels],
        env={
            **os.environ,
            "PYTHON": getattr(sys, "_base_executable", sys.executable),
            "TMPDIR": str(short),
        },
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "node-stockholm  59.3333,18.05" in done.stdout
    assert "node-amsterdam  52.3735,4.8951" in done.stdout
    assert "onext-host-monitored: exit code 0" in done.stdout
    assert "migrate_default: OpenNebula's own" in done.stdout
    assert re.search(r"\boffline +off +off\b", done.stdout)
    restarts = re.findall(r"\(priority (\d)\) restarts on (shop-[a-z]+)", done.stdout)
    assert [priority for priority, _ in restarts] == ["9", "9", "5"]
    assert "shop-a" not in {host for _, host in restarts}
    timeline = re.findall(r"^    \S+Z +\d+  (\w+(?: VM)?)", done.stdout, re.MULTILINE)
    expected = ["suspect", "confirm", "spare", "order", "fenced", "evacuating", "done", "stale VM", "closed"]
    assert [what for what in dict.fromkeys(timeline) if what in expected] == expected
    assert re.search(r"edge-amsterdam +193\.0\.6\.140 +52\.3735,4\.8951", done.stdout)
    assert "hosts with this name: []" in done.stdout
    assert "io.opennebula.onext.host.created" in done.stdout
    assert "are as before, byte for byte" in done.stdout
    assert list(short.glob("onext-sandbox-*")) == []


def test_E5_no_scene_prints_a_command_that_it_does_not_run() -> None:
    """A person types what the tour shows, and gets an error: shown and run must be the same words."""
    scenes = {path: path.read_text() for path in (ROOT / "sandbox/tour").rglob("*.py")}
    assert [path.name for path, text in scenes.items() if "  $ " in text] == ["stage.py"]


def test_E5_a_command_that_fails_ends_the_tour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tour would show a command's error, or a traceback, as if it were what users get."""
    stage = Stage(tmp_path)
    assert stage.typed("echo one; echo two").split() == ["one", "two"]
    assert capsys.readouterr().out == "  $ echo one; echo two\n    one\n    two\n"
    with pytest.raises(TourError, match="exit code 3"):
        stage.typed("exit 3")
    (tmp_path / "busy").touch()
    assert stage.typed("test -e busy && rm busy && echo busy && exit 1; echo done", retry="busy") == "done\n"


def test_what_is_left_running_can_be_ended(tmp_path: Path) -> None:
    """After --keep one script ends every process and removes every file; not one that has an old number now."""
    stage = Stage(tmp_path / "kept")
    stage.folder.mkdir()
    stage.start()
    gone = stage.leave_running("true", cwd=tmp_path)
    gone.wait(PATIENCE)
    assert stage.call("system.version") == "7.4.0"
    script = stage.leave()
    assert str(gone.pid) not in re.findall(r"^kill ([0-9 ]*)", script.read_text(), re.MULTILINE)[0].split()
    subprocess.run([script], capture_output=True, timeout=PATIENCE, check=True)
    assert not stage.folder.exists()
    assert [process.wait(PATIENCE) for process in stage._processes] == [0, 0]
    for process in stage._processes:
        if process.stdout is not None:
            process.stdout.close()

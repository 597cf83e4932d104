"""Settings that change while the worker runs."""

import os
from pathlib import Path

import pytest

from onext.part import Context
from onext.paths import Paths
from onext.worker.renewal import Renewal


class Scene:
    def __init__(self, tmp_path: Path) -> None:
        paths = Paths.self_contained(tmp_path)
        paths.etc.mkdir()
        self.file = paths.settings
        self.count = 0
        self.renewal = Renewal(Context(paths))

    def write(self, text: str) -> None:
        self.count += 1
        self.file.write_text(text)
        os.utime(self.file, (self.count, self.count))

    def timeout(self) -> float | None:
        context = self.renewal.current()
        return context.settings.oned.timeout if context else None


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_change_is_taken(scene: Scene) -> None:
    """An administrator edits the file and sees it work."""
    assert scene.timeout() == 30
    scene.write("oned:\n  timeout: 5\n")
    assert scene.timeout() == 5
    scene.file.unlink()
    assert scene.timeout() == 30


def test_a_mistake_leaves_the_old_ones(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A typing error on a Friday evening must not stop what worked."""
    scene.write("oned:\n  timeout: 5\n")
    assert scene.timeout() == 5
    scene.write("oned:\n  timeout: soon\n")
    assert [scene.timeout() for _ in range(3)] == [5, 5, 5]
    assert caplog.text.count("onext.yaml:2: oned.timeout") == 1


def test_wrong_from_the_start_begins_nothing(scene: Scene) -> None:
    """Without settings that are good there is no envelope: nothing may be done."""
    scene.write("power: yes please\n")
    assert scene.renewal.current() is None
    scene.write("")
    assert scene.timeout() == 30


def test_C4_credentials_that_change_are_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a change of oneadmin's password every call failed until somebody touched onext.yaml."""
    session = tmp_path / "one_auth"
    session.write_text("oneadmin:old\n")
    monkeypatch.setenv("ONE_AUTH", str(session))
    first = scene.renewal.current()
    assert first is not None
    assert first.oned.session == "oneadmin:old"
    assert scene.renewal.current() is first
    session.write_text("oneadmin:rotated\n")
    second = scene.renewal.current()
    assert second is not None
    assert second.oned.session == "oneadmin:rotated"
    assert second.reader is first.reader

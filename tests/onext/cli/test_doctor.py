"""`onext doctor` within its deadline, whatever the things are like that it checks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import click
import pytest

from onext.cli import doctor
from onext.part import Check, Context
from onext.paths import Paths
from onext.results import Result, Results
from onext.worker import renewal


def run(sections: dict[str, doctor.Section]) -> dict[str, Check]:
    """Run sections with a short deadline."""
    return {check.name: check for check in doctor._Run(sections, 0.5).checks()}


def test_C5_what_hangs_is_reported_and_the_rest_too(tmp_path: Path) -> None:
    """With oned hung, doctor printed nothing at all for three minutes."""
    never = threading.Event()

    def hangs() -> Iterable[Check]:
        never.wait(60)
        return []

    def well() -> Iterable[Check]:
        yield Check("database", "ok", "there")

    found = run({"oned": hangs, "geolocation": well})
    never.set()
    assert found["oned"].level == "fail"
    assert "not finished after 0.5 s" in found["oned"].message
    assert found["geolocation: database"].level == "ok"


def test_a_fault_of_one_check_hides_no_other() -> None:
    """A bug in one part's check would leave the administrator without all the others."""

    def breaks() -> Iterable[Check]:
        yield Check("first", "ok", "fine")
        raise ZeroDivisionError

    found = run({"power": breaks, "worker": lambda: [Check("worker", "ok", "runs")]})
    assert set(found) == {"power: first", "power", "worker"}
    assert found["power"].level == "fail"


def test_E5_failed_objects_are_visible(tmp_path: Path) -> None:
    """Four hosts whose geolocation failed left doctor green."""
    context = Context(Paths.self_contained(tmp_path))
    context.paths.state.mkdir(parents=True)
    results = Results(context.paths.state / "results.json")
    for number in range(5):
        result = Result(1.0, 0.1, number == 0, "ssh: no route to host", None if number == 0 else 8.0)
        results.record(f"geolocation.host.{number}", result)
    results.save(force=True)
    (check,) = doctor._results(context)
    assert (check.name, check.level) == ("geolocation: results", "warn")
    assert "4 of 5 failed" in check.message
    assert "no route to host" in check.message


def test_E5_invalid_settings_say_what_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker runs on the old settings, and the administrator believes that the new ones hold."""
    context = Context(Paths.self_contained(tmp_path))
    context.paths.etc.mkdir()
    context.paths.settings.write_text("power: 5\n")
    monkeypatch.setattr(renewal, "problem", lambda _: "x; the old settings stay in use")
    monkeypatch.setattr(doctor, "_installation", lambda _: [])
    found = doctor.findings(context, local=True)
    settings = next(check for check in found if check.name == "settings")
    assert settings.level == "fail"
    assert "onext.yaml:1: power" in settings.message
    assert settings.message.endswith("the old settings stay in use")


def test_a_nodes_check_without_the_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--parts geolocation` an administrator reads a traceback instead of what is missing."""
    monkeypatch.setattr("importlib.import_module", _no_exporter)
    with pytest.raises(click.UsageError, match="needs the exporter"):
        doctor._node("node-1")


def _no_exporter(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name="exporter")

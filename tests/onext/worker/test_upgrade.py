"""The first start after an upgrade."""

from __future__ import annotations

from pathlib import Path

from onext.part import Context
from onext.paths import Paths
from onext.results import Result, Results
from onext.worker.upgrade import take_over


def test_a_part_that_was_stopped_stays_stopped_under_its_new_name(tmp_path: Path) -> None:
    """An administrator stopped it for a reason; and two metrics files make the exporter's page invalid."""
    context = Context(Paths.self_contained(tmp_path))
    for folder in (context.paths.stopped, context.paths.metrics):
        folder.mkdir(parents=True)
    (context.paths.stopped / "prometheus").touch()
    (context.paths.metrics / "prometheus.prom").touch()
    take_over(context)
    take_over(context)
    assert context.stopped("targets")
    assert [file.name for file in context.paths.stopped.iterdir()] == ["targets"]
    assert list(context.paths.metrics.iterdir()) == []


def test_results_of_parts_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    """`status` would show failures of a part that is not there, and 10,000 keys of the version before."""
    results = Results(tmp_path / "r.json")
    for key in ("prometheus.vm.1", "targets.pool.0"):
        results.record(key, Result(1.0, 0.1, False, "x"))
    results.keep(["targets"])
    assert results.repeats("targets.pool.0", "x")
    assert not results.repeats("prometheus.vm.1", "x")

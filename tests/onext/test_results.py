"""The worker's last results: small, and read whatever wrote them."""

from __future__ import annotations

import json
from pathlib import Path

from onext.results import Result, Results, read


def test_results_come_back(tmp_path: Path) -> None:
    """After a restart, geolocation must know which hosts it asked, and `status` what failed."""
    results = Results(tmp_path / "r.json")
    results.record("a.host.1", Result(1700000000.0, 0.25, True, "fine"))
    results.record("a.host.2", Result(1700000001.0, 1.0, False, "no\nanswer", 8.0))
    results.save(force=True)
    found = read(tmp_path / "r.json")
    assert found["a.host.1"] == Result(1700000000.0, 0.25, True, "fine")
    assert found["a.host.2"] == Result(1700000001.0, 1.0, False, "no?answer", 8.0)


def test_the_file_is_small(tmp_path: Path) -> None:
    """It is written again whenever a result changes: with 1,250 hosts 2.8 MB each time was a burden."""
    results = Results(tmp_path / "r.json")
    for number in range(1250):
        reason = "59.25,18.0833 of 130.237.28.40"
        results.record(f"geolocation.host.{number}", Result(1700000000.123, 0.123456, True, reason))
    results.record(
        "targets.pool.0", Result(1700000000.0, 1.0, True, "10000 targets, 3 refused, 1 file changed")
    )
    results.save(force=True)
    assert (tmp_path / "r.json").stat().st_size < 100_000


def test_the_form_of_the_version_before_is_read(tmp_path: Path) -> None:
    """After an upgrade every host would be asked by ssh at once."""
    old = {"geolocation.host.1": {"at": 1.5, "took": 0.1, "ok": True, "message": "m", "retry": None}}
    (tmp_path / "r.json").write_text(json.dumps(old))
    assert read(tmp_path / "r.json")["geolocation.host.1"].at == 1.5


def test_one_invalid_result_costs_no_other(tmp_path: Path) -> None:
    """A time that is no number made `status` fail with a traceback."""
    rows = '{"a": [NaN, 1, 1, "x"], "b": [1e300, 1, 1, "x"], "c": [5, 0.1, 1, "fine"], "d": [1, 1, 1, 5], "e": 7}'
    (tmp_path / "r.json").write_text(rows)
    assert read(tmp_path / "r.json") == {"c": Result(5.0, 0.1, True, "fine")}


def test_an_invalid_file_is_nothing_known(tmp_path: Path) -> None:
    """A file that was cut, or nested without end, must not end the worker or `status`."""
    for text in ("", "{", "[1]", '{"a": 1}', '{"a": [1]}', "[" * 100_000):
        (tmp_path / "r.json").write_text(text)
        assert read(tmp_path / "r.json") == {}

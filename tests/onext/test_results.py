"""The worker's last results: small, and read whatever wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onext import results as module
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


FINE = Result(5.0, 0.1, True, "fine")


@pytest.mark.parametrize(
    ("row", "result"),
    [
        ('[0, 0, 0, "x"]', Result(0.0, 0.0, False, "x")),
        ('[1e11, 1e11, 2, "x"]', Result(1e11, 1e11, True, "x")),
        ('[1.1e11, 1, 1, "x"]', None),
        ('[1, 1.1e11, 1, "x"]', None),
        ('[-1, 1, 1, "x"]', None),
        ('[1, -1, 1, "x"]', None),
        ('[1, 1, 1, "x", 1e6]', Result(1.0, 1.0, True, "x", 1e6)),
        ('[1, 1, 1, "x", 0]', Result(1.0, 1.0, True, "x", 0.0)),
        ('[1, 1, 1, "x", 1e7]', Result(1.0, 1.0, True, "x")),
        ('[1, 1, 1, "x", -1]', Result(1.0, 1.0, True, "x")),
        ('[1, 1, 1, "x", null]', Result(1.0, 1.0, True, "x")),
        ("[1, 1, 1]", None),
        ('[1, 1, 1, "x", 1, 1]', None),
        ('{"at": 1, "took": 2, "ok": false, "message": "m", "retry": 3}', Result(1.0, 2.0, False, "m", 3.0)),
        ('{"at": 1, "took": 2, "ok": false}', None),
    ],
)
def test_a_row_is_read_within_its_limits(tmp_path: Path, row: str, result: Result | None) -> None:
    """`status` would show a result that never was, or end with a traceback."""
    (tmp_path / "r.json").write_text(f'{{"a": {row}}}')
    assert read(tmp_path / "r.json") == ({} if result is None else {"a": result})


def test_what_is_written_is_rounded_and_cut(tmp_path: Path) -> None:
    """The file grows with the longest error that a server sends."""
    results = Results(tmp_path / "r.json")
    results.record("a", Result(5.4, 0.126, True, "x" * 500, 7.6))
    results.record("b", Result(5.4, 0.126, False, "x" * 501))
    results.save(force=True)
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert "…" in text, "written as it is, which is shorter"
    rows = json.loads(text)
    assert rows == {"a": [5, 0.13, 1, "x" * 500, 8], "b": [5, 0.13, 0, "x" * 499 + "…"]}


def test_the_oldest_result_is_forgotten_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file grows without an end, or the results of today make room for those of last year."""
    monkeypatch.setattr(module, "MOST", 2)
    results = Results(tmp_path / "r.json")
    for key in ("a", "b", "a", "c"):
        results.record(key, FINE)
    results.save(force=True)
    assert list(read(tmp_path / "r.json")) == ["a", "c"]


def test_the_file_is_written_once_a_second_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storm of events would write it for each of them, and a quiet front-end every second."""
    clock, writes = [100.0], list[float]()
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("onext.atomic.write", lambda *_: writes.append(clock[0]))
    results = Results(tmp_path / "r.json")
    results.save(force=True)
    for now in (100.0, 100.5, 101.0, 101.5, 105.0):
        clock[0] = now
        if now < 105:
            results.record("a", FINE)
        results.save()
    assert writes == [100.0, 101.5]
    results.forget("b")
    results.save(force=True)
    results.forget("a")
    results.save()
    assert writes == [100.0, 101.5, 105.0], "forgetting a result is a change, and of an unknown one is none"


def test_a_write_that_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full disk `status` would show what was before it for ever."""
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    results = Results(tmp_path / "gone/r.json")
    results.record("a", FINE)
    with pytest.raises(OSError, match="gone"):
        results.save()
    (tmp_path / "gone").mkdir()
    clock[0] = 102.0
    results.save()
    assert read(tmp_path / "gone/r.json") == {"a": FINE}


def test_results_of_other_parts_are_dropped_and_repetitions_known(tmp_path: Path) -> None:
    """`status` shows a part that is not installed, and the log repeats a message each minute."""
    results = Results(tmp_path / "r.json")
    results.record("power.pool.0", FINE)
    results.record("old.host.1", FINE)
    results.keep(["power"])
    results.save(force=True)
    assert list(read(tmp_path / "r.json")) == ["power.pool.0"]
    again = Results.load(tmp_path / "r.json")
    assert again.repeats("power.pool.0", "fine")
    assert not again.repeats("power.pool.0", "other")
    assert not again.repeats("old.host.1", "fine")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`onext status` would take all memory of the front-end."""
    file = tmp_path / "r.json"
    file.write_text('{"a": [5, 0.1, 1, "fine"]}')
    monkeypatch.setattr(module, "_LARGEST", file.stat().st_size)
    assert read(file) == {"a": FINE}
    monkeypatch.setattr(module, "_LARGEST", file.stat().st_size - 1)
    assert read(file) == {}

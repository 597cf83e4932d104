"""What a pass logs of refusals: what is new, and no more than fits."""

from __future__ import annotations

from pathlib import Path

from hooks.targets.log_limit import NewLines

PER_PASS, PER_HOUR = 20, 200


def test_S8_a_refusal_is_logged_once() -> None:
    """Four VMs that change all the time would write 304 KB with each change."""
    log = NewLines()
    assert list(log.of(["a", "b", "a"], 0.0)) == ["a", "b"]
    assert list(log.of(["b", "a"], 1.0)) == []
    assert list(log.of(["a", "c"], 2.0)) == ["c"]
    assert list(log.of(["a", "b", "c"], 3.0)) == ["b"]  # it was away and came back


def test_S8_lines_of_a_pass_and_of_an_hour_are_capped() -> None:
    """Tenants fill the disk of the front-end by changing what is refused."""
    log = NewLines()
    first = list(log.of([f"{number}" for number in range(1000)], 0.0))
    assert len(first) == PER_PASS + 1
    assert first[-1] == "980 more lines are not logged: see `onext targets list`"
    logged = len(first) + sum(
        len(list(log.of([f"{turn}-{number}" for number in range(1000)], float(turn)))) for turn in range(3000)
    )
    assert logged <= PER_HOUR + PER_HOUR / PER_PASS
    assert list(log.of(["x"], 3599.0)) == []
    assert list(log.of(["y"], 3600.0)) == ["y"]  # the next hour
    assert list(log.of(["z"], 0.0)) == ["z"]  # a clock that was set back must not silence the log


def test_S8_the_log_as_a_whole_is_bounded() -> None:
    """A year of weekly logs without a limit of size fills /var."""
    text = (Path(__file__).parents[3] / "onext/install/logrotate.conf").read_text()
    words = dict(line.strip().partition(" ")[::2] for line in text.splitlines())
    assert words["maxsize"] == "50M"
    assert int(words["rotate"]) <= 12
    assert "compress" in words

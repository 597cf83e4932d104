"""What `make live` prints at its end; it needs no OpenNebula."""

from types import SimpleNamespace

from tests.live.report import Outcome, lines


def test_one_line_for_each_part_whatever_pytest_reports() -> None:
    """A run of some tests only would end in a traceback instead of saying what passed on the release."""

    def of(name: str, **more: float) -> Outcome:
        made: Outcome = SimpleNamespace(nodeid=f"tests/live/test_{name}.py::test_x", **more)
        return made

    stats = {
        "passed": [of("hooks", duration=1.0), of("hosts", duration=2.0)],
        "failed": [of("hooks", duration=3.0)],
        "": [of("hooks", duration=4.0)],
        "deselected": [of("power")],
    }
    assert list(lines(stats)) == ["hooks: 1 passed, 1 failed (8 s)", "hosts: 1 passed (2 s)"]

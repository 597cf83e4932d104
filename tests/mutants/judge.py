"""Run the tests that reach a changed line, in a forked process that has third-party libraries loaded already."""

from __future__ import annotations

import ast
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import pytest
from hypothesis import settings

from tests.mutants.modules import MODULES

_LIBRARIES = (
    "_pytest",
    "hypothesis",
    "pydantic",
    "requests",
    "yaml",
    "pyone",
    "biscuit_auth",
    "click",
    "lxml",
)
_OPTIONS = ("-q", "--no-header", "-p", "no:randomly", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_AT_IMPORT = ""  # coverage's name of what runs while files are collected
_STARTS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork"})


@dataclass(frozen=True)
class Reach:
    """What the tests of one file do: per module and line the tests that execute it; seconds of each test."""

    lines: Mapping[str, Mapping[str, Sequence[str]]]
    seconds: Mapping[str, float]
    starts: Sequence[str]  # tests that start processes: what these execute is not seen from here


class Judge:
    """The tests in `copy`, a checkout whose modules are changed one after the other."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._reach: dict[str, Reach] = {}
        for name in _LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)

    def survives(self, module: str, code: str, line: int) -> bool:
        """Return whether no test of `module` fails with `code` in its place; `line` is the one that differs."""
        reaches = [self._reached(file) for file in MODULES[module]]
        target = self._copy / module
        before, times = target.read_text(encoding="utf-8"), target.stat()
        tests = _chosen(reaches, module, before, line)
        target.write_text(code, encoding="utf-8")
        try:
            return all(self._passes(group, reaches) for group in tests if group)
        finally:
            target.write_text(before, encoding="utf-8")
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _passes(self, tests: Sequence[str], reaches: Sequence[Reach]) -> bool:
        seconds = sum(reach.seconds.get(test, 0.0) for reach in reaches for test in tests)
        return (
            self._forked(
                lambda: int(pytest.main([*_OPTIONS, "-x", *tests])), 60 + 10 * seconds, 20 + 4 * seconds
            )
            == 0
        )

    def _reached(self, file: str) -> Reach:
        if file not in self._reach:
            result = self._copy / ".reach.json"
            self._forked(lambda: _measure(self._copy, file, result), 900, 300)
            self._reach[file] = Reach(**json.loads(result.read_text(encoding="utf-8")))
            result.unlink()
        return self._reach[file]

    def _forked(self, do: Callable[[], int], seconds: float, processor: float) -> int:
        """Run something in a process group of its own; return its exit code, 1 where it took too long."""
        pid = os.fork()
        if pid == 0:
            self._child(do, processor)
        ends = time.monotonic() + seconds
        try:
            while time.monotonic() < ends:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.02)
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return 1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what the tests left

    def _child(self, do: Callable[[], int], processor: float) -> None:
        code = 70
        try:
            os.setpgid(0, 0)
            os.chdir(self._copy)
            resource.setrlimit(resource.RLIMIT_CPU, (int(processor), int(processor) + 5))
            void = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(void, descriptor)
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            sys.path[:] = [
                str(self._copy),
                *(path for path in sys.path if path not in ("", os.environ["PWD"])),
            ]
            os.environ.update(PYTHONPATH=str(self._copy), CI="1", PWD=str(self._copy))
            code = do()
        finally:
            os._exit(code)


def _chosen(reaches: Sequence[Reach], module: str, text: str, line: int) -> list[list[str]]:
    """Return the tests that execute the statement on `line`, quickest first; then those that start processes.

    Of a statement that runs when the module is imported: every test.
    """
    seconds = {test: took for reach in reaches for test, took in reach.seconds.items()}
    first, last = statement(text, line)
    there = {
        test
        for reach in reaches
        for number, tests in reach.lines.get(module, {}).items()
        if first <= int(number) <= last
        for test in tests
    }
    if _AT_IMPORT in there:
        there = set(seconds)
    starts = {test for reach in reaches for test in reach.starts} - there
    return [sorted(there, key=lambda test: seconds.get(test, 0.0)), sorted(starts)]


def statement(text: str, line: int) -> tuple[int, int]:
    """Return the first and last line of the innermost statement on `line`; of a block its head only."""
    first, last = line, line
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        body = getattr(node, "body", None)
        end = body[0].lineno - 1 if body else node.end_lineno or 0
        if line <= max(end, node.lineno):
            first, last = node.lineno, max(end, node.lineno)
    return first, last


def _measure(copy: Path, file: str, result: Path) -> int:
    """Run the tests of one file; write what each of them executes as a `Reach`."""
    watch = coverage.Coverage(
        data_file=None, include=[str(copy / name) for name in MODULES], config_file=False
    )
    seconds: dict[str, float] = {}
    starts: set[str] = set()
    now = [_AT_IMPORT]

    class Plugin:
        def pytest_sessionstart(self) -> None:
            settings.register_profile("reach", settings(), max_examples=3)
            settings.load_profile("reach")

        def pytest_runtest_logstart(self, nodeid: str) -> None:
            watch.switch_context(nodeid)
            now[0] = nodeid

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration

    sys.addaudithook(lambda event, _: starts.add(now[0]) if event in _STARTS else None)
    watch.start()
    code = int(pytest.main([*_OPTIONS, file], plugins=[Plugin()]))
    watch.stop()
    data = watch.get_data()
    lines = {
        str(Path(name).relative_to(copy)): {
            str(n): tests for n, tests in data.contexts_by_lineno(name).items()
        }
        for name in data.measured_files()
    }
    reach = Reach(lines, seconds, sorted(starts - {_AT_IMPORT}))
    result.write_text(json.dumps(asdict(reach)), encoding="utf-8")
    return code

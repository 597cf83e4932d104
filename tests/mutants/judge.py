"""Run a changed module's tests in a forked process that has everything loaded which does not depend on it."""

from __future__ import annotations

import ast
import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mutants.modules import MODULES

PATIENCE, PROCESSOR = (
    300.0,
    60,
)  # seconds for the tests of one mutant, and of the processor: one that hangs is noticed
_EXAMPLES = 20
_OPTIONS = ("-q", "-x", "--no-header", "-p", "no:randomly", "-W", "ignore::pytest.PytestAssertRewriteWarning")
_LIBRARIES = (
    *("_hypothesis_pytestplugin", "asyncio", "bcrypt", "biscuit_auth", "click", "concurrent.futures"),
    *("cryptography.x509", "faulthandler", "http.server", "hypothesis.strategies", "mmdb_writer", "netaddr"),
    *("pdb", "pydantic", "pyone", "pytest_socket", "pytest_timeout", "requests", "ruamel.yaml", "secrets"),
    *("sqlite3", "xml.etree.ElementTree", "yaml"),
)
_PROJECT = ("onext", "hooks", "exporter", "sandbox", "edge", "gateway")


class _FewExamples:
    """Fewer examples of a property than its tests usually try: what survives these may yet be noticed."""

    def pytest_sessionstart(self) -> None:
        settings.register_profile("mutants", settings(), max_examples=_EXAMPLES)
        settings.load_profile("mutants")


class Judge:
    """The tests in `copy`, a checkout whose modules are changed one after the other."""

    def __init__(self, copy: Path) -> None:
        self._copy, self._report = copy, copy / ".report"
        os.chdir(copy)
        sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", os.environ.get("PWD")))]
        os.environ.update(PYTHONPATH=str(copy), CI="1", PWD=str(copy))
        self._users = _users(copy)
        for name in (*_LIBRARIES, *sorted(self._users)):
            with suppress(ImportError):
                importlib.import_module(name)
        gc.freeze()

    def survives(self, module: str, code: str) -> bool:
        """Return whether no test of `module` fails with `code` in its place."""
        target = self._copy / module
        before, times = target.read_text(encoding="utf-8"), target.stat()
        target.write_text(code, encoding="utf-8")
        try:
            return self._passes(module)
        finally:
            target.write_text(before, encoding="utf-8")
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _passes(self, module: str) -> bool:
        pid = os.fork()
        if pid == 0:
            self._test(module)
        ends = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < ends:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    return status == 0
                time.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # what the tests left

    def _test(self, module: str) -> None:
        code = 70
        try:
            os.setpgid(0, 0)
            multiprocessing.current_process().daemon = False  # a pool's process may start none otherwise
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR, PROCESSOR + 5))
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            report = os.open(self._report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(report, descriptor)
            self._unload(module.removesuffix(".py").replace("/", "."))
            code = int(pytest.main([*_OPTIONS, *MODULES[module]], plugins=[_FewExamples()]))
        finally:
            os._exit(code)

    def _unload(self, changed: str) -> None:
        """Forget the changed module, whatever imports it, and this program's own `tests`."""
        gone, left = {changed}, [changed]
        while left:
            users = self._users.get(left.pop(), set()) - gone
            gone |= users
            left += users
        for name in [name for name in sys.modules if name in gone or name.split(".")[0] == "tests"]:
            del sys.modules[name]
            parent, _, last = name.rpartition(".")
            with suppress(KeyError, AttributeError):
                delattr(sys.modules[parent], last)


def _users(copy: Path) -> Mapping[str, set[str]]:
    """Return for each of the project's modules those that import it or something in it."""
    paths = [path for folder in _PROJECT for path in (copy / folder).rglob("*.py")]
    names = {".".join(path.relative_to(copy).with_suffix("").parts): path for path in paths}
    packages = {
        name.removesuffix(".__init__"): path for name, path in names.items() if "__main__" not in name
    }
    users: dict[str, set[str]] = {name: set() for name in packages}
    for name, path in packages.items():
        for imported in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if imported in users and imported != name:
                users[imported].add(name)
    return users


def _imported(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

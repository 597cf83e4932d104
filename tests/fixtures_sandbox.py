"""The fixture `sandbox`: `python -m sandbox` as a process below tmp_path, for tests marked `process`."""

import contextlib
import json
import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ending import end
from tests.waiting import until

ROOT = Path(__file__).parent.parent


class Sandbox:
    """A running sandbox: where it is, how to call it, how to make things happen in it."""

    def __init__(self, location: Path, *options: str) -> None:
        self.location = location
        command = [sys.executable, "-m", "sandbox", "--location", str(location), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.endpoint: str = ready["endpoint"]
        self.session = (location / "var/.one/one_auth").read_text().strip()

    @property
    def env(self) -> dict[str, str]:
        """The environment in which clients, hooks started by hand and commands find this sandbox."""
        return {
            **os.environ,
            "ONE_LOCATION": str(self.location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.location / "var/.one/one_auth"),
            "HOME": str(self.location / "var"),
            "PATH": f"{self.location / 'bin'}:{os.environ['PATH']}",
        }

    @property
    def oned_log(self) -> str:
        """What oned.log holds."""
        path = self.location / "var/oned.log"
        return path.read_text() if path.exists() else ""

    def answer(self, method: str, *arguments: Any, session: str | None = None) -> list[Any]:
        """Return the raw answer of a call: [success, value or message, code, …]."""
        with xmlrpc.client.ServerProxy(self.endpoint) as proxy:
            answered = getattr(proxy, method)(self.session if session is None else session, *arguments)
        assert isinstance(answered, list)
        return answered

    def call(self, method: str, *arguments: Any, session: str | None = None) -> Any:
        """Return the value of a call that has to succeed; the prefix `one.` may be left out."""
        name = method if method.startswith(("one.", "sandbox.")) else f"one.{method}"
        answered = self.answer(name, *arguments, session=session)
        assert answered[0], answered[1]
        return answered[1]

    def control(self, method: str, *arguments: Any) -> Any:
        """Make something happen: `control("host.state", 0, "ERROR")`; a dict becomes JSON."""
        plain = [json.dumps(argument) if isinstance(argument, dict) else argument for argument in arguments]
        return self.call(f"sandbox.{method}", *plain)

    def remote(self, path: str, text: str) -> Path:
        """Place an executable below var/remotes."""
        target = self.location / "var/remotes" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)
        return target

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until something holds, and return it; fail with the end of oned.log."""

        def look() -> Any:
            with contextlib.suppress(FileNotFoundError):
                return holds()

        try:
            return until(look, "it")
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}; oned.log:\n{self.oned_log[-3000:]}")

    def stop(self) -> None:
        """End the sandbox and all that it started."""
        end(self.process)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with options of one's own: `sandboxes("--step", "0.01")`."""
    started: list[Sandbox] = []

    def start(*options: str) -> Sandbox:
        started.append(Sandbox(tmp_path / f"one-{len(started)}", *options))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Start a fast sandbox: 20 ms for each state of a life, monitoring on demand (`control("monitor")`)."""
    running = Sandbox(tmp_path / "one", "--step", "0.02", "--monitor", "3600")
    yield running
    running.stop()

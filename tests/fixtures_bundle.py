"""The fixture `bundle`: the hooks and the command of this checkout, placed into a running sandbox.

install.sh has its own tests; this is the same result in a moment, without a venv of its own.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from onext import events
from onext.install.service import holder
from tests.fixtures_sandbox import ROOT, Sandbox
from tests.waiting import PATIENCE, until

PLACES = {
    "130.237.28.0/24": (59.25, 18.0833),
    "193.0.6.0/24": (52.3735, 4.8951),
    "2001:6b0::/32": (59.3333, 18.05),
}


class Bundle:
    """onext below a sandbox's ONE_LOCATION."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.location = sandbox.location
        self.var = sandbox.location / "var/onext"
        for folder in (
            "spool/incoming",
            "spool/taken",
            "spool/refused",
            "state",
            "stopped",
            "targets",
            "run/metrics",
        ):
            (self.var / folder).mkdir(parents=True)
        self.command = self._place(
            "bin/onext",
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from onext.cli.main import main\nmain()\n",
        )

    def hook(self, part: str) -> Path:
        """Place the hook, and the alias of a part, as install.sh does."""
        filled = {
            "SITE": str(ROOT),
            "SPOOL": str(self.var / "spool"),
            "LOG": str(self.location / "var/onext.log"),
            "START": str(self.command),
        }
        text = (ROOT / "hooks/hook").read_text()
        for name, value in filled.items():
            text = re.sub(f"^{name} = .*$", f"{name} = {value!r}", text, flags=re.MULTILINE)
        text = re.sub("^#!.*", f"#!{sys.executable} -IS", text)
        self._place("var/remotes/hooks/onext/event", text)
        return self._place(f"var/remotes/hooks/onext/{part}", text)

    def register(self, part: str) -> None:
        """Register the hook of every state that a part is interested in."""
        for state in events.registered([part]):
            self.sandbox.call("one.hook.allocate", (ROOT / f"hooks/{state.name}.hook").read_text())

    def settings(self, text: str) -> None:
        """Write onext.yaml."""
        (self.location / "etc/onext.yaml").write_text(text)

    def onext(
        self, *arguments: str, check: bool = True, seconds: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in the sandbox's environment."""
        done = subprocess.run(
            [str(self.command), *arguments],
            env=self.sandbox.env,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def run_hook(self, part: str, payload: bytes) -> subprocess.CompletedProcess[bytes]:
        """Run an installed hook as oned would."""
        path = self.location / "var/remotes/hooks/onext" / part
        return subprocess.run(
            [str(path)],
            input=payload,
            env=self.sandbox.env,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def worker_pid(self) -> int | None:
        """Return the worker that holds the lock, None when there is none."""
        return holder(self.var / "worker.lock")

    def kill_worker(self, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send the worker a signal, if there is one; return which it was."""
        pid = self.worker_pid()
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            if pid is not None:
                os.kill(pid, number)
        return pid

    def end_worker(self) -> None:
        """End the worker, if any, and wait until it is gone."""
        pid = self.kill_worker(signal.SIGTERM)
        until(lambda: pid is None or self.worker_pid() != pid, "the worker's end")

    def results(self) -> dict[str, dict[str, object]]:
        """Return the worker's last results by key."""
        rows = json.loads(self.onext("status", "--json", check=False).stdout)["results"]
        return {row["key"]: row for row in rows}

    def template(self, host_id: int) -> dict[str, str]:
        """Return the scalar attributes of a host's template."""
        from xml.etree import ElementTree as ET

        root = ET.fromstring(self.sandbox.call("one.host.info", host_id))
        found = root.find("TEMPLATE")
        assert found is not None
        return {child.tag: child.text or "" for child in found}

    def _place(self, path: str, text: str) -> Path:
        target = self.location / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755)
        return target


def make_database(file: Path) -> Path:
    """Make a small database of cities: Stockholm, Amsterdam."""
    writer = MMDBWriter(6, "GeoLite2-City", ipv4_compatible=True)
    for network, (latitude, longitude) in PLACES.items():
        writer.insert_network(IPSet([network]), {"location": {"latitude": latitude, "longitude": longitude}})
    writer.to_db_file(str(file))
    return file


@pytest.fixture
def bundle(sandbox: Sandbox) -> Iterator[Bundle]:
    """Return the bundle in a sandbox of its own; its worker ends with the test."""
    placed = Bundle(sandbox)
    yield placed
    placed.command.unlink(missing_ok=True)  # where the worker was killed, its keeper waits to start it again
    placed.end_worker()

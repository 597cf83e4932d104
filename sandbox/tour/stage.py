"""A sandbox, its nodes and the bundle that is installed into it: started, asked, ended."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

from sandbox.tour import tell

CHECKOUT = Path(__file__).parents[2]
_SECONDS = 60.0
Answer = TypeVar("Answer")


class TourError(Exception):
    """The tour cannot continue; the message states what did not happen."""


@dataclass
class Stage:
    """One sandbox below a temporary folder."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="onext-sandbox-")))
    endpoint: str = ""
    page: str = ""  # address of the gateway, once it runs
    shop: dict[str, Any] = field(default_factory=dict)  # what the scene of availability began
    before: dict[str, str] = field(default_factory=dict)  # the tree before the installation
    edge: Any = None  # the machines of the scene of edge nodes, where it may make some
    endings: list[Callable[[], None]] = field(default_factory=list)  # called at the end, also after an error
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def location(self) -> Path:
        """Return the sandbox's ONE_LOCATION."""
        return self.folder / "one"

    @property
    def log(self) -> Path:
        """Return the file to which programs that stay write their errors."""
        return self.folder / "programs.log"

    @property
    def env(self) -> dict[str, str]:
        """Return the environment in which people use this front-end."""
        return os.environ | {
            "ONE_LOCATION": str(self.location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.location / "var/.one/one_auth"),
            "PATH": f"{self.location / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }

    def start(self) -> None:
        """Start the front-end, or start it again: it keeps its files and its port, and forgets its pools."""
        port = self.endpoint.rpartition(":")[2].partition("/")[0] or "0"
        ready = self.spawn("sandbox", "--location", str(self.location), "--port", port, "--monitor", "2")
        self.endpoint = json.loads(ready)["endpoint"]

    def stop(self) -> None:
        """End the front-end; its files stay."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self._processes.clear()

    def spawn(self, module: str, *arguments: str, env: dict[str, str] | None = None) -> str:
        """Start a module that stays; return the line that reports that it is ready."""
        command = [sys.executable, "-B", "-E", "-s", "-m", module, *arguments]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._processes.append(process)
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready:
            raise TourError(f"{module} did not start")
        return ready

    def typed(self, command: str, retry: str = "") -> str:
        """Show a command, run exactly what is shown in a shell of this front-end, show and return its output.

        While the output has `retry` in it, the command is run again; it is shown once.
        """
        tell.line(f"  $ {command}")

        def tried() -> str:
            printed = self.run("/bin/sh", "-c", command, check=not retry)
            return "" if retry and retry in printed else printed or "\n"

        printed = self.until(f"`{command}` does its work", tried) if retry else tried()
        tell.indented(printed.strip())
        return printed

    def run(self, *command: str, check: bool = True) -> str:
        """Run a program of this front-end and return what it printed."""
        done = subprocess.run(
            command,
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if check and done.returncode:
            raise TourError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def leave_running(self, *command: str, cwd: Path) -> subprocess.Popen[str]:
        """Start a program of this front-end that runs until the end, and return it."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command, cwd=cwd, env=self.env, stdout=log, stderr=log, text=True, start_new_session=True
            )
        self._processes.append(process)
        return process

    def install_sh(self, *options: str) -> str:
        """Run install.sh on this front-end: the code path of a real one."""
        return self.run(str(CHECKOUT / "install.sh"), *options)

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - oned answers text, numbers, truths
        """Call `one.<method>` as oneadmin and return its value."""
        session = Path(self.env["ONE_AUTH"]).read_text().strip()
        name = method if method.startswith("sandbox.") else f"one.{method}"
        with xmlrpc.client.ServerProxy(self.endpoint) as proxy:
            answered: Any = getattr(proxy, name)(session, *arguments)
        if not answered[0]:
            raise TourError(f"{name}: {answered[1]}")
        return answered[1]

    def document(self, method: str, *arguments: object) -> ET.Element:
        """Call `one.<method>` and return its XML: the sandbox's own, on loopback."""
        return ET.fromstring(self.call(method, *arguments))  # noqa: S314

    def until(self, what: str, holds: Callable[[], Answer | None], seconds: float = _SECONDS) -> Answer:
        """Wait until something holds and return it; raise TourError, with the end of the log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(0.1)
        logs = (self.location / "var/onext.log", self.log)
        told = "\n".join(log.read_text()[-2000:] for log in logs if log.exists())
        raise TourError(f"did not happen within {seconds:.0f} s: {what}\n{told}")

    def installed(self, path: str) -> bool:
        """Whether install.sh placed this file."""
        return (self.location / path).exists()

    def end(self) -> None:
        """End every process and remove every file."""
        for ending in self.endings:
            ending()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def leave(self) -> Path:
        """Let it run on; return the script that ends it."""
        script = self.folder / "end"
        uninstall = f"ONE_LOCATION={self.location} ONE_XMLRPC={self.endpoint} ONE_AUTH={self.env['ONE_AUTH']}"
        pids = " ".join(str(process.pid) for process in self._processes if process.poll() is None)
        lines: Sequence[str] = (
            "#!/bin/sh",
            f"{uninstall} {CHECKOUT}/install.sh --uninstall --backup {self.folder}/settings.tar.gz",
            f"kill {pids} 2>/dev/null",  # some may have ended by then
            f"rm -rf {self.folder}",
        )
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o700)
        return script

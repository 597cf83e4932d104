"""A real Prometheus, the exporter as a process, and a stand-in for what runs on hosts and in VMs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sandbox.ports import free_port
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, Any]:
    """Return status, body and headers; 0 where nobody answers."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers
    except (urllib.error.URLError, OSError):
        return 0, b"", {}


@contextmanager
def process(*argv: str | Path, cwd: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the end of the block."""
    running = subprocess.Popen(
        [str(word) for word in argv], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()


@contextmanager
def exporter(
    endpoint: str,
    folder: Path,
    settings: str = "",
    *options: str,
    listen: str = "",
    login: str = "exporter:secret",
) -> Iterator[str]:
    """Run onext-exporter and return its address."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "onext.yaml").write_text(settings)
    (folder / "auth").write_text(f"{login}\n")
    listen = listen or f"127.0.0.1:{free_port()}"
    with process(
        sys.executable, "-m", "exporter", "--settings", folder / "onext.yaml", "--auth", folder / "auth",
        "--endpoint", endpoint, "--listen", listen, "--parts", folder / "metrics", *options,
    ) as running:  # fmt: skip
        until(lambda: running.poll() is not None or _answers(listen), "the exporter's start")
        assert running.poll() is None, running.communicate()[1]
        yield listen


def _answers(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    try:
        socket.create_connection(
            ({"::": "::1"}.get(host.strip("[]"), host.strip("[]")), int(port)), 1
        ).close()
    except OSError:
        return False
    return True


class Prometheus:
    """A running Prometheus, asked through its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **parameters: str) -> Any:
        """Return the data of an API call."""
        status, body, _ = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert status == 200, body
        return json.loads(body)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the result of an instant query."""
        result = self.api("query", query=expression)["result"]
        assert isinstance(result, list)
        return result

    def targets(self, job: str) -> dict[str, dict[str, str]]:
        """Return the labels of the active targets of a job, by address."""
        active = self.api("targets", state="active")["activeTargets"]
        return {t["labels"]["instance"]: t["labels"] for t in active if t["labels"]["job"] == job}

    def alerts(self) -> list[str]:
        """Return the names of alerts that fire or are about to."""
        return [alert["labels"]["alertname"] for alert in self.api("alerts")["alerts"]]


@contextmanager
def prometheus(folder: Path, configuration: str) -> Iterator[Prometheus]:
    """Run Prometheus on loopback with its data below `folder`."""
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / "prometheus.yml"
    file.write_text(configuration)
    listen = f"127.0.0.1:{free_port()}"
    with process(
        "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={listen}", "--log.level=warn",
    ) as running:  # fmt: skip
        until(
            lambda: running.poll() is not None or get(f"http://{listen}/-/ready")[0] == 200,
            "Prometheus's start",
        )
        assert running.poll() is None, running.communicate()[1]
        yield Prometheus(f"http://{listen}")


@contextmanager
def pages(page: Callable[[str, str], str | None]) -> Iterator[int]:
    """Serve pages on every loopback address; `page(own address, path)` is the text, None is silence."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = page(self.connection.getsockname()[0], self.path)
            if text is None:
                time.sleep(30)
                return
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256  # all hosts at once come to this one socket

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that left is what some tests are about

    with Server(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()

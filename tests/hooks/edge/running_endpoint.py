"""A running endpoint, with a worker and a hub that the test plays."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

from edge.word import Server
from onext import unix_service
from tests.fixtures_sandbox import ROOT
from tests.waiting import PATIENCE, until


class Endpoint:
    """A running endpoint whose worker answers with fixed bytes."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.answer, self.asked = folder, b'200\n{"x": 1}', list[bytes]()
        self.delay: threading.Event | None = None  # the worker's answer waits for it
        self.worker = socket.socket(socket.AF_UNIX)
        with unix_service.address(folder / "worker") as name:
            self.worker.bind(name)
        self.worker.listen()
        threading.Thread(target=self._work, daemon=True).start()
        words = [
            "--listen",
            f"127.0.0.1:{self.port}",
            "--state",
            str(folder),
            "--publish",
            str(folder / "public.pem"),
        ]
        self.command = [
            sys.executable,
            "-m",
            "hooks.edge.endpoint",
            *words,
            "--worker",
            str(folder / "worker"),
            "--hub-list",
            str(folder / "hub.json"),
        ]
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(self.command, cwd=ROOT)
        until(self._listens, "the endpoint's port")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _work(self) -> None:
        while True:
            try:
                stream, _ = self.worker.accept()
            except OSError:
                return
            with stream:
                data = b""
                while chunk := stream.recv(65_536):
                    data += chunk
                self.asked.append(data)
                if self.delay is not None:
                    self.delay.wait(PATIENCE)
                stream.sendall(self.answer)

    @property
    def digest(self) -> str:
        """The hash that a token would name."""
        pem = (self.folder / "public.pem").read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def target(self, digest: str = "") -> Server:
        """Return where the node program goes."""
        return Server("127.0.0.1", self.port, digest or self.digest)

    def connect(self) -> ssl.SSLSocket:
        """Return a connection whose handshake is done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 20))

    def raw(self, data: bytes) -> bytes:
        """Send bytes within TLS, and return the answer."""
        with self.connect() as stream:
            stream.sendall(data)
            found = b""
            while chunk := stream.recv(65_536):
                found += chunk
        return found

    def hub(self) -> socket.socket:
        """Return a socket in the place of the hub."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.settimeout(PATIENCE)
        (self.folder / "hub.json").write_text(json.dumps({"port": made.getsockname()[1]}))
        return made

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()

"""Real brokers on loopback with a folder of their own: NATS with JetStream, RabbitMQ, Mosquitto.

Each can be killed, stopped in place and started again with what it had on its disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import until

RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a server accepts connections on a port of loopback."""
    with socket.socket() as trial:
        trial.settimeout(1.0)
        return trial.connect_ex(("127.0.0.1", port)) == 0


def program(name: str) -> str:
    """Return the path of a server's program; without it the test fails in CI and is skipped elsewhere."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/lib/rabbitmq/bin")
    if found is None:
        reason = f"{name} is not installed (tests/packages.sh installs it)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Broker:
    """A server process; `url` is what a sink needs."""

    folder: Path
    kind: str
    command: Sequence[str]
    port: int
    url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            self.command,
            stdout=log,
            stderr=log,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )
        log.close()
        until(lambda: listens(self.port), f"the start of {self.kind}")
        if self.kind == "amqp":
            until(self._answers_amqp, "an answer of RabbitMQ")

    def kill(self) -> None:
        """End the server at once, with everything that it started, as a power failure would."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def hang(self, seconds: float) -> None:
        """Stop the server in place for some time: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def _answers_amqp(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5.0) as trial:
                trial.sendall(b"AMQP\x00\x00\x09\x01")
                return len(trial.recv(1)) == 1
        except OSError:
            return False


def nats(folder: Path, extra: str = "", scheme: str = "nats") -> Broker:
    """Return a NATS server with JetStream; user `onext`, password `secret`."""
    port = free_port()
    text = f"""
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/store" }}
authorization {{ user: onext, password: secret }}
{extra}"""
    (folder / "nats.conf").write_text(text)
    command = [program("nats-server"), "-c", str(folder / "nats.conf")]
    return Broker(folder, "nats", command, port, f"{scheme}://onext:secret@127.0.0.1:{port}")


def mosquitto(folder: Path, extra: str = "", scheme: str = "mqtt") -> Broker:
    """Return Mosquitto, which keeps sessions in its folder; user `onext`, password `secret`."""
    port = free_port()
    subprocess.run(
        [program("mosquitto_passwd"), "-b", "-c", str(folder / "passwords"), "onext", "secret"], check=True
    )
    (folder / "mosquitto.conf").write_text(f"""
listener {port} 127.0.0.1
{extra}
allow_anonymous false
password_file {folder}/passwords
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
max_inflight_messages 0
user {"root" if os.geteuid() == 0 else ""}
""")
    for file in (folder / "passwords", folder / "mosquitto.conf"):
        file.chmod(0o600)
    command = [program("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    return Broker(folder, "mqtt", command, port, f"{scheme}://onext:secret@127.0.0.1:{port}")


def rabbitmq(folder: Path, extra: str = "", scheme: str = "amqp") -> Broker:
    """Return RabbitMQ; user and password `guest`, which it accepts from loopback."""
    port, distribution, names = free_port(), free_port(), free_port()
    listener = f"listeners.tcp.1 = 127.0.0.1:{port}" if scheme == "amqp" else "listeners.tcp = none"
    (folder / "rabbitmq.conf").write_text(f"{listener}\n{extra.replace('PORT', str(port))}\n")
    environment = {
        "HOME": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_NODENAME": f"onext{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
    }
    (folder / "plugins").write_text("[].\n")
    program("rabbitmq-server")
    # Its name server is a child of the same process group, so that it ends with the broker.
    command = ["sh", "-c", f"epmd -port {names} & exec {RABBITMQ}"]
    return Broker(folder, "amqp", command, port, f"{scheme}://guest:guest@127.0.0.1:{port}", environment)


MAKERS = {"nats": nats, "mqtt": mosquitto, "amqp": rabbitmq}

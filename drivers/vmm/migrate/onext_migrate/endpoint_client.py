"""The driver's side of a tunnel's endpoints: the near one in a child process, the far one over ssh."""

import os
import select
import signal
import subprocess
from typing import List, Optional, Sequence, Tuple, Type

from . import endpoint_server
from .commands import environment
from .errors import TakenError, TunnelError, UnsafeError
from .json_lines import Closed, JsonLines, Message
from .ssh import SSH, quick_key_exchange
from .waiting import until

Pipe = Tuple[int, int]  # its read end and its write end


class Endpoint:
    """One endpoint, which a helper process builds and removes."""

    uri = folder = ""

    def __init__(self, where: str, json_lines: JsonLines) -> None:
        self.where = where
        self.json_lines = json_lines
        self._gone = False

    def ask(self, message: Message, seconds: float = 20.0) -> Message:
        """Ask one question; raise TunnelError for an error, for silence and for an end that is gone."""
        if self._gone:
            raise Closed(f"{self.where}: the helper is gone")
        self.send(message)
        return self.receive(seconds)

    def send(self, message: Message) -> None:
        """Send a question whose answer is received later."""
        try:
            self.json_lines.send(message)
        except Closed:
            self._gone = True
            raise Closed(f"{self.where}: the helper is gone{self.reason()}") from None

    def receive(self, seconds: float = 20.0) -> Message:
        """Return the answer; raise TunnelError for an error, for silence and for an end that is gone."""
        try:
            answer = self.json_lines.receive(seconds)
        except Closed:
            self._gone = True
            raise Closed(f"{self.where}: the helper is gone{self.reason()}") from None
        if answer is None:
            self._gone = True  # a late answer would be taken for the next question's
            raise Closed(f"{self.where}: no answer within {seconds:g} s")
        if "error" in answer:
            raise _error(answer)(f"{self.where}: {answer['error']}")
        return answer

    @property
    def gone(self) -> bool:
        """Tell whether the helper has ended (it sends nothing unasked, so anything to read is its end)."""
        return self._gone or bool(select.select([self.json_lines.inward], [], [], 0)[0])

    def disconnect(self) -> None:
        """Close the connection; a helper that still has an endpoint removes it by itself."""
        self._gone = True
        self.json_lines.close()
        self._end()

    def reason(self) -> str:
        """Return what is known of the reason, for a message."""
        return ""

    def _end(self) -> None:
        """Leave no process behind."""


class NearEndpoint(Endpoint):
    """Our own end, held by a child that outlives the driver when the driver is killed.

    It keeps `to_far`, the way to the far end's ssh, open until it has ended what the driver began: a libvirt
    that connects through a tunnel whose far end is gone hangs for two minutes.
    """

    def __init__(self, uri: str, to_far: Optional[Pipe] = None) -> None:
        to_child, to_driver = os.pipe(), os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            others = (to_child[1], to_driver[0]) + (to_far[:1] if to_far else ())
            os._exit(_child(to_child[0], to_driver[1], others, uri))
        self.uri = uri
        os.close(to_child[0])
        os.close(to_driver[1])
        super().__init__(os.uname()[1], JsonLines(to_driver[0], to_child[1]))

    def _end(self) -> None:
        if not until(lambda: os.waitpid(self._pid, os.WNOHANG)[0] == self._pid, 5, 0.001):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


class FarEndpoint(Endpoint):
    """The destination's end: our own program there, found where OpenNebula's drivers are on every node."""

    def __init__(self, host: str, folder: str, pipe: Optional[Pipe] = None) -> None:
        inward, outward = pipe or os.pipe()
        self.folder = folder
        self._errors = b""
        self._process = subprocess.Popen(
            far_command(host, folder, ["hold"]),
            stdin=inward,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # a signal to the driver's group must not cut the far end off first
        )
        os.close(inward)
        stdout = self._process.stdout
        if stdout is None:
            raise TunnelError(f"{host}: no pipe from ssh")
        super().__init__(host, JsonLines(os.dup(stdout.fileno()), outward))
        stdout.close()

    def reason(self) -> str:
        """Return ssh's last words."""
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            return ""
        if self._process.stderr and not self._process.stderr.closed:
            self._errors += self._process.stderr.read()
        said = self._errors.decode("utf-8", "replace").strip()[-300:]
        if self._process.returncode in (126, 127) or "cannot open" in said:
            said += f" (no or an old driver there: onehost sync --force {self.where})"
        return ": " + said if said else ""

    def _end(self) -> None:
        self._process.terminate()  # ssh alone: its far side has the end of its input, and that is enough
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def _error(answer: Message) -> Type[TunnelError]:
    if answer.get("unsafe"):
        return UnsafeError
    return TakenError if answer.get("taken") else TunnelError


def far_command(host: str, folder: str, words: Sequence[str]) -> List[str]:
    """Return the ssh command that runs our program on another node; the words are our own."""
    return [*SSH, *quick_key_exchange(host), "--", host, "exec sh {}/run {}".format(folder, " ".join(words))]


def _child(inward: int, outward: int, others: Sequence[int], uri: str) -> int:
    """Be the near endpoint's helper: a session of its own, without the driver's streams except its log."""
    try:
        os.setsid()
        for descriptor in others:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return endpoint_server.serve(JsonLines(inward, outward), uri)
    except BaseException as error:  # noqa: BLE001 (the edge of a process: it must end here, not in the driver's code)
        os.write(2, f"ERROR: migrate: the tunnel's helper failed: {error!r}\n".encode())
        return 1

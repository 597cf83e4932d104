"""Monitoring of pretended hosts, which a test ends and begins again: the host is silent, as when it is down."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.live.scene import Scene

_GATE = "a-onext-live"  # its name sorts first: im/run_monitord_client runs it before the monitoring client
_SCRIPT = '#!/bin/sh\n# arguments: dummy, id and name of the host\n[ ! -e "{folder}/$2" ]\n'


class Silence:
    """The hosts of one front-end that are silent; none is any more at the end of `stack`."""

    def __init__(self, scene: Scene, stack: ExitStack) -> None:
        self._scene, self._folder = scene, scene.folder()
        gate = scene.front_end.paths.remotes / "im/dummy.d" / _GATE
        stack.callback(gate.unlink)
        gate.write_text(_SCRIPT.format(folder=self._folder))
        gate.chmod(0o755)

    def begin(self, host: int) -> None:
        """Let a host's monitoring client end, and each attempt of oned to start it fail."""
        (self._folder / str(host)).touch()
        words = ["monitord-client.rb", str(host), self._scene.oned.host(host).name]
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[1:] == line[3:5] and line[1].endswith(words[0]):
                    os.kill(int(entry.name), signal.SIGKILL)

    def end(self, host: int) -> None:
        """Let oned start the host's monitoring client again."""
        (self._folder / str(host)).unlink()

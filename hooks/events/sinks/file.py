"""Events in a file: one CloudEvent as JSON for each line, synced before it counts as delivered."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hooks.events import cloudevent
from hooks.events.delivery import Unavailable
from hooks.events.stored import Event


@dataclass
class FileSink:
    """A file that is appended to; rotation by renaming is followed."""

    name: str
    path: Path
    source: str

    def send(self, event: Event, epoch: int) -> None:
        """Append one line. A line that a full disk cut is completed by a newline before the next one."""
        line = cloudevent.structured(event, self.source, epoch) + b"\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, 0o640)
            try:
                self._append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unavailable(f"sink {self.name}: {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Do nothing: the file is open only while a line is written."""

    def _append(self, descriptor: int, line: bytes) -> None:
        size = os.fstat(descriptor).st_size
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        data = line if whole else b"\n" + line
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "no space left on device")
        os.fsync(descriptor)

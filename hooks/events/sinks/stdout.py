"""Events on standard output, which systemd keeps in the journal of the worker."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from hooks.events import cloudevent
from hooks.events.delivery import Unavailable
from hooks.events.stored import Event


@dataclass
class StdoutSink:
    """One JSON document for each line."""

    name: str
    source: str

    def send(self, event: Event, epoch: int) -> None:
        """Write one line."""
        line = cloudevent.structured(event, self.source, epoch).decode()
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            raise Unavailable(f"sink {self.name}: {error.strerror}") from error

    def close(self) -> None:
        """Do nothing: standard output remains open."""

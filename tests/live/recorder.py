"""A hook command that keeps what it was given: one folder per event, below remotes/hooks."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.live.front_end import wait_until

# The event appears under its final name when it is complete. `held` makes it wait (a minute at most).
_SCRIPT = """\
#!/bin/sh
cd "$(dirname "$0")/events" || exit 1
event=$(mktemp -d .XXXXXXXX) && chmod 755 "$event" || exit 1
for word in "$@"; do printf '%s\\n' "$word"; done > "$event/arguments"
cat > "$event/stdin"
mv "$event" "$(date +%s%N)$event"
n=0
while [ -e ../held ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done
exit "$(cat ../exit-code)"
"""


@dataclass(frozen=True)
class Event:
    """What one run of the command was given."""

    arguments: tuple[str, ...]
    stdin: bytes


@dataclass(frozen=True)
class Recorder:
    """The command, as `COMMAND` of a hook, and the events that reached it, oldest first."""

    folder: Path
    command: str

    @classmethod
    def install(cls, hooks: Path, name: str) -> Recorder:
        """Put the command into a folder of its own below `hooks`, for the owner of that folder."""
        folder = hooks / name
        (folder / "events").mkdir(parents=True)
        script = folder / "record"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        (folder / "exit-code").write_text("0")
        owner = hooks.stat()
        for path in (folder, folder / "events", script):
            os.chown(path, owner.st_uid, owner.st_gid)
        return cls(folder, f"{name}/record")

    def remove(self) -> None:
        """Take the command and its events away."""
        self.release()
        shutil.rmtree(self.folder)

    def events(self) -> list[Event]:
        """Return what arrived so far."""
        return [_read(path) for path in sorted((self.folder / "events").glob("[0-9]*"))]

    def wait_for(self, count: int) -> list[Event]:
        """Return the events when there are at least `count`; fail the test when they do not come."""
        wait_until(f"{count} events reached the hook", lambda: len(self.events()) >= count, seconds=30)
        return self.events()

    def settled(self, seconds: float = 2.0) -> list[Event]:
        """Return the events after a time in which more could have come."""
        time.sleep(seconds)
        return self.events()

    def hold(self) -> None:
        """Let each run of the command wait until `release`."""
        (self.folder / "held").touch()

    def fail_with(self, exit_code: int) -> None:
        """Let each run of the command end with `exit_code`."""
        (self.folder / "exit-code").write_text(str(exit_code))

    def release(self) -> None:
        """Let them end."""
        (self.folder / "held").unlink(missing_ok=True)


def _read(path: Path) -> Event:
    return Event(tuple((path / "arguments").read_text().splitlines()), (path / "stdin").read_bytes())

"""Ends what a test started: processes, and threads that have no end of their own and disturb later tests."""

import signal
import subprocess
import threading

from tests.waiting import PATIENCE


def end(process: subprocess.Popen[str]) -> None:
    """End a process by SIGTERM, by SIGKILL where it does not end."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_at_next_call(thread: threading.Thread, owner: object, method: str) -> None:
    """Let a thread end where it calls this method of an object the next time, and wait for it."""

    def leave(*_: object, **__: object) -> None:
        raise SystemExit

    setattr(owner, method, leave)
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{thread.name} does not end"

"""Threads that work for ever in a program, and have to end with a test: they would work beside every later one."""

import threading

from tests.waiting import PATIENCE


def end_at_next_call(thread: threading.Thread, owner: object, method: str) -> None:
    """Let a thread end where it calls this method of an object the next time, and wait for it."""

    def leave(*_: object, **__: object) -> None:
        raise SystemExit

    setattr(owner, method, leave)
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{thread.name} does not end"

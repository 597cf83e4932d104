"""Ends threads of a program that have no end of their own; otherwise they disturb later tests."""

import threading

from tests.waiting import PATIENCE


def end_at_next_call(thread: threading.Thread, owner: object, method: str) -> None:
    """Let a thread end where it calls this method of an object the next time, and wait for it."""

    def leave(*_: object, **__: object) -> None:
        raise SystemExit

    setattr(owner, method, leave)
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{thread.name} does not end"

"""What hooks leave for the worker: one small file for each object and state, `event.vm.17.3.3`.

A hook writes it aside and renames it into `incoming/`; the worker renames it into `taken/` and removes
it when every part that it concerns is done, so that a worker that is killed finds it again. A storm of the
same event is one file. `onext sync` leaves keys of parts in the same way, `targets.pool.0`.

On a hook's fast path: imports little, and `errno`, `os` and `sys` are loaded anyway.
"""

import os
import sys
import time

from onext import payload

EVENT = "event"  # the first word of a file that a hook left
INCOMING = "incoming"
TAKEN = "taken"
REFUSED = "refused"
KEEPER = "keeper"  # locked by the process that restarts the worker
WAKE = "wake"  # a FIFO: opening it for writing fails without a worker, and writing wakes it

_MARK = "onext1"


def hook(spool: str, log: str, start: str) -> int:
    """Be a hook: spool the event on standard input (or in the last argument) and return the exit code.

    `start` is the command that runs a worker, empty where systemd does that. A refusal and its reason
    go to stderr, which oned keeps in the hook's log, and to `log`.
    """
    try:
        happened = payload.event(_read())
        put(spool, EVENT, happened.resource, happened.id, happened.state, happened.lcm)
        wake(spool)
        if start:
            keep(spool, start)
    except (payload.PayloadError, OSError) as error:
        _complain(str(error), log)
        return 1
    return 0


def put(spool: str, *words: str | int) -> None:
    """Leave a key (part, resource, id) or an event for the worker; after the return a crash loses nothing."""
    name = ".".join(map(str, words))
    draft = f"{spool}/{INCOMING}/.{name}.{os.getpid()}"
    content = f"{_MARK} {name} {int(time.time())}\n".encode()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        os.fchmod(descriptor, 0o644)  # any user may have run the hook; the folder keeps others out
        os.write(descriptor, content)
        os.close(descriptor)
        os.rename(draft, f"{spool}/{INCOMING}/{name}")  # noqa: PTH104 - pathlib costs more than the hook
    except OSError:
        os.unlink(draft)  # noqa: PTH108
        raise


def wake(spool: str) -> bool:
    """Wake the worker; return False where none runs."""
    try:
        descriptor = os.open(f"{spool}/{WAKE}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # ENXIO: no reader; ENOENT: no worker ever ran
        return False
    try:
        os.write(descriptor, b"\n")
    except BlockingIOError:  # the pipe is full of wake-ups
        pass
    except BrokenPipeError:
        return False
    finally:
        os.close(descriptor)
    return True


def age(content: bytes, name: str) -> float:
    """Return the seconds since the event in a spool file; raise ValueError for any other file."""
    words = content.decode("ascii", "replace").split()
    valid = len(words) == 3 and words[:2] == [_MARK, name] and words[2].isdigit()
    if not (valid and content.endswith(b"\n")):
        raise ValueError(f"{name}: not a complete spool file")
    return max(0.0, time.time() - int(words[2]))


def _read() -> bytes:
    if len(sys.argv) > 1:
        return sys.argv[-1].encode("ascii", "replace")
    return sys.stdin.buffer.read(payload.LIMIT + 1)


def keep(spool: str, command: str) -> None:
    """Start a process that runs the worker and restarts it when it is killed, where systemd does not.

    That process inherits a lock, so that there is one, however many hooks find none. It inherits no pipe:
    the hook manager waits for all of them to close.
    """
    import fcntl

    descriptor = os.open(f"{spool}/{KEEPER}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return
    os.set_inheritable(descriptor, True)
    null = [(os.POSIX_SPAWN_OPEN, stream, "/dev/null", os.O_RDWR, 0) for stream in (0, 1, 2)]
    loop = 'while [ -x "$0" ] && ! "$0" worker; do sleep 1; done'  # an uninstall removes the command
    keeper = ["/bin/sh", "-c", loop, command]
    os.posix_spawn(keeper[0], keeper, os.environ, file_actions=null, setsid=True)
    os.close(descriptor)


def _complain(reason: str, log: str) -> None:
    from onext.log import line

    text = line("hook", "E", reason)
    sys.stderr.write(text + "\n")
    try:
        with open(log, "a") as file:  # noqa: PTH123
            file.write(text + "\n")
    except OSError as error:
        sys.stderr.write(f"{log} cannot be written: {error.strerror}\n")

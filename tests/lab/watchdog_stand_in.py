"""The hardware watchdog of a laboratory node, which has none: a process outside of the node that kills all of it.

As a device that cannot be stopped: once the daemon gave it a timeout through the pipe, the node ends (its first
process gets SIGKILL, and the kernel ends every process inside) as soon as that time passes without a feed,
whoever closed the pipe. Called as: watchdog_stand_in.py PIPE PID FILE; FILE gets the Unix time of the reset.
"""

import os
import select
import signal
import sys
import time


def main() -> None:
    """Wait for feeds; reset."""
    pipe, first, report = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    channel = os.open(pipe, os.O_RDWR)  # for writing, too: the end of a daemon is no end of the pipe
    timeout, end = 0.0, float("inf")
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([channel], [], [], None if left == float("inf") else left)
        for line in os.read(channel, 4096).decode().split() if ready else ():
            if line == "reset":
                end = 0.0
            elif end:
                timeout = float(line) if line != "feed" else timeout
                end = time.monotonic() + timeout
    os.kill(first, signal.SIGKILL)
    with open(report, "w") as file:  # noqa: PTH123 - as small as can be
        file.write(f"{time.time()}\n")


main()

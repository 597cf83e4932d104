"""Ports for programs that want to be told one.

A port that the kernel gave is one that it may give to the next connection too, before the program binds it.
So these are from below its range (ip_local_port_range: 32768 and up), and none is given twice.
"""

import os
import socket
from itertools import count

_FIRST, _SPAN = 10_000, 20_000
_numbers = count(os.getpid() * 97)  # processes beside each other begin at different places


def free_port(address: str = "127.0.0.1", *, datagram: bool = False) -> int:
    """Return a port that is free now on an address of loopback."""
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    for _ in range(_SPAN):
        port = _FIRST + next(_numbers) % _SPAN
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise OSError("every port of loopback is taken")

"""What a client has to know of a BMC."""

import socket
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Entry:
    """How to reach and to recognise a BMC."""

    kind: str
    port: int
    user: str
    password: str
    uuid: str
    certificate: str = ""  # SHA-256, hexadecimal
    system: str = ""  # the path of a Redfish system

    def shown(self) -> dict[str, str | int]:
        """Return the entry without what does not apply."""
        return {"address": "127.0.0.1", **{name: value for name, value in asdict(self).items() if value}}


def free_port(*, datagram: bool = False) -> int:
    """Return a port of loopback that nobody has now."""
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

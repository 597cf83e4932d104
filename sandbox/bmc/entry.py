"""What a client has to know of a BMC."""

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

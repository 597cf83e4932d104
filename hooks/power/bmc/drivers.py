"""What a BMC can be asked, by IPMI or Redfish. Runs in the child only: pyghmi may hang, or poison itself."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

IPMI_APP, GET_SYSTEM_GUID = 0x06, 0x37


class Refused(Exception):
    """The BMC answered, and not as it should."""


class Driver(Protocol):
    """A BMC that we are logged in to."""

    def power(self) -> str:
        """Return `on` or `off`; raise Refused for anything else."""

    def identity(self) -> str:
        """Return the system's UUID or serial number, empty where it tells none."""

    def switch(self, what: str) -> None:
        """Ask for `on`, `off-soft` or `off-hard`; the answer does not mean that it is done."""

    def watts(self) -> float | None:
        """Return what the machine draws, None where the BMC does not measure."""

    def close(self) -> None:
        """Log out."""


SWITCHES = {"on": "on", "off-soft": "shutdown", "off-hard": "off"}


class Ipmi:
    """IPMI 2.0 over LAN."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        from pyghmi.ipmi.command import Command

        # As bytes: with text, one failed login poisons this BMC for the life of the process.
        user, password = job["user"].encode(), job["password"].encode()
        self._command = Command(job["address"], user, password, port=job["port"], keepalive=False)

    def power(self) -> str:
        """Return `on` or `off`."""
        return _state(self._command.get_power())

    def identity(self) -> str:
        """Return the system GUID."""
        answer = self._command.xraw_command(IPMI_APP, GET_SYSTEM_GUID)
        return str(uuid.UUID(bytes=bytes(answer["data"])[:16]))

    def switch(self, what: str) -> None:
        """Send the chassis control."""
        self._command.set_power(SWITCHES[what], wait=False)

    def watts(self) -> float | None:
        """Return DCMI's reading."""
        return _number(self._command.get_system_power_watts)

    def close(self) -> None:
        """Log out."""
        self._command.ipmi_session.logout()


class Redfish:
    """Redfish over TLS; the certificate is pinned, or verified against the system's CAs."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        from pyghmi.redfish.command import Command

        self._command = Command(
            job["address"],
            job["user"],
            job["password"],
            _pinned(job["pin"]) if job["pin"] else None,
            sysurl=job["system"] or None,
            port=job["port"],
        )

    def power(self) -> str:
        """Return `on` or `off`."""
        return _state(self._command.get_power())

    def identity(self) -> str:
        """Return the system's UUID, else its serial number."""
        info = self._command.sysinfo
        return str(info.get("UUID") or info.get("SerialNumber") or "")

    def switch(self, what: str) -> None:
        """Reset the system as asked."""
        self._command.set_power(SWITCHES[what], wait=False)

    def watts(self) -> float | None:
        """Return the chassis' reading."""
        return _number(self._command.get_system_power_watts)

    def close(self) -> None:
        """Leave nothing open: the child ends soon."""


def _pinned(pin: str) -> Callable[[bytes], bool]:
    return lambda certificate: hashlib.sha256(certificate).hexdigest() == pin


def _state(answer: Mapping[str, object]) -> str:
    state = str(answer.get("powerstate", ""))
    if state not in ("on", "off"):
        raise Refused(f"its power state is {state!r}, neither on nor off")
    return state


def _number(read: Callable[[], object]) -> float | None:
    try:
        value = read()
    except Exception:  # noqa: BLE001 - pyghmi raises what the vendor's part raises; not to measure is no failure
        return None
    return float(value) if isinstance(value, int | float) else None


DRIVERS: Mapping[str, Callable[[Mapping[str, Any]], Driver]] = {"ipmi": Ipmi, "redfish": Redfish}

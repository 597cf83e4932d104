"""Redfish over TLS. Runs in the child only.

pyghmi's HTTPS client is used, without its Command: that asks four things before the first answer, opens a
session that it never ends (BMCs have room for a few) and waits a minute for a peer that says nothing.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from pyghmi.exceptions import UnrecognizedCertificate
from pyghmi.util.webclient import SecureHTTPConnection

from onext.hosts.bmc.errors import Refused, WrongCertificate, WrongPassword
from onext.hosts.bmc.job import Job, Order
from onext.hosts.bmc.protocol import Identity

_TIMEOUT = 5.0  # seconds for each read
_ABSURD = 1e6  # watts
_SYSTEMS = "/redfish/v1/Systems"
_RESET = {"on": "On", "soft": "GracefulShutdown", "hard": "ForceOff"}  # ResetType
_POWER = {"On": "on", "Off": "off"}  # PowerState; PoweringOn, PoweringOff and Paused are neither


class Redfish:
    """A BMC's system; every request of it is authenticated by itself."""

    def __init__(self, job: Job) -> None:
        verify = _pinned(job.pin) if job.pin else None
        self._web = SecureHTTPConnection(job.address, job.port, verifycallback=verify, timeout=_TIMEOUT)
        self._web.set_basic_credentials(job.user, job.password)
        self._web.set_header("Accept", "application/json")
        self._web.set_header("OData-Version", "4.0")
        self._web.set_header("Content-Type", "application/json")
        self._system = self._get(job.system or self._only_system())

    def power(self) -> str:
        """Return `on` or `off`."""
        state = self._system.get("PowerState")
        if state not in _POWER:
            raise Refused(f"its power state is {state!r}, neither On nor Off")
        return _POWER[state]

    def identity(self) -> Identity:
        """Return the system's UUID and serial number."""
        try:
            uuid = str(UUID(str(self._system.get("UUID"))))
        except ValueError:
            uuid = ""
        return Identity(uuid, str(self._system.get("SerialNumber") or ""))

    def order(self, order: Order) -> None:
        """Ask for the reset of this kind."""
        target = self._system.get("Actions", {}).get("#ComputerSystem.Reset", {}).get("target")
        if not target:
            raise Refused("it does not offer to switch this system")
        self._exchange(target, {"ResetType": _RESET[order]})

    def watts(self) -> float | None:
        """Return the sum of what the system's chassis draw."""
        chassis = [self._get(one["@odata.id"]) for one in self._system.get("Links", {}).get("Chassis", ())]
        read = [self._drawn(one) for one in chassis]
        watts = [float(one) for one in read if isinstance(one, (int, float)) and 0 <= one < _ABSURD]
        return sum(watts) if watts else None

    def _drawn(self, chassis: Mapping[str, Any]) -> object:
        """Return the watts of its EnvironmentMetrics, or of the older Power that most machines still have."""
        if "EnvironmentMetrics" in chassis:
            metrics = self._get(chassis["EnvironmentMetrics"]["@odata.id"])
            return metrics.get("PowerWatts", {}).get("Reading")
        if "Power" in chassis:
            controls = self._get(chassis["Power"]["@odata.id"]).get("PowerControl", ())
            return next((control.get("PowerConsumedWatts") for control in controls), None)
        return None

    def close(self) -> None:
        """Nothing is kept open."""

    def _only_system(self) -> str:
        members = self._get(_SYSTEMS).get("Members", ())
        if len(members) != 1:
            raise Refused(f"it has {len(members)} systems: name the one meant in bmc.yaml as `system`")
        return str(members[0]["@odata.id"])

    def _get(self, path: str) -> Mapping[str, Any]:
        body = self._exchange(path)
        if not isinstance(body, dict):
            raise Refused(f"it answers {path} with something that is no object")
        return body

    def _exchange(self, path: str, body: Mapping[str, str] | None = None) -> object:
        """Get, or post a body; redirects are not followed: the address is that of bmc.yaml, always."""
        try:
            answer, status = self._web.grab_json_response_with_status(path, body)
        except (UnrecognizedCertificate, ssl.SSLCertVerificationError) as error:
            raise WrongCertificate(_distrust(error)) from error
        if status in (401, 403):
            raise WrongPassword("it does not take this user and password: mend bmc.yaml")
        if not 200 <= status < 300:
            raise Refused(f"it answers {path} with status {status}")
        return answer


def _pinned(pin: str) -> Callable[[bytes], bool]:
    return lambda certificate: hashlib.sha256(certificate).hexdigest() == pin


def _distrust(error: Exception) -> str:
    if isinstance(error, UnrecognizedCertificate):
        seen = hashlib.sha256(error.certdata).hexdigest()
        return f"its certificate has the SHA-256 {seen}, bmc.yaml pins another"
    return "no authority of this machine vouches for its certificate: pin it in bmc.yaml"

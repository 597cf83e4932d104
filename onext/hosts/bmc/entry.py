"""One entry of bmc.yaml: where a host's BMC is, how to log in, and by what its machine is known.

12:
  kind: ipmi
  address: 192.0.2.12
  user: onext
  password: "…"
  uuid: 4c4c4544-0042-3510-8053-b4c04f564433    # dmidecode -s system-uuid, on the host
13:
  kind: redfish
  address: 192.0.2.13
  user: onext
  password: "…"
  certificate: 0f3a…                  # its SHA-256; without it this machine's authorities must vouch for it
  system: /redfish/v1/Systems/1       # where one BMC has several
  serial: ABC1234                     # dmidecode -s system-serial-number
14:
  kind: suspend                       # METHOD = suspend: see onext/hosts/bmc/wake_on_lan.py
  address: 192.0.2.14                 # of the host itself, for ssh
  mac: 02:00:00:00:00:0e              # of its interface that wakes it
  interface: eth1                     # of this front-end, in the same network

Addresses are addresses, no names: who answers for a name must not decide who gets a password.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, IPvAnyAddress, SecretStr, model_validator

from onext.settings.section import Section

# What boards say that were never given an identity: it would fit every one of them.
_NOBODY = {UUID(int=0), UUID(int=(1 << 128) - 1), UUID("03000200-0400-0500-0006-000700080009")}
_FILLER = {
    "",
    "0",
    "0123456789",
    "123456789",
    "default string",
    "none",
    "not specified",
    "to be filled by o.e.m.",
}


def _somebody(uuid: UUID) -> UUID:
    if uuid in _NOBODY:
        raise ValueError("many boards say this UUID: name the serial number instead")
    return uuid


def _real(serial: str) -> str:
    if serial.strip().lower() in _FILLER:
        raise ValueError("many boards say this serial number: name the UUID instead")
    return serial.strip()


class _Machine(Section):
    address: IPvAnyAddress
    user: str = Field(min_length=1)
    password: SecretStr
    uuid: Annotated[UUID, AfterValidator(_somebody)] | None = None
    serial: Annotated[str, AfterValidator(_real)] | None = None

    @model_validator(mode="after")
    def _known(self) -> _Machine:
        if self.uuid is None and self.serial is None:
            raise ValueError("uuid or serial is missing: dmidecode -s system-uuid says it, on the host")
        return self


class Ipmi(_Machine):
    """A BMC that speaks IPMI 2.0 over LAN, whose names have 16 bytes and passwords 20."""

    kind: Literal["ipmi"]
    port: int = Field(623, ge=1, le=65535)
    user: str = Field(min_length=1, max_length=16)
    password: SecretStr = Field(max_length=20)

    @property
    def place(self) -> tuple[str, ...]:
        """What no other entry may name too."""
        return self.kind, str(self.address), str(self.port)


class Redfish(_Machine):
    """A BMC that speaks Redfish over TLS."""

    kind: Literal["redfish"]
    port: int = Field(443, ge=1, le=65535)
    certificate: str | None = Field(None, pattern=r"^[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2}){31}$")
    system: str | None = Field(None, pattern=r"^/redfish/v1/[A-Za-z0-9/._-]+$")

    @property
    def pin(self) -> str | None:
        """The certificate's SHA-256 as 64 hexadecimal digits."""
        return self.certificate.replace(":", "").lower() if self.certificate else None

    @property
    def place(self) -> tuple[str, ...]:
        """What no other entry may name too."""
        return self.kind, str(self.address), str(self.port), self.system or ""


class Suspend(Section):
    """No BMC: a host that is put to sleep by ssh and woken over the network."""

    kind: Literal["suspend"]
    address: IPvAnyAddress
    port: int = Field(22, ge=1, le=65535)
    mac: str = Field(pattern=r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
    interface: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$")

    @property
    def place(self) -> tuple[str, ...]:
        """What no other entry may name too."""
        return self.kind, str(self.address)


Entry = Annotated[Ipmi | Redfish | Suspend, Field(discriminator="kind")]

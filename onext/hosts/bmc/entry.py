"""One entry of bmc.yaml: where a host's BMC is, how to log in, and how its machine is recognised.

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
  certificate: 0f3a…                  # its SHA-256; without it this machine's authorities, or ca_file, count
  system: /redfish/v1/Systems/1       # where one BMC has several
  serial: ABC1234                     # dmidecode -s system-serial-number
14:
  kind: suspend                       # METHOD = suspend: see onext/hosts/bmc/wake_on_lan.py
  address: 192.0.2.14                 # of the host itself, for ssh
  mac: 02:00:00:00:00:0e              # of its interface that wakes it
  interface: eth1                     # of this front-end, in the same network
15:
  kind: agent                         # a fence agent: /usr/sbin/fence_*
  agent: fence_apc_snmp
  options: {ip: 192.0.2.15, plug: 7, community: private}

docs/bmc.md describes every key. A BMC is named by its address: a name server must not decide who receives a
password.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyAddress, SecretStr, model_validator

from onext.hosts.bmc.watts import HIGHEST, HIGHEST_OFF, LOWEST
from onext.settings.section import Section

# UUIDs and serial numbers of boards that were never given an identity: each fits many machines.
_SHARED_UUIDS = {UUID(int=0), UUID(int=(1 << 128) - 1), UUID("03000200-0400-0500-0006-000700080009")}
_FILLER = {
    "",
    "0",
    "0123456789",
    "123456789",
    "default string",
    "none",
    "not specified",
    "system serial number",
    "to be filled by o.e.m.",
}
_HOST_NAME = r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$"
# Options of agents that start programs, write files, or that onext sets by itself.
_RESERVED = {"action", "option", "password", "passwd", "delay", "version", "help", "quiet"}
_RESERVED_PARTS = ("script", "debug", "verbose", "path")
_TIMEOUTS = {"power_timeout", "login_timeout", "shell_timeout"}


def _own_uuid(uuid: UUID) -> UUID:
    if uuid in _SHARED_UUIDS:
        raise ValueError("many boards have this UUID: name the serial number instead")
    return uuid


def _own_serial(serial: str) -> str:
    if serial.strip().lower() in _FILLER:
        raise ValueError("many boards have this serial number: name the UUID instead")
    return serial.strip()


def _scalar(value: object) -> object:
    """Take YAML's numbers and truth values as the text that an agent reads."""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int) else value


def _option_name(name: str) -> str:
    plain = name.replace("-", "_")
    if plain in _RESERVED | _TIMEOUTS or any(part in plain for part in _RESERVED_PARTS):
        raise ValueError("this option is set by onext, starts a program or writes a file: it cannot be used")
    return name


class _Metered(Section):
    """Which readings of power are plausible; what is outside of these is left out."""

    watts_min: float = Field(LOWEST, gt=0, le=1e5)
    watts_max: float = Field(HIGHEST, le=1e5)
    watts_off_max: float = Field(HIGHEST_OFF, ge=0, le=1e4)

    @model_validator(mode="after")
    def _ordered(self) -> _Metered:
        if self.watts_min >= self.watts_max:
            raise ValueError("watts_min must be less than watts_max")
        return self


class _Machine(_Metered):
    address: IPvAnyAddress
    user: str = Field(min_length=1, max_length=128)
    password: SecretStr = Field(max_length=256)
    uuid: Annotated[UUID, AfterValidator(_own_uuid)] | None = None
    serial: Annotated[str, AfterValidator(_own_serial), Field(max_length=128)] | None = None
    shutdown: Literal["auto", "button", "ssh"] = "auto"
    host: str | None = Field(None, pattern=_HOST_NAME)

    @model_validator(mode="after")
    def _known(self) -> _Machine:
        if self.uuid is None and self.serial is None:
            raise ValueError("uuid or serial is missing: `dmidecode -s system-uuid` prints it, on the host")
        if self.shutdown == "ssh" and self.host is None:
            raise ValueError("shutdown: ssh needs `host`, the name by which OpenNebula reaches it")
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
    certificate_name: str | None = Field(None, pattern=_HOST_NAME)
    ca_file: Path | None = None
    tls: Literal["modern", "legacy"] = "modern"
    system: str | None = Field(None, max_length=512, pattern=r"^/redfish/v1/[A-Za-z0-9/._-]+$")

    @model_validator(mode="after")
    def _one_trust(self) -> Redfish:
        if self.certificate and (self.ca_file or self.certificate_name):
            raise ValueError("ca_file and certificate_name do not count beside certificate")
        if self.ca_file and not self.ca_file.is_absolute():
            raise ValueError("ca_file must be an absolute path")
        return self

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


_Option = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$"), AfterValidator(_option_name)]
_Value = Annotated[SecretStr, BeforeValidator(_scalar)]


class Agent(Section):
    """A program of the fence-agents project that switches this host's power: a PDU, a hypervisor, a BMC.

    It reports no identity: what it switches is what `options` name, and a person has to verify that.
    """

    kind: Literal["agent"]
    agent: str = Field(pattern=r"^fence_[a-z0-9_]{1,40}$")
    options: Mapping[_Option, _Value] = Field({}, max_length=40)
    password: SecretStr | None = Field(None, max_length=256)
    shutdown: Literal["off", "ssh"] = "off"
    host: str | None = Field(None, pattern=_HOST_NAME)
    uuid: Annotated[UUID, AfterValidator(_own_uuid)] | None = None
    serial: Annotated[str, AfterValidator(_own_serial), Field(max_length=128)] | None = None

    @model_validator(mode="after")
    def _usable(self) -> Agent:
        values = [value.get_secret_value() for value in self.options.values()]
        values += [self.password.get_secret_value()] if self.password else []
        if any(len(value) > 512 or not value.isprintable() for value in values):
            raise ValueError("an option has to be one line of at most 512 characters")
        if self.shutdown == "ssh" and (self.host is None or (self.uuid is None and self.serial is None)):
            raise ValueError("shutdown: ssh needs `host`, and `uuid` or `serial`")
        return self

    @property
    def place(self) -> tuple[str, ...]:
        """What no other entry may name too."""
        options = sorted((name, value.get_secret_value()) for name, value in self.options.items())
        return self.kind, self.agent, *(f"{name}={value}" for name, value in options)


Entry = Annotated[Ipmi | Redfish | Suspend | Agent, Field(discriminator="kind")]

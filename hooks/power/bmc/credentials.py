"""`bmc.yaml`: where each host's BMC is and how to log in, one entry per host id, in a file that few may read.

12:
  driver: ipmi              # or redfish
  address: 10.0.0.12
  user: onext
  password: "..."
  pin: 0f3a…                # redfish: SHA-256 of its certificate; without it the system's CAs decide
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from onext.settings.section import Section

FILE = "bmc.yaml"
FORBIDDEN = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
DEFAULT_PORTS = {"ipmi": 623, "redfish": 443}


class CredentialsError(Exception):
    """The file cannot be used; the message says why and what to do, and holds no secret."""


class Entry(Section):
    """One BMC."""

    driver: Literal["ipmi", "redfish"] = "ipmi"
    address: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")
    port: int = Field(0, ge=0, le=65535)
    user: str = Field(min_length=1)
    password: SecretStr
    pin: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    system: str = Field("", pattern=r"^(/redfish/[A-Za-z0-9/._-]+)?$")

    def job(self) -> dict[str, object]:
        """Return what the child needs; this goes through its standard input only."""
        return {
            "driver": self.driver,
            "address": self.address,
            "port": self.port or DEFAULT_PORTS[self.driver],
            "user": self.user,
            "password": self.password.get_secret_value(),
            "pin": self.pin,
            "system": self.system,
        }


_ENTRIES = TypeAdapter(dict[int, Entry])


def load(file: Path, remotes: Path) -> dict[int, Entry]:
    """Return the entries by host id, none where there is no file; raise CredentialsError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CredentialsError(f"{file}: cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        _refuse_wide(file, os.fstat(stream.fileno()), remotes)
        try:
            document = YAML(typ="safe").load(stream) or {}
            return _ENTRIES.validate_python(document)
        except ValidationError as error:
            where = "; ".join(
                _complaint(item["loc"], item["msg"]) for item in error.errors(include_input=False)
            )
            raise CredentialsError(f"{file}: {where}") from None
        except (YAMLError, UnicodeDecodeError):
            raise CredentialsError(f"{file}: not YAML") from None


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, where))}: {message}"


def _refuse_wide(file: Path, status: os.stat_result, remotes: Path) -> None:
    """Refuse a file that others may read or its group may write, or that `onehost sync` would spread."""
    if status.st_mode & FORBIDDEN or not stat.S_ISREG(status.st_mode):
        raise CredentialsError(
            f"{file}: mode {stat.S_IMODE(status.st_mode):04o} is too wide: chmod 0640, chown root:oneadmin"
        )
    if status.st_uid not in (0, os.geteuid()):
        raise CredentialsError(f"{file}: belongs to user {status.st_uid}: chown root:oneadmin")
    if file.resolve().is_relative_to(remotes.resolve()):
        raise CredentialsError(f"{file}: lies below {remotes}, which is copied to every node: move it")

"""TLS and passwords, in the file format of Prometheus's exporter-toolkit (its docs/web-configuration.md).

Known: tls_server_config with cert_file, key_file, client_auth_type, client_ca_file, min_version, max_version;
basic_auth_users with bcrypt hashes. Any other key is an error: a setting that is not understood would protect
nothing.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_LARGEST = 1_048_576  # bytes of the file
# bcrypt's form: version, cost, 22 characters of salt and 31 of hash.
_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
LOWEST_COST, HIGHEST_COST = 4, 16  # 4 is bcrypt's own; a check takes 2^cost, which is seconds at 16
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def cost(hashed: str) -> int | None:
    """Return the cost of a bcrypt hash, None when it is invalid or takes too long to check."""
    found = _HASH.fullmatch(hashed)
    return int(found[1]) if found and LOWEST_COST <= int(found[1]) <= HIGHEST_COST else None


class WebConfigError(Exception):
    """The file cannot be used; the message names it and what is wrong."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Section):
    """Certificate and key, and which clients may connect."""

    cert_file: Path
    key_file: Path
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = (
        "NoClientCert"
    )
    client_ca_file: Path | None = None
    min_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS10", "TLS11", "TLS12", "TLS13"] = "TLS13"


class WebConfig(_Section):
    """The whole file."""

    tls_server_config: Tls | None = None
    basic_auth_users: dict[str, str] = Field(default_factory=dict)


def load(file: Path) -> WebConfig:
    """Read the file; paths in it are relative to it. Raises WebConfigError."""
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise WebConfigError(f"{file}: more than {_LARGEST} characters")
        config = WebConfig.model_validate(YAML(typ="safe").load(text) or {})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise WebConfigError(f"{file}: {found}") from error
    except RecursionError:
        raise WebConfigError(f"{file}: cannot be read: brackets are nested too deeply") from None
    except (OSError, ValueError, YAMLError) as error:  # ValueError: not UTF-8, or an invalid date
        raise WebConfigError(f"{file}: cannot be read: {error}") from error
    for user, hashed in config.basic_auth_users.items():
        if cost(hashed) is None:
            raise WebConfigError(
                f"{file}: basic_auth_users.{user}: not a bcrypt hash with a cost from {LOWEST_COST} to"
                f" {HIGHEST_COST} (htpasswd -nBC 10 '' makes one)"
            )
    return config


def context(tls: Tls, folder: Path) -> ssl.SSLContext:
    """Return the TLS context of a server; raise WebConfigError."""
    wanted = tls.client_auth_type
    if tls.client_ca_file is not None and wanted == "NoClientCert":
        raise WebConfigError("tls_server_config: client_ca_file needs a client_auth_type that asks for one")
    if tls.client_ca_file is None and wanted != "NoClientCert":
        raise WebConfigError(f"tls_server_config: {wanted} needs client_ca_file")
    if _VERSIONS[tls.min_version] > _VERSIONS[tls.max_version]:
        raise WebConfigError("tls_server_config: min_version is above max_version")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.minimum_version, made.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
        made.load_cert_chain(folder / tls.cert_file, folder / tls.key_file)
        if tls.client_ca_file is not None:
            made.load_verify_locations(folder / tls.client_ca_file)
        made.verify_mode = _CLIENTS[wanted]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        named = " ".join(
            str(folder / name) for name in (tls.cert_file, tls.key_file, tls.client_ca_file) if name
        )
        raise WebConfigError(f"tls_server_config: {error} ({named})") from error
    return made

"""TLS and passwords, in the file format of Prometheus's exporter-toolkit (its docs/web-configuration.md).

Known: tls_server_config with cert_file, key_file, client_auth_type, client_ca_file, min_version, max_version;
basic_auth_users with bcrypt hashes. Any other key is an error: a guard that is not understood is none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import bcrypt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_NOBODY = "$2b$10$" + "." * 53  # compared where the user is unknown, so that both take the same time
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
        document = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
        config = WebConfig.model_validate(document)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise WebConfigError(f"{file}: cannot be read: {error}") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise WebConfigError(f"{file}: {found}") from error
    for user, hashed in config.basic_auth_users.items():
        if not hashed.startswith(("$2a$", "$2b$", "$2y$")):
            raise WebConfigError(f"{file}: basic_auth_users.{user}: not a bcrypt hash (htpasswd -nBC 10 '')")
    return config


def context(tls: Tls, folder: Path) -> ssl.SSLContext:
    """Return the TLS context of a server; raise WebConfigError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.minimum_version, made.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
        made.load_cert_chain(folder / tls.cert_file, folder / tls.key_file)
        if tls.client_ca_file is not None:
            made.load_verify_locations(folder / tls.client_ca_file)
        made.verify_mode = _CLIENTS[tls.client_auth_type]
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise WebConfigError(f"tls_server_config: {error}") from error
    if made.verify_mode != ssl.CERT_NONE and tls.client_ca_file is None:
        raise WebConfigError(f"tls_server_config: {tls.client_auth_type} needs client_ca_file")
    return made


class Users:
    """Who may ask, by basic authentication; a password that was right is not hashed again."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._right: dict[str, bytes] = {}  # user -> digest of the header that was right

    def allow(self, header: str | None) -> bool:
        """Return whether the value of an Authorization header names a known user and password."""
        if not self._users:
            return True
        user, password = _credentials(header)
        digest = hashlib.sha256(b"%b\0%b" % (user.encode(), password)).digest()
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        right = _matches(password, self._users.get(user, _NOBODY)) and user in self._users
        if right:
            self._right[user] = digest
        return right


def _credentials(header: str | None) -> tuple[str, bytes]:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        return user.decode(), password
    except (binascii.Error, UnicodeDecodeError):
        return "", b""


def _matches(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password[:72], hashed.encode())  # bcrypt looks at 72 bytes, in Go too
    except ValueError:
        return False

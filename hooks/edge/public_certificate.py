"""The certificate of this server's endpoint, which publishes it in its own runtime folder."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from hooks.edge.secrets import SecretsError
from onext.paths import Paths

_LARGEST = 65_536  # bytes of a certificate


def place(paths: Paths) -> Path:
    """Return where the endpoint publishes its certificate."""
    if paths.location is None:
        return paths.run.parent / "onext-edge-endpoint/certificate.pem"
    return paths.run / "edge-endpoint/certificate.pem"


def digest(paths: Paths) -> str:
    """Return the SHA-256 of the certificate; raise SecretsError."""
    file = place(paths)
    try:
        with file.open() as stream:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(stream.read(_LARGEST))).hexdigest()
    except OSError as error:
        raise SecretsError(
            f"{file}: {error.strerror}; start the endpoint, which makes its certificate:"
            " systemctl enable --now onext-edge-endpoint"
        ) from None
    except ValueError:
        raise SecretsError(
            f"{file} is not a certificate; restart the endpoint, which writes it:"
            " systemctl restart onext-edge-endpoint"
        ) from None

"""A certificate for 127.0.0.1 that nobody signed but itself."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

_NEW = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x"


def certify(folder: Path) -> ssl.SSLContext:
    """Make cert.pem and key.pem in a folder, in place of what is there; return what trusts them and no other."""
    words = [
        *_NEW.split(),
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        "key.new",
        "-out",
        "cert.new",
    ]
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    for name in ("key", "cert"):
        (folder / f"{name}.new").replace(folder / f"{name}.pem")
    return ssl.create_default_context(cafile=str(folder / "cert.pem"))

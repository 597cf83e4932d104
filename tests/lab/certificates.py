"""Certificates for libvirt's TLS: one authority, one certificate for each node, as server and client."""

import shutil
import subprocess
from pathlib import Path


def issue(authority: Path, name: str, target: Path) -> None:
    """Make a node's certificate in its own name, and place it where QEMU looks."""
    if not authority.exists():
        authority.mkdir()
        _openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=lab",
            "-keyout",
            authority / "key.pem",
            "-out",
            authority / "cert.pem",
        )
    target.mkdir(parents=True, exist_ok=True)
    request = authority / f"{name}.csr"
    _openssl(
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        f"/CN={name}",
        "-keyout",
        target / "server-key.pem",
        "-out",
        request,
    )
    extensions = authority / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        request,
        "-CA",
        authority / "cert.pem",
        "-CAkey",
        authority / "key.pem",
        "-CAcreateserial",
        "-extfile",
        extensions,
        "-out",
        target / "server-cert.pem",
    )
    shutil.copy(authority / "cert.pem", target / "ca-cert.pem")
    for part in ("key", "cert"):
        shutil.copy(target / f"server-{part}.pem", target / f"client-{part}.pem")


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

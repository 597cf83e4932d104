"""The proof that a machine has its ssh host key, from files that ssh-keygen wrote."""

from __future__ import annotations

import base64
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from edge import host_key
from edge.errors import EdgeError
from edge.places import Places

IDENTITY = bytes(range(32))


def made(root: Path, *options: str) -> Places:
    """Return a machine with a host key."""
    here = Places(str(root))
    Path(here.host_key).parent.mkdir(parents=True)
    subprocess.run(["ssh-keygen", "-q", "-f", here.host_key, *options], check=True)
    return here


@pytest.mark.process
@pytest.mark.parametrize("comment", ["", "root@edge-1.example", "x" * 300])
def test_the_front_end_can_check_it(tmp_path: Path, comment: str) -> None:
    """Every join would be refused."""
    here = made(tmp_path, "-t", "ed25519", "-N", "", "-C", comment)
    public = base64.b64decode(Path(here.host_key + ".pub").read_text().split()[1])[-32:]
    signature = bytes.fromhex(host_key.proof(here, IDENTITY))
    Ed25519PublicKey.from_public_bytes(public).verify(signature, host_key.PROOF + IDENTITY)


@pytest.mark.process
@pytest.mark.parametrize(
    "options",
    [("-t", "ed25519", "-N", "secret"), ("-t", "ecdsa", "-N", ""), ("-t", "rsa", "-b", "2048", "-N", "")],
)
def test_other_keys_are_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A key with a passphrase, or of another kind, ended with a traceback."""
    with pytest.raises(EdgeError, match="is not an Ed25519 key without a passphrase"):
        host_key.proof(made(tmp_path, *options), IDENTITY)


@given(st.binary(max_size=200))
def test_damaged_files_are_no_keys(data: bytes) -> None:
    """A disk that lost a block must not end the program without a word."""
    for content in (data, b"openssh-key-v1\0" + data):
        text = f"{host_key._BEGIN}\n{base64.b64encode(content).decode()}\n{host_key._END}\n"
        with pytest.raises((ValueError, IndexError, struct.error)):
            host_key._seed(text)

"""The script that root runs on a node: it holds the daemon, the node's key and the systemd units."""

from __future__ import annotations

import base64
import json
from pathlib import Path

HERE = Path(__file__).parent
_FILES = ("__init__.py", "lease.py", "daemon.py")


def script(host: int, key: bytes, port: int) -> str:
    """Return the script for one node."""
    config = json.dumps({"host": host, "key": key.hex(), "port": port})
    text = (HERE / "install_node.sh").read_text()
    return (
        text.replace("@PROGRAM@", "\n".join(map(_unpack, _FILES)))
        .replace("@CONFIG@", config)
        .replace("@PORT@", str(port))
    )


def _unpack(name: str) -> str:
    packed = base64.encodebytes((HERE / "onext_lease" / name).read_bytes()).decode()
    return f"base64 -d >$library/onext_lease/{name} <<'END'\n{packed}END"

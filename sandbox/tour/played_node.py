"""`played_node.py onext-edge.pyz OPTIONS COMMAND`: the node program on a machine without WireGuard.

Its commands to the system do nothing, and what it asks within the tunnel goes to the public endpoint.
"""

import base64
import importlib
import os
import sys
from typing import Any

_REAL = "ssh-keygen"


def main() -> int:
    """Run the node program with another `programs.run`."""
    sys.path.insert(0, sys.argv[1])
    names = ("main", "membership", "programs", "requirements", "tunnel")
    modules: list[Any] = [importlib.import_module(f"edge.{name}") for name in names]
    program, membership, programs, requirements, tunnel = modules
    really = programs.run

    def run(argv: list[str], text: str | None = None, timeout: float = 30.0) -> Any:  # noqa: ANN401
        if argv[0] == _REAL:
            return really(argv, text, timeout)
        return base64.b64encode(os.urandom(32)).decode() + "\n" if argv[0] == "wg" else ""

    programs.run = run
    programs.there = lambda _: False
    requirements.packages = lambda _: []
    tunnel.present = lambda: True
    tunnel.up = tunnel.down = lambda *_: None
    tunnel.here = lambda _: []
    membership.overlay_servers = membership.public_servers
    return int(program.main(sys.argv[2:]))


if __name__ == "__main__":
    sys.exit(main())

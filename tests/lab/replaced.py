"""A program of a laboratory node that is replaced for a while by a script, which can call the real one."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.node import Node


@contextmanager
def replaced(node: Node, program: str, script: str) -> Iterator[None]:
    """Have `script` in the place of /usr/bin/PROGRAM; the real one is /run/real/PROGRAM."""
    place = node.folder / "home" / f"replaced-{program}"
    place.write_text("#!/bin/bash\n" + script)
    place.chmod(0o755)
    inside = f"/var/lib/one/replaced-{program}"
    node.sh(
        f"mkdir -p /run/real; cp -n /usr/bin/{program} /run/real/{program}; mount --bind {inside} /usr/bin/{program}"
    )
    try:
        yield
    finally:
        if node.alive():
            node.sh(f"umount /usr/bin/{program}")
        place.unlink()

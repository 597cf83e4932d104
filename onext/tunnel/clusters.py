"""The map of hosts to clusters for TUNNEL="between-clusters": the driver is told the destination's only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onext import atomic
from onext.tunnel.nodes import Node

_HEAD = "# Host and cluster id, written by `onext tunnel sync`; onehost sync takes it to the nodes.\n"


def path(remotes: Path) -> Path:
    """Return the file, below remotes/ so that `onehost sync` takes it along."""
    return remotes / "etc/vmm/kvm/onext-clusters.conf"


def text(nodes: Sequence[Node]) -> str:
    """Return the file's text."""
    return _HEAD + "".join(f"{node.name} {node.cluster}\n" for node in nodes)


def current(remotes: Path, nodes: Sequence[Node]) -> bool:
    """Return whether the file is up to date."""
    try:
        return path(remotes).read_text() == text(nodes)
    except (OSError, UnicodeDecodeError):
        return False


def write(remotes: Path, nodes: Sequence[Node]) -> bool:
    """Bring the file up to date; return whether it changed."""
    target = path(remotes)
    target.parent.mkdir(parents=True, exist_ok=True)
    return atomic.write(target, text(nodes).encode(), 0o644)

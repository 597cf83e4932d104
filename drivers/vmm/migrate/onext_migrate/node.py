"""Where things are on this node: the same layout below /var/tmp/one as below remotes/ on the front-end."""

import os
from typing import Dict, NamedTuple

from . import settings, virsh

STOCK = "migrate_default"


class Node(NamedTuple):
    """Where things are on this node."""

    folder: str  # this program's, remotes/vmm/kvm/onext_migrate
    etc: str  # etc/vmm/kvm
    kvmrc: Dict[str, str]

    @property
    def stock(self) -> str:
        """Return OpenNebula's own migrate, which must stay in its folder."""
        return os.path.join(os.path.dirname(self.folder), STOCK)

    @property
    def uri(self) -> str:
        """Return libvirt's address on this node, as its kvmrc sets it."""
        return self.kvmrc.get("LIBVIRT_URI") or virsh.URI


def node() -> Node:
    """Return the node that this program runs on."""
    folder = os.path.dirname(os.path.abspath(__file__))
    etc = os.path.normpath(os.path.join(folder, "..", "..", "..", "etc", "vmm", "kvm"))
    return Node(folder, etc, settings.kvmrc(etc))

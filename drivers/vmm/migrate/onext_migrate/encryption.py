"""REQUIRE_ENCRYPTION: whether a migration without our tunnel is encrypted by its own options."""

import os

from .node import Node
from .settings import Settings


def problem(settings: Settings, here: Node) -> str:
    """Return why OpenNebula's own migrate may not run without a tunnel, "" where it may.

    `qemu+tls` as the protocol protects libvirt's conversation only: the memory takes a connection of its own,
    unless it is tunnelled through that conversation.
    """
    if not settings.encrypt:
        return ""
    words = here.kvmrc.get("MIGRATE_OPTIONS", os.environ.get("MIGRATE_OPTIONS", "")).split()
    inside = {"--p2p", "--tunnelled"} <= set(words) and here.kvmrc.get("QEMU_PROTOCOL") == "qemu+tls"
    if "--tls" in words or inside:
        return ""
    return (
        'REQUIRE_ENCRYPTION="YES" and no WireGuard, and MIGRATE_OPTIONS in kvmrc has neither --tls'
        " nor --p2p --tunnelled with QEMU_PROTOCOL=qemu+tls"
    )

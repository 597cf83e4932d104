"""`migrate` as OpenNebula calls it: decide, open a tunnel, migrate through it, or leave it to its own."""

import shlex
import sys
import time
from typing import List

from . import (
    action,
    encryption,
    last_settings,
    log,
    migration,
    net_devices,
    node,
    off_switch,
    opennebula_script,
    policy,
    settings,
    wrapper_files,
)
from .errors import BadInputError, TunnelError, UnsafeError
from .identity import NAME
from .reaping import reap
from .tunnel import Tunnel, open_tunnel


def migrate(arguments: List[str]) -> int:
    """Migrate as OpenNebula asks."""
    here = node.node()
    asked = action.read(arguments, sys.stdin.buffer.read())
    if asked.local:
        return _forward(asked, here.etc)
    if asked.source == asked.destination:  # disks move between datastores (since OpenNebula 7.2)
        return opennebula_script.directly(asked.xml, list(asked.arguments), here)
    conf = last_settings.load(here.etc)
    if off_switch.is_off():
        return _without(asked, conf, here, "tunnels are switched off on this host (onext tunnel on)")
    choice = policy.choose(asked, conf, settings.clusters(here.etc))
    if not choice.tunnelled:
        return _directly(asked, conf, here, choice.reason)
    return _tunnelled(asked, conf, here)


def _tunnelled(asked: action.Action, conf: settings.Settings, here: node.Node) -> int:
    if "PATH" in here.kvmrc:
        return _without(asked, conf, here, "kvmrc sets PATH, so the driver's virsh is not found: remove PATH")
    try:
        return _through_tunnel(asked, conf, here)
    except UnsafeError as error:
        log.error(f"{error}: not migrated")
        return 1
    except TunnelError as error:
        return _without(asked, conf, here, f"no tunnel to {asked.destination}: {error}")


def _through_tunnel(asked: action.Action, conf: settings.Settings, here: node.Node) -> int:
    tunnel = _open(asked, conf, here)
    try:
        return migration.Migration(asked, conf, tunnel, here).run()
    finally:
        tunnel.close()
        wrapper_files.reap()
        if any(NAME.match(name) for name in net_devices.names()):
            reap()  # what crashes left; the others' tunnels are in use, and stay


def _open(asked: action.Action, conf: settings.Settings, here: node.Node) -> Tunnel:
    started = time.monotonic()
    tunnel = open_tunnel(asked.destination, asked.domain, conf, here.folder, here.uri)
    took = (time.monotonic() - started) * 1000
    figures = f"{tunnel.offer.kind}, MTU {tunnel.mtu}, round trip {tunnel.round_trip_ms:.1f} ms"
    log.info(f"tunnel {tunnel.name} to {asked.destination} up in {took:.0f} ms ({figures})")
    return tunnel


def _without(asked: action.Action, conf: settings.Settings, here: node.Node, why: str) -> int:
    if conf.refuse:
        rule = "REQUIRE_TUNNEL=YES" if conf.require else "ON_TUNNEL_FAILURE=refuse"
        log.error(f"{why}; {rule}: not migrated")
        return 1
    if not encryption.problem(conf, here):
        log.warning(f"{why}: migrating without a tunnel")
    return _directly(asked, conf, here, why)


def _directly(asked: action.Action, conf: settings.Settings, here: node.Node, why: str) -> int:
    """Leave it to OpenNebula's own migrate, unless that does not encrypt and has to."""
    problem = encryption.problem(conf, here)
    if problem:
        log.error(f"{why}; {problem}: not migrated")
        return 1
    return opennebula_script.directly(asked.xml, list(asked.arguments), here)


def _forward(asked: action.Action, etc: str) -> int:
    """Hand over to the source, where the VM is and whose settings count: this is a local action."""
    try:
        remotes = settings.load(etc).remotes
    except BadInputError:
        remotes = settings.Settings().remotes
    words = ["exec", remotes + "/vmm/kvm/migrate"] + [shlex.quote(word) for word in asked.arguments]
    try:
        return opennebula_script.forward(asked.source, " ".join(words), asked.xml)
    except TunnelError as error:
        raise BadInputError(f"{asked.source} does not accept the order to migrate: {error}") from error

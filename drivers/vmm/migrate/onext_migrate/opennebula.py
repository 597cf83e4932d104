"""`migrate` as OpenNebula calls it: decide, open a tunnel, migrate through it, or leave it to its own."""

import shlex
import sys
import time
from typing import List

from . import action, connect, device, log, migration, place, policy, settings, switch
from .errors import TunnelError
from .identity import NAME
from .reaping import reap


def migrate(arguments: List[str]) -> int:
    """Migrate as OpenNebula asks."""
    here = place.node()
    asked = action.read(arguments, sys.stdin.buffer.read())
    conf = settings.load(here.etc)
    if asked.local:
        return _forward(asked, conf)
    if switch.is_off():
        return _without(asked, conf, here, "tunnels are switched off on this host (onext tunnel on)")
    choice = policy.choose(asked, conf, settings.clusters(here.etc))
    if not choice.tunnelled:
        return migration.directly(asked.xml, list(asked.arguments), here)
    try:
        tunnel = _open(asked, conf, here)
    except TunnelError as error:
        return _without(asked, conf, here, f"no tunnel to {asked.destination}: {error}")
    try:
        return migration.Migration(asked, conf, tunnel, here).run()
    finally:
        tunnel.close()
        if any(NAME.match(name) for name in device.names()):
            reap()  # what crashes left; the others' tunnels are in use, and stay


def _open(asked: action.Action, conf: settings.Settings, here: place.Node) -> connect.Tunnel:
    started = time.monotonic()
    tunnel = connect.open_tunnel(asked.destination, asked.domain, conf, here.folder, here.uri)
    took = (time.monotonic() - started) * 1000
    figures = f"{tunnel.offer.kind}, MTU {tunnel.mtu}, round trip {tunnel.round_trip_ms:.1f} ms"
    log.info(f"tunnel {tunnel.name} to {asked.destination} up in {took:.0f} ms ({figures})")
    return tunnel


def _without(asked: action.Action, conf: settings.Settings, here: place.Node, why: str) -> int:
    if conf.refuse:
        rule = "REQUIRE_TUNNEL=YES" if conf.require else "ON_TUNNEL_FAILURE=refuse"
        log.error(f"{why}; {rule}: not migrated")
        return 1
    log.warning(f"{why}: migrating without a tunnel")
    return migration.directly(asked.xml, list(asked.arguments), here)


def _forward(asked: action.Action, conf: settings.Settings) -> int:
    """Hand over to the source, where the guest is: this is a local action on the front-end."""
    words = ["exec", conf.remotes + "/vmm/kvm/migrate"] + [shlex.quote(word) for word in asked.arguments]
    return migration.forward(asked.source, " ".join(words), asked.xml)

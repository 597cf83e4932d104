"""The commands: `migrate` for OpenNebula, `hold` for the other end, the rest for `onext tunnel` over ssh."""

import shlex
import sys
import time
from typing import Callable, Dict, List

from . import action, connect, hold, log, migration, policy, settings, switch
from .errors import MigrateError, TunnelError
from .lines import Lines


def main(arguments: List[str]) -> int:
    """Run one command; return its exit code."""
    command = _COMMANDS.get(arguments[0] if arguments else "")
    if command is None:
        log.error("{!r}: one of {} is expected".format(" ".join(arguments), ", ".join(sorted(_COMMANDS))))
        return 2
    try:
        return command(arguments[1:])
    except MigrateError as error:
        log.error(str(error))
        return 1
    except OSError as error:
        log.error(f"{error!r}")
        return 1


def migrate(arguments: List[str]) -> int:
    """Migrate as OpenNebula asks."""
    here = migration.node()
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


def _open(asked: action.Action, conf: settings.Settings, here: migration.Node) -> connect.Tunnel:
    started = time.monotonic()
    tunnel = connect.open_tunnel(asked.destination, asked.domain, conf, here.folder, here.uri)
    took = (time.monotonic() - started) * 1000
    log.info(
        f"tunnel {tunnel.name} to {asked.destination} up in {took:.0f} ms ({tunnel.offer.kind}, MTU {tunnel.mtu}, round trip {tunnel.round_trip_ms:.1f} ms)"
    )
    return tunnel


def _without(asked: action.Action, conf: settings.Settings, here: migration.Node, why: str) -> int:
    if conf.refuse:
        rule = "REQUIRE_TUNNEL=YES" if conf.require else "ON_TUNNEL_FAILURE=refuse"
        log.error(f"{why}; {rule}: not migrated")
        return 1
    log.warning(f"{why}: migrating without a tunnel")
    return migration.directly(asked.xml, list(asked.arguments), here)


def _forward(asked: action.Action, conf: settings.Settings) -> int:
    """Called as a local action on the front-end: hand over to the source, where the guest is."""
    words = ["exec", conf.remotes + "/vmm/kvm/migrate"] + [shlex.quote(word) for word in asked.arguments]
    return migration.forward(asked.source, " ".join(words), asked.xml)


def _hold(arguments: List[str]) -> int:
    return hold.serve(Lines(0, 1), migration.node().uri)


_COMMANDS: Dict[str, Callable[[List[str]], int]] = {"migrate": migrate, "hold": _hold}

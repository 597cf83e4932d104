"""What `onext tunnel` asks of a node over ssh, and the monitoring probe: one JSON object on stdout."""

import json
import os
import sys
import time
from typing import Dict, List

from . import action, endpoint_ovs, node, off_switch, refcount, settings, throughput, version
from .commands import environment
from .endpoint_server import PROTOCOL
from .errors import BadInputError, TunnelError
from .reaping import reap as reap_now
from .reaping import tunnels
from .tunnel import Tunnel, open_tunnel

_NEEDED = ("ip", "sudo", "ssh", "virsh")
_SECONDS = 2.0  # of traffic for the throughput


def list(_: List[str]) -> int:  # noqa: A001 (the command's name)
    """Report this node's tunnels, what it lacks, whether tunnels are switched off."""
    here = node.node()
    return _print(
        {
            "node": os.uname()[1],
            "protocol": PROTOCOL,
            "driver": version.digest(os.path.normpath(os.path.join(here.folder, "..", "..", ".."))),
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "ovs": endpoint_ovs.works(),
            "off": off_switch.is_off(),
            "missing": _missing(here),
            "problems": _problems(here),
            "tunnels": [one._asdict() for one in tunnels()],
        }
    )


def reap(arguments: List[str]) -> int:
    """Remove tunnels that are not in use: what a crash left. With `probe`, answer as a monitoring probe."""
    gone = reap_now()
    if arguments == ["probe"]:
        sys.stdout.write(f"ONEXT_TUNNELS={len(tunnels())}\n")
        return 0
    return _print({"reaped": gone})


def check(arguments: List[str]) -> int:
    """Open a tunnel to another host, measure it, close it; nothing else is touched."""
    (host,) = arguments
    action.check_host("destination", host)
    here = node.node()
    started = time.monotonic()
    tunnel = open_tunnel(host, "", settings.load(here.etc), here.folder, here.uri)
    up = time.monotonic() - started
    try:
        found: Dict[str, object] = {"tunnel": tunnel.name, "datapath": tunnel.offer.kind, "mtu": tunnel.mtu}
        found.update(up_ms=round(up * 1000), round_trip_ms=round(tunnel.round_trip_ms, 1))
        found["mbit_s"] = _throughput(tunnel)
    finally:
        tunnel.close()
    return _print(found)


def validate(arguments: List[str]) -> int:
    """Tell what is wrong with a file of settings; this is what the front-end asks before a sync."""
    (path,) = arguments
    return _print({"problem": _invalid(path)})


def off(_: List[str]) -> int:
    """Switch tunnels off on this node, from the next migration on."""
    off_switch.turn(off=True)
    return _print({"off": True})


def on(_: List[str]) -> int:
    """Switch tunnels on again."""
    off_switch.turn(off=False)
    return _print({"off": False})


def _throughput(tunnel: Tunnel) -> float:
    port = int(tunnel.far.ask({"do": "receive"})["port"])
    throughput.send(tunnel.offer.identity, port, _SECONDS)
    answer = tunnel.far.receive(20)
    if not answer.get("seconds"):
        raise TunnelError("the tunnel is too quick to be measured")
    return round(float(answer["bytes"]) * 8 / float(answer["seconds"]) / 1e6, 1)


def _missing(here: node.Node) -> List[str]:
    folders = environment()["PATH"].split(":")
    lacking = [
        name for name in _NEEDED if not any(os.access(os.path.join(one, name), os.X_OK) for one in folders)
    ]
    return lacking + ([] if os.access(here.stock, os.X_OK) else [here.stock])


def _problems(here: node.Node) -> List[str]:
    """Tell what makes migrations from this node fail, or go without a tunnel."""
    found = [_invalid(os.path.join(here.etc, "onext-migrate.conf"))]
    if "PATH" in here.kvmrc:
        found.append("kvmrc sets PATH, so migrations go without a tunnel: remove PATH")
    try:
        refcount.ensure_folder(refcount.FOLDER)
    except (TunnelError, OSError) as error:
        found.append(str(error))
    return [one for one in found if one]


def _invalid(path: str) -> str:
    try:
        settings.parse(settings.read(path), path)
    except BadInputError as error:
        return str(error)
    return ""


def _print(message: Dict[str, object]) -> int:
    sys.stdout.write(json.dumps(message) + "\n")
    return 0

"""Whether OpenNebula's services run on this front-end, as systemd reports."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from exporter.exposition import Samples
from onext import process

_UNITS = {
    "opennebula_oned_state": "opennebula.service",
    "opennebula_scheduler_state": "opennebula-scheduler.service",
    "opennebula_flow_state": "opennebula-flow.service",
    "opennebula_hem_state": "opennebula-hem.service",
    "opennebula_gate_state": "opennebula-gate.service",
    "opennebula_fireedge_state": "opennebula-fireedge.service",
}


def states() -> Mapping[str, bool]:
    """Return for each metric whether its unit is active; all False without systemd.

    Raises process.CommandError when systemctl is there and does not answer in 5 s.
    """
    argv = ["systemctl", "show", "--value", "-p", "ActiveState", *_UNITS.values()]
    try:
        answer = process.run(argv, timeout=5, check=False).stdout.decode(errors="replace").split()
    except process.CommandError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        answer = []
    answer += [""] * (len(_UNITS) - len(answer))
    return {metric: state == "active" for metric, state in zip(_UNITS, answer, strict=False)}


def samples(active: Mapping[str, bool], fqdn: str) -> Samples:
    """Return the metrics of the services of the server `fqdn`."""
    found = Samples()
    for metric, state in active.items():
        found.add(metric, int(state), one_server_fqdn=fqdn)
    return found


def fqdn() -> str:
    """Return this server's name as OpenNebula's own exporter finds it: forward, then back."""
    name = socket.gethostname()
    try:
        address = socket.getaddrinfo(name, None)[0][4]
        return socket.getnameinfo(address[:2], 0)[0]
    except OSError:
        return name

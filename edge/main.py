"""`onext-edge.pyz check|join|leave|rejoin|status|doctor|run`."""

import argparse
import json
import os
import socket
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from edge import membership, requirements, service, sizes, tunnel, ways, word
from edge.errors import EdgeError
from edge.places import Places, remove

STDIN = "-"
_Command = Callable[[Places, argparse.Namespace], Optional[int]]
_SHOWN = {"fail": "FAIL", "none": "--"}


class Finding(NamedTuple):
    """One line of `check` and `doctor`: its state is ok, warn or fail, none where nothing is to check."""

    state: str
    name: str
    message: str


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a command and return its exit code; what is expected to fail is one line."""
    given = _parser().parse_args(arguments)
    places = Places(given.root, given.account)
    try:
        _check_rights(places, given)
        _check_state(places, given)
        return int(given.command(places, given) or 0)
    except EdgeError as error:
        sys.stderr.write(f"onext-edge: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"onext-edge: {error}\n")
        return 1


def _check_rights(places: Places, given: argparse.Namespace) -> None:
    if given.rights and places.root == "/" and os.geteuid() != 0:
        raise EdgeError(f"{given.name_of_command} needs root: run it with sudo")


def _check_state(places: Places, given: argparse.Namespace) -> None:
    """Refuse a command that reads a damaged state; `leave --force` continues without the state."""
    if not given.reads_state:
        return
    try:
        membership.check_state(places)
    except EdgeError as error:
        if not getattr(given, "force", False):
            raise
        say(str(error))
        remove(places.state_file)


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, flush=True)


def _check(places: Places, given: argparse.Namespace) -> int:
    return _report([_requirement(line) for line in requirements.findings(places)], given)


def _join(places: Places, given: argparse.Namespace) -> int:
    text, began = _token(given), time.monotonic()
    word.read(text)  # before packages are installed
    if given.install:
        wanted = requirements.packages(places)
        if given.node_package:
            wanted.append(requirements.NODE_PACKAGES[requirements.red_hat(places)])
        requirements.install(places, wanted)
        say(f"packages: {time.monotonic() - began:.0f} s")
        began = time.monotonic()
    lacking = requirements.packages(places)
    if lacking:
        names = " ".join(lacking)
        raise EdgeError(f"install {names} first, or join with --install")
    name = (given.name or socket.gethostname()).lower()
    monitored = membership.join(places, text, name, given.wait, say)
    say(f"joined in {time.monotonic() - began:.1f} s")
    return 0 if monitored else 1


def _narrow(_places: Places, given: argparse.Namespace) -> None:
    membership.check_name(given.name.lower())
    say(word.narrowed(_token(given), given.name.lower()))


def _token(given: argparse.Namespace) -> str:
    """Return the token, which a mail may have broken into lines; a person ends a line by hand."""
    if given.token != STDIN:
        return str(given.token)
    return sys.stdin.readline() if sys.stdin.isatty() else sys.stdin.read(word.LONGEST + 1)


def _rejoin(places: Places, given: argparse.Namespace) -> int:
    state = membership.renewed(places, membership.joined(places))
    return 0 if membership.ready(places, state, given.wait, say) else 1


def _leave(places: Places, given: argparse.Namespace) -> None:
    membership.leave(places, given.force, given.wait, say)
    say("left")


def _status(places: Places, given: argparse.Namespace) -> int:
    status = describe(places)
    if given.json:
        say(json.dumps(status, indent=2, sort_keys=True))
    else:
        for key in sorted(set(status) - {"hubs"}):
            say(f"{key:12} {status[key]}")
        for hub in status.get("hubs", []):
            say("{:12} {}".format("hub", _hub(hub)))
    return 0 if status["joined"] else 1


def describe(places: Places) -> Dict[str, Any]:
    """Return what `status` shows."""
    state = places.state()
    if state is None:
        return {"joined": False}
    ages = tunnel.handshakes() if tunnel.present() else {}
    over_tls, mtus = tunnel.relayed(), sizes.routes(state) if tunnel.present() else {}
    hubs = [
        {
            "address": hub["address"],
            "endpoint": hub["endpoint"],
            "handshake": _age(ages.get(hub["key"], tunnel.NEVER)),
            "mtu": mtus.get(hub["address"], state["mtu"]),
            "over": "tls" if hub["key"] in over_tls else "udp",
        }
        for hub in state["hubs"]
    ]
    return {
        "joined": True,
        "name": state["name"],
        "address": state["address"],
        "interface": tunnel.present(),
        "hubs": hubs,
        "certified": state.get("certified"),
        "days": state.get("days"),
    }


def _hub(hub: Dict[str, Any]) -> str:
    age = hub["handshake"]
    handshake = "no handshake yet" if age is None else f"last handshake {age} s ago"
    return "{} at {}: {}, over {}, MTU {}".format(
        hub["address"], hub["endpoint"], handshake, hub["over"].upper(), hub["mtu"]
    )


def _age(seconds: float) -> Optional[int]:
    return None if seconds > 1e8 else int(seconds)


def _doctor(places: Places, given: argparse.Namespace) -> int:
    found = [_requirement(line) for line in requirements.findings(places)]
    state = places.state()
    if state is None:
        return _report([*found, Finding("none", "node", "not joined")], given)
    status = describe(places)
    other = tunnel.other_way(state)
    found += _of_network(state, other) + _of_hubs(status["hubs"])
    left = (status["certified"] + status["days"] * 86400 - time.time()) / 86400
    found.append(Finding("ok" if left > 0 else "fail", "host certificate", f"{left:.0f} days left"))
    return _report(found, given)


def _of_network(state: Dict[str, Any], other: str) -> List[Finding]:
    pool = state["pool"]
    message = f"{pool} is the network of the overlay, and this machine reaches {other}: renumber it"
    return [Finding("warn", "network", message)] if other else []


def _of_hubs(hubs: List[Dict[str, Any]]) -> List[Finding]:
    """Report each hub: one that answers is enough."""
    alive = [hub["handshake"] is not None and hub["handshake"] < tunnel.STALE for hub in hubs]
    silent, found = "warn" if any(alive) else "fail", []
    for hub, well in zip(hubs, alive):
        found.append(Finding("ok" if well else silent, "tunnel", _hub(hub)))
        if hub["over"] == "tls":
            message = "no answer from {}: the tunnel runs over TLS, which is slower".format(hub["endpoint"])
            found.append(Finding("warn", "UDP", message))
    return found


def _requirement(line: requirements.Finding) -> Finding:
    return Finding("ok" if line.good else "fail", line.name, line.message)


def _report(found: List[Finding], given: argparse.Namespace) -> int:
    """Print what was found, and return the exit code."""
    if given.json:
        rows = [{"check": one.name, "state": one.state, "message": one.message} for one in found]
        say(json.dumps(rows, indent=2))
    else:
        for one in found:
            say(f"{_SHOWN.get(one.state, one.state):4} {one.name}: {one.message}")
    return 1 if any(one.state == "fail" for one in found) else 0


def _run(places: Places, given: argparse.Namespace) -> None:
    service.run(places, say, given.probe)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onext-edge.pyz", description="Join an OpenNebula zone over WireGuard."
    )
    parser.add_argument("--root", default="/", help="files below another root, for images")
    parser.add_argument("--account", default="oneadmin", help="OpenNebula's account on this node")
    commands = parser.add_subparsers(dest="name_of_command", metavar="COMMAND")
    commands.required = True

    def add(name: str, function: _Command, text: str, rights: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        reads_state = name not in ("check", "join", "narrow")
        command.set_defaults(command=function, rights=rights, reads_state=reads_state)
        return command

    checking = add("check", _check, "report what is missing, and change nothing", rights=False)
    joining = add("join", _join, "join with a token of `onext edge token`")
    joining.add_argument("token", help="the token, or - to read it from standard input")
    joining.add_argument("--name", help="name of the host (default: this machine's)")
    joining.add_argument("--install", action="store_true", help="install missing packages first")
    joining.add_argument("--node-package", action="store_true", help="with --install: OpenNebula's, too")
    narrowing = add("narrow", _narrow, "print a token for one name only; needs no front-end", rights=False)
    narrowing.add_argument("token", help="the token, or - to read it from standard input")
    narrowing.add_argument("--name", required=True, help="name of the host that may join")
    rejoining = add("rejoin", _rejoin, "bring everything up again: after a new network or address")
    leaving = add("leave", _leave, "move the VMs away, remove the host, and undo the join")
    leaving.add_argument("--force", action="store_true", help="undo what is here though no front-end answers")
    for command, seconds in ((joining, 180.0), (rejoining, 180.0), (leaving, 3600.0)):
        command.add_argument("--wait", type=float, default=seconds, help="seconds to wait for OpenNebula")
    status = add("status", _status, "show the tunnel and the certificate")
    doctor = add("doctor", _doctor, "check the machine and the tunnel")
    for command in (checking, status, doctor):
        command.add_argument("--json", action="store_true", help="print JSON")
    running = add("run", _run, "keep the tunnel up; systemd runs it")
    running.add_argument(
        "--probe", type=float, default=ways.PROBE, help="seconds until UDP is tried again while TLS is used"
    )
    return parser


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())

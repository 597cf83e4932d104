"""Join, ask for changes, leave: each step can be repeated, and the next attempt completes the last one."""

import os
import re
import time
from typing import Any, Callable, Dict, List

from edge import (
    answer,
    ed25519,
    host_key,
    keys,
    messages,
    narrowing,
    server,
    system_files,
    tunnel,
    ways,
    word,
)
from edge.errors import EdgeError, NotReady, Refused, Unreachable, WrongServer
from edge.places import Places
from edge.word import Server

CLOCK = 300  # seconds of difference that certificates tolerate
BRIEF = 20.0  # seconds for an answer that the service waits for: meanwhile it follows nothing else
TUNNEL = 60.0  # seconds in which the tunnel must carry the first answer, over UDP or TLS
HUB = 1.0  # seconds in which hubs take a new key; WireGuard repeats a handshake that came before after 5
IMPATIENT = 10.0  # seconds without an answer over UDP while a person waits
PATIENCE = 120.0  # seconds in which a front-end may become ready
MONITORED = ("MONITORED", "MONITORING_MONITORED")
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")
_Say = Callable[[str], None]


def join(places: Places, text: str, name: str, wait: float, say: _Say) -> bool:
    """Join with a token, and return whether OpenNebula monitors the host; raise an EdgeError."""
    token = word.read(text)
    check_name(name)
    if (places.state() or {}).get("key", token.key) != token.key:
        raise EdgeError("this machine is in another zone, or in one that lost its keys: leave first")
    secret = keys.new_identity(places)
    bound = narrowing.bind(token.biscuit, "node_key", ed25519.public(secret).hex())
    values = {"token": bound, "name": name, "wireguard": keys.wireguard(places), "ssh_key": keys.ssh(places)}
    values["knows"] = token.key[:16]
    values["proof"] = host_key.proof(places, ed25519.public(secret))
    asked = messages.Asked(secret, "join", values)
    try:
        got = server.ask(token.servers, asked, token.key, PATIENCE, say=say)
    except NotReady:
        raise
    except Unreachable as error:
        raise Unreachable(f"{error}; does onext-edge-endpoint run there, and is its port open?") from None
    say_clock(got, say)
    state = dict({"key": token.key}, **answer.checked(got), certified=int(time.time()))
    check_pool(state)
    places.keep(state)
    say("{} is admitted with address {}".format(state["name"], state["address"]))
    if not tunnel.present():
        time.sleep(HUB)
    return ready(places, state, wait, say)


def check_name(name: str) -> None:
    """Raise EdgeError unless the name is a valid host name."""
    if not NAME.match(name):
        raise EdgeError(
            f"{name!r} is not a host name of at most 64 letters, digits, dots and dashes: use --name"
        )


def check_pool(state: Dict[str, Any]) -> None:
    """Raise EdgeError where this machine reaches something else at the overlay's addresses."""
    other = tunnel.other_way(state)
    if other:
        pool = state["pool"]
        raise EdgeError(
            f"{pool} is the network of the overlay, and this machine reaches {other}: renumber that network,"
            " then join again with the same token"
        )


def ready(places: Places, state: Dict[str, Any], wait: float, say: _Say) -> bool:
    """Bring everything up, let the front-end add the host, and return whether it became monitored."""
    tunnel.up(places, state)
    settle(places, state)
    over = ways.Ways(say, quiet=IMPATIENT)
    try:
        return _ready(places, state, wait, say, over)
    finally:
        over.close()


def _ready(places: Places, state: Dict[str, Any], wait: float, say: _Say, over: ways.Ways) -> bool:
    got = through_tunnel(places, state, "ready", over)
    say("the tunnel is up; OpenNebula's host is {}".format(got.get("host")))
    state = adopt(places, state, got)
    system_files.apply(places, state)
    if not system_files.install_service(places):
        say("no systemd here: keep `onext-edge.pyz run` running, which maintains the tunnel")
    ends = time.monotonic() + wait
    while got.get("host_state") not in MONITORED and time.monotonic() < ends:
        time.sleep(2)
        got = through_tunnel(places, state, "sync", over)
    say("the host is {}".format(messages.printable(got.get("host_state") or "not there yet")))
    if got.get("host_state") in MONITORED:
        return True
    say(f"OpenNebula did not monitor it within {wait:.0f} s: `onehost show` and oned.log there tell why")
    return False


def say_clock(got: Dict[str, Any], say: _Say) -> None:
    """Report a wrong clock: certificates would be refused without a plain reason."""
    moment = got.get("time")
    if isinstance(moment, int) and abs(moment - time.time()) > CLOCK:
        say(f"warning: this machine's clock is off by {time.time() - moment:.0f} s: set it")


def adopt(places: Places, state: Dict[str, Any], got: Dict[str, Any]) -> Dict[str, Any]:
    """Keep an answer's values."""
    fresh = merged(state, got)
    if fresh != state:
        places.keep(fresh)
    return fresh


def merged(state: Dict[str, Any], got: Dict[str, Any]) -> Dict[str, Any]:
    """Return the state with an answer's values; a certificate only where there is a new one."""
    fresh = answer.checked(got)
    return dict(state, **fresh, **({"certified": int(time.time())} if "certificate" in fresh else {}))


def overlay_servers(state: Dict[str, Any]) -> List[Server]:
    """Return the endpoints by their addresses in the tunnel, where an endpoint may have another certificate.

    A front-end whose certificate was lost tells its nodes of the new one that way: its answers are signed.
    """
    through = tunnel.present()
    return [
        Server(hub["address"], word.split(where)[1], word.IN_TUNNEL if through else digest)
        for hub, (where, digest) in zip(state["hubs"], state["servers"])
    ]


def public_servers(state: Dict[str, Any]) -> List[Server]:
    """Return the endpoints by their public names."""
    return list(word.servers(state["servers"]))


def through_tunnel(places: Places, state: Dict[str, Any], action: str, over: ways.Ways) -> Dict[str, Any]:
    """Ask within the tunnel, which may need some seconds to come up; raise an EdgeError."""
    ends = time.monotonic() + TUNNEL
    while True:
        try:
            got = ask(places, state, action, overlay_servers(state))
        except Unreachable as error:
            if time.monotonic() > ends:
                raise Unreachable(
                    f"the tunnel carries nothing, over UDP or TLS: {error}; does onext-edge-hub run there?"
                    " `onext doctor` on the front-end reports it. Then try again"
                ) from None
            over.step(state)
            time.sleep(0.5)
        else:
            if over.busy:
                over.step(state)
            return got


def ask(
    places: Places,
    state: Dict[str, Any],
    action: str,
    servers: List[Server],
    certificate: bool = False,
    seconds: float = server.TIMEOUT,
) -> Dict[str, Any]:
    """Send one request of a node that has joined."""
    values = {"session": state["session"], "certificate": certificate, "here": tunnel.here(state)}
    values["knows"] = state["key"][:16]
    asked = messages.Asked(keys.identity(places), action, values)
    return server.ask(servers, asked, state["key"], seconds=seconds)


def refresh(places: Places, state: Dict[str, Any], primary: int = 0) -> Dict[str, Any]:
    """Ask for changes and let the tunnel follow; renew the certificate after a third of its time.

    One that seems to be from the future was made while this machine's clock was wrong.
    """
    age = time.time() - state.get("certified", 0)
    old = not 0 <= age <= state.get("days", 0) * 86400 / 3
    got = _changes(places, state, certificate=old)
    if not old and got.get("host_ca") != state.get("host_ca"):  # the authority was replaced
        got = _changes(places, state, certificate=True)
    fresh = merged(state, got)
    if fresh != state:
        tunnel.up(places, fresh, primary)
    return fresh


def settle(places: Places, state: Dict[str, Any]) -> None:
    """Write the files, then the state: after a kill the next run writes the files again."""
    system_files.apply(places, state)
    places.keep(state)


def _changes(places: Places, state: Dict[str, Any], certificate: bool) -> Dict[str, Any]:
    """Ask through the tunnel, then at the public endpoints: a hub may have a new key or address."""
    try:
        return ask(places, state, "sync", overlay_servers(state), certificate, BRIEF)
    except Unreachable:
        return ask(places, state, "sync", public_servers(state), certificate, BRIEF)


def renewed(places: Places, state: Dict[str, Any]) -> Dict[str, Any]:
    """Return the state as the public endpoints know it, with a new certificate; as it is where none answers.

    Raises Refused.
    """
    try:
        return merged(state, ask(places, state, "sync", public_servers(state), True, BRIEF))
    except (Unreachable, WrongServer):  # an endpoint's new certificate is learnt through the tunnel
        return state


def leave(places: Places, force: bool, patience: float, say: _Say) -> None:
    """Let the front-end drain and remove the host, then undo what joining did here; raise an EdgeError."""
    if force and places.state() is None and os.path.exists(places.identity):
        say("no join is known here: the keys are removed, and what else there is")
        return _undo(places)
    state = joined(places)
    try:
        _leave(places, state, patience, say)
    except EdgeError as error:
        if not force:
            raise type(error)(f"{error}; `leave --force` undoes what is on this machine") from None
        say(f"left without the front-end: {error}")
        say("where `onext edge list` still has this node: onext edge revoke {}".format(state["name"]))
    places.keep(dict(state, left=True))  # a service that systemd does not stop ends itself
    return _undo(places)


def _undo(places: Places) -> None:
    system_files.stop_service(places)  # it would bring the tunnel up again
    tunnel.down()
    system_files.undo(places)


def _tell_vms(got: Dict[str, Any], told: str, say: _Say) -> str:
    """Report what is still on this host, where that changed, and return it."""
    stays = got.get("stays")
    lines = ["{} VMs are on this host".format(got.get("vms"))]
    lines += ["  " + messages.printable(one) for one in (stays if isinstance(stays, list) else [])]
    text = "\n".join(lines)
    if text != told:
        say(text)
    return text


def _leave(places: Places, state: Dict[str, Any], patience: float, say: _Say) -> None:
    ends, told = time.monotonic() + patience, ""
    while True:
        got = ask(places, state, "leave", public_servers(state) + overlay_servers(state))
        if got.get("left") is True:
            return
        told = _tell_vms(got, told, say)
        if time.monotonic() > ends:
            raise Refused("VMs are still on this host: migrate or stop them, then leave again")
        time.sleep(5)


def check_state(places: Places) -> None:
    """Raise EdgeError where the state that is kept is damaged."""
    state = places.state()
    if state is None:
        return
    try:
        answer.checked(state)
        complete = all(isinstance(state.get(name), int) for name in ("certified", "days"))
        valid = complete and isinstance(state.get("key"), str)
    except WrongServer:
        valid = False
    if not valid:
        raise EdgeError(
            f"{places.state_file} is damaged: `leave --force`, revoke this node, and join with a new token"
        )


def joined(places: Places) -> Dict[str, Any]:
    """Return the state of a node that joined; raise EdgeError."""
    state = places.state()
    if state is None:
        raise EdgeError("this machine has not joined: onext-edge.pyz join TOKEN")
    return state

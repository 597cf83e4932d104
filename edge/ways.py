"""The way to each hub: UDP, and while UDP gets no answer TLS to the same front-end's endpoint.

Whether UDP works again is tried for three seconds in which the relay delivers nothing: what comes back then
came by UDP. The hub answers to where a node's last datagram came from, so that both change at once.
"""

import contextlib
import socket
import time
from typing import Any, Callable, Dict, Optional

from edge import direct, programs, tunnel, word
from edge.places import INTERFACE
from edge.relay import LOOPBACK, Relay
from edge.word import Server

FRESH = 10.0  # seconds in which a hub must answer a first handshake
QUIET = 45.0  # seconds without a byte of a hub; it answers what is sent to it every 15 seconds
PROBE, RAREST = 60.0, 600.0  # seconds between two trials of UDP, which double
AGAIN, SELDOM = 10.0, 300.0  # seconds between two trials of a relay, which double
_TRIAL = 3.0  # seconds that a trial of UDP takes


class Way:
    """How one hub is reached."""

    def __init__(self, seen: direct.Seen) -> None:
        self.relay: Optional[Relay] = None
        self.used = False  # whether WireGuard was given the relay
        self.given = ""  # the endpoint of another address of the hub's name, until the hub is heard
        self.tried = False  # whether a relay was begun since UDP worked last
        self.received, self.heard = seen.received, time.monotonic()
        self.answered = False  # whether a byte came since the last change
        self.retry, self.pause = 0.0, AGAIN
        self.probe, self.interval = 0.0, 0.0

    def listen(self, seen: direct.Seen) -> None:
        """Note whether the hub was heard."""
        if seen.received > self.received:
            self.heard, self.answered, self.given = time.monotonic(), True, ""
        self.received = seen.received

    def changed(self) -> None:
        """Count the silence from now on."""
        self.heard, self.answered = time.monotonic(), False

    def close(self) -> None:
        """End the relay; a new one is tried later."""
        if self.relay is not None:
            self.relay.close()
        self.relay, self.used = None, False
        self.retry = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, SELDOM)
        self.changed()


class Ways:
    """Follows the ways to all hubs; `step` is called every few seconds, more often while `busy`."""

    def __init__(self, say: Callable[[str], None], quiet: float = QUIET, probe: float = PROBE) -> None:
        self._say, self._quiet, self._probe = say, quiet, probe
        self._ways: Dict[str, Way] = {}

    @property
    def busy(self) -> bool:
        """Whether a relay is there."""
        return any(way.relay is not None for way in self._ways.values())

    def step(self, state: Dict[str, Any]) -> bool:
        """Use a relay where UDP gets no answer, and UDP where it does; return whether a way changed.

        Raises CommandFailed.
        """
        present, changed = direct.dump(), False
        for key in set(self._ways) - set(present):
            self._ways.pop(key).close()
        for hub, (where, digest) in zip(state["hubs"], state["servers"]):
            if hub["key"] in present:
                seen = present[hub["key"]]
                way = self._ways.setdefault(hub["key"], Way(seen))
                target = Server(*word.split(where), digest)
                way.listen(seen)
                step = self._udp if way.relay is None else self._tls
                changed = step(hub, target, way, seen) or changed
        return changed

    def close(self) -> None:
        """End all relays; another network may let UDP pass."""
        for way in self._ways.values():
            if way.relay is not None:
                way.close()
        self._ways.clear()

    def _udp(self, hub: Dict[str, str], target: Server, way: Way, seen: direct.Seen) -> bool:
        """Try another address of the hub's name after silence, then a relay.

        If the process of a former relay has ended, this function tries no address.
        """
        now = time.monotonic()
        gone = seen.endpoint.startswith(LOOPBACK + ":")
        patience = self._quiet if seen.handshake else min(FRESH, self._quiet)
        silent = now - way.heard > patience
        if silent and not gone and self._moved(hub, way, seen):
            return True
        if now >= way.retry and (gone or silent) and tunnel.port():
            if not way.tried:
                self._say(f"{_name(hub)}: no answer over UDP, trying TLS")
            way.tried, way.relay = True, Relay(target, tunnel.port())
        return False

    def _moved(self, hub: Dict[str, str], way: Way, seen: direct.Seen) -> bool:
        """Use the address that the hub's name has now, where it is another one and was not tried yet."""
        endpoint = tunnel.resolved(hub)
        if endpoint is None or endpoint in (seen.endpoint, way.given):
            return False
        self._say(f"{_name(hub)}: no answer from {seen.endpoint}, trying {endpoint}")
        _give(hub, endpoint)
        way.given = endpoint
        way.changed()
        return True

    def _tls(self, hub: Dict[str, str], target: Server, way: Way, seen: direct.Seen) -> bool:
        assert way.relay is not None
        if not way.relay.alive:
            self._say(f"{_name(hub)} over TLS: {way.relay.problem}")
            return self._back(hub, way)
        if not way.used:
            return self._use(way, hub)
        if seen.endpoint != way.relay.endpoint:  # another command changed it, or the hub answers to it
            way.close()
            return True
        if time.monotonic() - way.heard > QUIET:
            return self._back(hub, way)
        return way.answered and self._keep(hub, target, way)

    def _use(self, way: Way, hub: Dict[str, str]) -> bool:
        assert way.relay is not None
        if way.relay.endpoint:
            _give(hub, way.relay.endpoint)
            way.used, way.interval = True, 0.0
            way.changed()
        return False

    def _keep(self, hub: Dict[str, str], target: Server, way: Way) -> bool:
        if not way.interval:
            way.pause = AGAIN
            self._say(f"{_name(hub)}: reached over TLS, as UDP gets no answer")
            self._wait(way, self._probe)
            return True
        return time.monotonic() > way.probe and self._try_udp(hub, target, way)

    def _back(self, hub: Dict[str, str], way: Way) -> bool:
        """Leave a relay that carries nothing."""
        endpoint = tunnel.resolved(hub)
        way.close()
        if endpoint:
            _give(hub, endpoint)
        return False

    def _wait(self, way: Way, interval: float) -> None:
        way.interval = min(interval, max(RAREST, self._probe))
        way.probe = time.monotonic() + way.interval

    def _try_udp(self, hub: Dict[str, str], target: Server, way: Way) -> bool:
        assert way.relay is not None
        endpoint = tunnel.resolved(hub)
        if endpoint is None:
            self._wait(way, way.interval)
            return False
        way.relay.hold(True)
        _give(hub, endpoint)
        if answers(hub["address"], target.port):
            way.close()
            way.retry, way.pause, way.tried = 0.0, AGAIN, False
            self._say(f"{_name(hub)}: reached over UDP again")
            return True
        _give(hub, way.relay.endpoint)
        way.relay.hold(False)
        self._wait(way, way.interval * 2)
        return False


def answers(address: str, port: int) -> bool:
    """Whether the other end of the tunnel answers, be it by a refusal."""
    try:
        with contextlib.closing(socket.create_connection((address, port), _TRIAL)):
            return True
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _give(hub: Dict[str, str], endpoint: str) -> None:
    programs.run(["wg", "set", INTERFACE, "peer", hub["key"], "endpoint", endpoint])


def _name(hub: Dict[str, str]) -> str:
    return "hub {}".format(hub["endpoint"])

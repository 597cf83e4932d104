"""The helper process of one tunnel endpoint: the far one runs over ssh, the near one in a child process.

It builds the endpoint, answers "ready", answers questions and reflects probes. "close", or the end of its
input, removes the endpoint unless other migrations use it: whichever process dies, the others clean up.

Protocol 2: {"protocol": 2, "kind", "local", "remote", "port", "salt", "mtu", "domain"} is answered with
{"ready": true, "mtu", "echo", "built"} or {"error", "taken"}; then {"ask"/"do": …}, one answer each. "echo"
in the request is a wish for the reflector's port, "silence" the seconds after which the driver's host is
taken for dead: it asks "alive" more often than that.
The kind "wireguard" has a random "nonce" and the other end's public "key": {"protocol": 2, "do": "key"}
comes before and is answered with {"key"}, of a pair made for this driver.
Protocol 1 had no port, mtu, domain and no questions: it is still served.
"""

import ipaddress
import os
import select
import socket
import time
from typing import Callable, Dict, List, Optional

from . import (
    endpoint_device,
    log,
    net_devices,
    node,
    path_probe,
    shared_bytes,
    traffic_check,
    underlay,
    virsh,
)
from .endpoint_spec import KERNEL, OVS, PAIR, PEERS, EndpointSpec
from .endpoint_wireguard import NONCE, checked_key, new_secret, public
from .errors import MigrateError, TakenError, TunnelError, UnsafeError
from .identity import SALTS, Identity, identify, of_pair, of_peers
from .json_lines import Closed, JsonLines, Message
from .orphan_guard import guard
from .refcount import Refcount
from .throughput import receive

PROTOCOL, PREVIOUS = 2, 1
_LINGER = 30.0  # seconds
_UNASKED = 300.0  # seconds without a request before the first, and between two attempts
_PORTS = {KERNEL: 4790, OVS: 4789, PAIR: 51871, PEERS: 0}


def serve(json_lines: JsonLines, uri: str = virsh.URI) -> int:
    """Serve one endpoint after the other to the driver that is connected; return the exit code."""
    exit_code, secret = 0, ""
    while True:
        try:
            request = json_lines.receive(_UNASKED)
            if request is None:
                return 1
            if request.get("do") == "key":
                secret = secret or new_secret()
                json_lines.send({"key": public(secret)})
                continue
            plan = read_request(request)._replace(secret=secret)
            preferred_port = int(request.get("echo", 0))
            silence = float(request.get("silence", 0)) or None
            domain = str(request.get("domain", ""))
            server = EndpointServer(json_lines, plan, domain, uri, preferred_port, silence)
            exit_code = server.run()
            if server.alone:
                return exit_code
        except Closed:
            return exit_code
        except OSError as error:  # no room for locks, no descriptors
            json_lines.send({"error": str(error)})
        except (TunnelError, ValueError) as error:
            kinds = {"taken": isinstance(error, TakenError), "unsafe": isinstance(error, UnsafeError)}
            json_lines.send({"error": str(error), "speaks": [PROTOCOL, PREVIOUS], **kinds})


def read_request(request: Message) -> EndpointSpec:
    """Check the opening request and find the way to the other end. Raise TunnelError or ValueError."""
    protocol = request.get("protocol")
    if protocol not in (PROTOCOL, PREVIOUS):
        raise TunnelError(f"protocol {protocol!r} is not spoken here")
    kind, salt = request.get("kind", KERNEL), int(request.get("salt", 0))
    local, remote = (ipaddress.ip_address(str(request.get(end))).compressed for end in ("local", "remote"))
    if kind not in _PORTS or not 0 <= salt < SALTS:
        raise TunnelError(f"kind {kind!r}, salt {salt}: not known here")
    port = int(request.get("port", _PORTS[kind]))
    way = underlay.route(remote, local)  # fails where `local` is not an address of this host: NAT
    identity = _identity(kind, way, port, salt, str(request.get("nonce", "")))
    mtu = min(underlay.room(way, kind), int(request.get("mtu", 65535)))
    if mtu < underlay.LEAST_MTU:
        raise TunnelError(
            f"the way to {remote} leaves {mtu} bytes for the tunnel, it needs {underlay.LEAST_MTU}"
        )
    plan = EndpointSpec(kind, identity, way.device, mtu, port)
    if kind == PAIR:
        plan = plan._replace(peer=checked_key(request.get("key")))
    return plan


def _identity(kind: str, way: underlay.Underlay, port: int, salt: int, nonce: str) -> Identity:
    if kind == PEERS:
        return of_peers(way.device, way.local, way.remote)
    if kind != PAIR:
        return identify(way.local, way.remote, kind, port, salt)
    if not NONCE.match(nonce):
        raise TunnelError("no nonce was received")
    return of_pair(way.local, way.remote, port, salt, nonce)


class EndpointServer:
    """The end that is held, and the conversation about it."""

    def __init__(
        self,
        json_lines: JsonLines,
        plan: EndpointSpec,
        domain: str,
        uri: str,
        preferred_port: int = 0,
        silence: Optional[float] = None,
    ) -> None:
        self._json_lines, self._plan, self._domain, self._uri = json_lines, plan, domain, uri
        self._refcount = Refcount(plan.identity.name)
        self._echo: Optional[socket.socket] = None
        self._wish = preferred_port  # the reflector's port, if it is free
        self._silence = silence  # seconds after which a driver that neither asks nor probes is gone
        self.alone = False  # the driver is gone: there is nothing to wait for
        self._guarded = 0  # the process group of OpenNebula's own migrate, on the source only
        self._answers: Dict[str, Callable[[Message], Message]] = {
            "state": self._state,
            "job": self._job,
            "resume": self._resume,
            "mtu": self._mtu,
            "mend": self._repair,
            "account": self._account,
            "guard": self._guard,
            "alive": lambda _: {"alive": True},
            "receive": lambda _: receive(self._plan.identity, self._json_lines),
        }

    def run(self) -> int:
        """Build, talk until told to close or left alone, take away. Raise TunnelError when that cannot be."""
        try:
            self._open()
        except BaseException:
            self._refcount.release(self._tear_down)
            raise
        try:
            told = self._talk()
        except Closed:
            told = False
        self.alone = not told
        if self.alone:
            self._linger()
        return self._close(told)

    def _open(self) -> None:
        started = time.monotonic()
        name = self._plan.identity.name
        built = self._refcount.acquire(self._build)
        if not built:
            endpoint_device.repair(self._plan)
        self._echo = path_probe.listen(
            self._plan.identity.near.inside, name, self._wish, 16 if self._plan.kind == PEERS else 1
        )
        self._plan = self._plan._replace(ifindex=net_devices.index(name))
        took = round((time.monotonic() - started) * 1000)
        port = self._echo.getsockname()[1]
        self._json_lines.send(
            {
                "ready": True,
                "mtu": endpoint_device.get_mtu(self._plan),
                "echo": port,
                "built": built,
                "ms": took,
            }
        )

    def _talk(self) -> bool:
        """Answer until told to close (True) or left alone (False)."""
        while True:
            watched = [self._json_lines.inward] + ([self._echo] if self._echo else [])
            ready = select.select(watched, [], [], self._silence)[0]
            if not ready:
                log.warning(f"the driver was silent for {self._silence:g} s: its host may be down")
                return False
            if self._echo in ready and self._echo:
                path_probe.reflect(self._echo, self._plan.identity.far.inside)
            if self._json_lines.inward not in ready:
                continue
            message = self._json_lines.receive(0)
            while message is not None:
                what = str(message.get("do") or message.get("ask"))
                if what == "close":
                    return True
                self._json_lines.send(self._answer(what, message))
                message = self._json_lines.receive(0)

    def _answer(self, what: str, message: Message) -> Message:
        if what not in self._answers:
            return {"error": f"{what!r} is not understood here"}
        try:
            return self._answers[what](message)
        except (MigrateError, OSError) as error:
            return {"error": str(error)}

    def _state(self, message: Message) -> Message:
        return dict(virsh.state(str(message["domain"]), self._uri)._asdict())

    def _job(self, message: Message) -> Message:
        job = virsh.job(str(message["domain"]), self._uri, completed=True)
        return dict(job._asdict()) if job else {"error": "libvirt does not tell"}

    def _resume(self, message: Message) -> Message:
        return {"resumed": virsh.resume(str(message["domain"]), self._uri)}

    def _mtu(self, message: Message) -> Message:
        self._plan = self._plan._replace(mtu=int(message["mtu"]))
        endpoint_device.set_mtu(self._plan, self._plan.mtu)
        return {"mtu": self._plan.mtu}

    def _repair(self, _: Message) -> Message:
        return {"mended": endpoint_device.repair(self._plan)}

    def _account(self, message: Message) -> Message:
        shared_bytes.add(self._plan.identity.name, int(message["bytes"]))
        return {"accounted": message["bytes"]}

    def _guard(self, message: Message) -> Message:
        self._guarded = int(message["group"])
        return {"guarded": self._guarded}

    def _linger(self) -> None:
        """Stop what the driver started here, now that it is gone, and give a VM that is arriving some time.

        The driver may come back over a new connection, and in post-copy nothing is taken away at all.
        """
        if self._guarded:
            guard(self._guarded, self._domain, self._uri)
        end = time.monotonic() + _LINGER
        while self._domain:
            state = virsh.state(self._domain, self._uri)
            if not state.postcopy and (self._guarded or state.name != "paused" or time.monotonic() > end):
                return
            time.sleep(0.5)

    def _build(self) -> None:
        shared_bytes.take(self._plan.identity.name)
        endpoint_device.build(self._plan)

    def _tear_down(self) -> None:
        name = self._plan.identity.name
        sent, jobs = net_devices.sent_bytes(name), shared_bytes.take(name)
        endpoint_device.tear_down(name)
        found = traffic_check.check_traffic(sent, sum(jobs))
        # the counter of peers that were there before began earlier: it refutes nothing
        if len(jobs) > 1 and found.bypassed and self._plan.kind != PEERS:
            log.error(f"{len(jobs)} migrations shared the tunnel: {found.message}")

    def _close(self, told: bool) -> int:
        if self._echo:
            self._echo.close()
        try:
            last = self._refcount.release(self._tear_down)
            if told:
                self._json_lines.send({"closed": True, "last": last})
        except Closed:
            pass
        except TunnelError as error:
            log.error(f"{os.uname()[1]}: the tunnel's end stays: {error}")
            return 1
        return 0


def hold(_: List[str]) -> int:
    """Hold an end for the driver on the other side of standard input and output."""
    return serve(JsonLines(0, 1), node.node().uri)

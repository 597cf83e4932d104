"""A whole tunnel: both ends built, sized, tried with full-size packets, and closed again."""

import contextlib
import os
import time
from typing import List, NamedTuple, Optional, Tuple

from . import endpoint_ovs, log, net_devices, path_probe, refcount, underlay
from .commands import run
from .endpoint_client import Endpoint, FarEndpoint, NearEndpoint, far_command
from .endpoint_server import PROTOCOL
from .endpoint_spec import ENCRYPTED, KERNEL, OVS, PAIR, PEERS, PORT_SETTINGS
from .endpoint_wireguard import checked_key
from .errors import TakenError, TunnelError, UnsafeError
from .identity import SALTS, Identity, identify, of_pair, of_peers
from .json_lines import Closed, Message
from .settings import Settings
from .underlay import Underlay

_PROBE = 3.0  # seconds for the full-size probe
_HANDSHAKE = (
    12.0  # the same where a handshake comes first, which WireGuard repeats after five when it is lost
)
_SILENCE = 60.0  # seconds after which the far end takes the driver's host for dead
_PATIENCE = 40.0  # seconds for an end to be built, the far one's ssh included


class Offer(NamedTuple):
    """What both ends are asked to build."""

    kind: str
    identity: Identity
    request: Message  # the far end's; the near end's has the addresses turned round


class Echoes(NamedTuple):
    """What probes through the tunnel showed."""

    prober: path_probe.Prober
    mtu: int
    round_trip_ms: float


class Tunnel:
    """A tunnel that works, from `open_tunnel` to `close`."""

    def __init__(self, near: Endpoint, far: Endpoint, offer: Offer, echoes: Echoes) -> None:
        self.near, self.far, self.offer = near, far, offer
        self.prober, self.mtu, self.round_trip_ms = echoes.prober, echoes.mtu, echoes.round_trip_ms
        self._group = 0
        self._asked = time.monotonic()

    @property
    def name(self) -> str:
        """Return the device's name."""
        return self.offer.identity.name

    @property
    def migrate_uri(self) -> str:
        """Return where the bulk stream is to go."""
        address = self.listen_address
        return f"tcp://[{address}]" if ":" in address else f"tcp://{address}"

    @property
    def encrypted(self) -> bool:
        """Tell whether the datapath encrypts."""
        return self.offer.kind in ENCRYPTED

    @property
    def listen_address(self) -> str:
        """Return where the destination is to listen: nowhere but in the tunnel."""
        inside = self.offer.identity.far.inside
        return inside if self.offer.kind == PEERS else f"{inside}%{self.name}"

    def guard(self, group: int) -> None:
        """Let the near end stop a process group when the driver dies."""
        self._group = group
        self.near.ask({"do": "guard", "group": group})

    def keep_alive(self) -> None:
        """Tell the far end from time to time that the driver lives: its sshd notices no dead host."""
        if time.monotonic() - self._asked > _SILENCE / 6:
            self._asked = time.monotonic()
            with contextlib.suppress(TunnelError):
                self.far.ask({"ask": "alive"})

    def repair(self) -> None:
        """Make a silent tunnel whole again, with new helpers where they are gone; raise TunnelError."""
        problem = None
        for gone, repair, end in (
            (self.near.gone, self._replace_near, self.near),
            (self.far.gone, self._replace_far, self.far),
        ):
            try:
                if gone:
                    repair()
                else:
                    end.ask({"do": "mend"})
            except OSError as error:
                problem = TunnelError(f"{end.where}: {error}")
            except TunnelError as error:
                problem = error
        if problem:
            raise problem

    def _replace_near(self) -> None:
        self.near.disconnect()
        self.near = NearEndpoint(self.near.uri)
        ready = self.near.ask(_near_request(self.offer.request), 30)
        self._set_mtu(self.near, ready)
        if self._group:
            self.guard(self._group)
        log.warning("the helper of the tunnel's near end was started again")

    def _replace_far(self) -> None:
        host = self.far.where
        self.far.disconnect()
        self.far = FarEndpoint(host, self.far.folder)
        ready = self.far.ask(self.offer.request, 30)
        self._set_mtu(self.far, ready)
        self.prober.close()
        ident = self.offer.identity
        self.prober = path_probe.Prober(ident.near.inside, ident.name, ident.far.inside, int(ready["echo"]))
        log.warning(f"{host}: connected again to the far end of the tunnel")

    def _set_mtu(self, end: Endpoint, ready: Message) -> None:
        if self.offer.kind != PEERS and int(ready["mtu"]) != self.mtu:
            end.ask({"do": "mtu", "mtu": self.mtu})

    def close(self) -> None:
        """Take both ends away at the same time; log which one could not be."""
        self.prober.close()
        far_gone = self.far.gone
        close([self.near, self.far])
        if far_gone:
            with contextlib.suppress(TunnelError):
                run(far_command(self.far.where, self.far.folder, ["reap"]), timeout=20)


def open_tunnel(destination: str, domain: str, settings: Settings, folder: str, uri: str) -> Tunnel:
    """Open a tunnel to another host; raise TunnelError with the reason when none of the datapaths works."""
    ends: List[Endpoint] = []
    try:
        refcount.ensure_folder(refcount.FOLDER)
        to_far = os.pipe()
        near = NearEndpoint(uri, to_far)  # forked first, so that it inherits nothing else of ssh's
        ends.append(near)
        far = FarEndpoint(destination, folder, to_far)  # all that follows is done while ssh connects
        ends.append(far)
        return _try_addresses(near, far, underlay.ways_to(destination, settings.underlay), domain, settings)
    except BaseException as error:
        for end in ends:
            end.disconnect()
        if isinstance(error, OSError):  # no process, no descriptor, no room on the disk
            raise TunnelError(f"{os.uname()[1]}: {error}") from error
        raise


def _try_addresses(
    near: Endpoint, far: Endpoint, ways: List[Underlay], domain: str, settings: Settings
) -> Tunnel:
    problems = []
    for way in ways:
        try:
            return _try_datapaths(near, far, way, domain, settings)
        except (Closed, UnsafeError):
            raise
        except TunnelError as error:
            if len(ways) > 1:
                log.info(f"no tunnel to {way.remote}: {error}")
            problems.append(str(error))
    raise TunnelError("; ".join(sorted(set(problems), key=problems.index)))


def _try_datapaths(near: Endpoint, far: Endpoint, way: Underlay, domain: str, settings: Settings) -> Tunnel:
    problem: Optional[TunnelError] = None
    for kind in _kinds(settings, way.device):
        try:
            return _try_salts(near, far, way, kind, domain, settings)
        except (Closed, UnsafeError):
            raise
        except TunnelError as error:
            log.info(f"no {kind} tunnel: {error}")
            problem = error
    raise problem or TunnelError("no datapath is allowed")


def _kinds(settings: Settings, device: str) -> List[str]:
    """Return the datapaths to try; between hosts that are WireGuard peers that one comes first."""
    wireguard = PEERS if net_devices.is_wireguard(device) else PAIR
    if settings.datapath == PAIR:
        return [wireguard]
    if settings.datapath != "auto":
        return [settings.datapath]
    if settings.encrypt and not settings.tls:
        return [wireguard]
    others = [OVS, KERNEL] if endpoint_ovs.works() else [KERNEL]
    return [PEERS, *others] if wireguard == PEERS else others


def _try_salts(
    near: Endpoint, far: Endpoint, way: Underlay, kind: str, domain: str, settings: Settings
) -> Tunnel:
    port = {OVS: settings.ovs_port, KERNEL: settings.kernel_port, PAIR: settings.wireguard_port}.get(kind, 0)
    keys = _keys(near, far) if kind == PAIR else {}
    for salt in range(1 if kind == PEERS else SALTS):
        offer = _offer(way, kind, port + salt if kind == PAIR else port, salt, keys)
        offer.request.update({"domain": domain, "silence": _SILENCE})
        try:
            return _build(near, far, offer)
        except TakenError as error:
            log.info(f"{offer.identity.name}: taken, trying another: {error}")
    raise TunnelError(
        f"all {SALTS} names and VNIs for this pair of hosts are taken on UDP port {port}:"
        f" set another {PORT_SETTINGS[kind]}"
    )


def _keys(near: Endpoint, far: Endpoint) -> Message:
    """Let both ends make keys for this migration; return the public ones, for the far end's request."""
    question = {"protocol": PROTOCOL, "do": "key"}
    far.send(question)
    found = {"key": near.ask(question).get("key")}
    found["own_key"] = far.receive().get("key")
    return {name: checked_key(key) for name, key in found.items()}


def _offer(way: Underlay, kind: str, port: int, salt: int, keys: Message) -> Offer:
    nonce = os.urandom(8).hex()
    if kind == PAIR:
        identity = of_pair(way.local, way.remote, port, salt, nonce)
    elif kind == PEERS:
        identity = of_peers(way.device, way.local, way.remote)
    else:
        identity = identify(way.local, way.remote, kind, port, salt)
    request: Message = {"protocol": PROTOCOL, "kind": kind, "local": way.remote, "remote": way.local}
    request.update({"port": port, "salt": salt, "mtu": underlay.room(way, kind), "nonce": nonce, **keys})
    request["echo"] = path_probe.port_for_peers() if kind == PEERS else path_probe.preferred_port()
    return Offer(kind, identity, request)


def _build(near: Endpoint, far: Endpoint, offer: Offer) -> Tunnel:
    """Have both ends built at the same time; when one fails, the other is taken away again."""
    request = offer.request
    far.send(request)
    near.send(_near_request(request))
    prober = None
    here, there = {}, {}  # type: Message, Message
    try:
        here, problem = _answer(near, _PATIENCE)
        if here:
            prober, problem = _probe_until_ready(far, offer, int(here["mtu"]))
        there, refused = _answer(far, 1 if prober else _PATIENCE)  # the knocks have waited already
        if prober is None or refused:
            raise problem or refused or TunnelError("no end could be built")
        prober.use_port(int(there["echo"]))
        return _try_out(near, far, offer, prober, here, there)
    except TunnelError as error:
        if prober:
            prober.close()
        for end, ready in ((near, here), (far, there)):
            if ready and not isinstance(error, Closed):
                end.ask({"do": "close"})
        raise


def _near_request(request: Message) -> Message:
    """Return the far end's request with the addresses turned round; its driver cannot die unnoticed."""
    turned = dict(request, local=request["remote"], remote=request["local"], echo=0, silence=0)
    if "key" in request:
        turned.update({"key": request["own_key"], "own_key": request["key"]})
    return turned


def _answer(end: Endpoint, seconds: float) -> Tuple[Message, Optional[TunnelError]]:
    """Return an end's answer, or its refusal: the other end's answer has to be read in any case."""
    try:
        return end.receive(seconds), None
    except Closed:
        raise
    except TunnelError as error:
        return {}, error


def _probe_until_ready(
    far: Endpoint, offer: Offer, mtu: int
) -> Tuple[Optional[path_probe.Prober], Optional[TunnelError]]:
    """Send full-size probes until the far end speaks: it answers one the moment it is there."""
    ident = offer.identity
    try:
        prober = path_probe.Prober(
            ident.near.inside, ident.name, ident.far.inside, int(offer.request["echo"])
        )
    except TunnelError as error:
        return None, error
    end = time.monotonic() + _PATIENCE
    while not far.json_lines.has_message(0.01) and time.monotonic() < end:
        prober.probe_once(mtu)
    return prober, None


def _try_out(
    near: Endpoint, far: Endpoint, offer: Offer, prober: path_probe.Prober, here: Message, there: Message
) -> Tunnel:
    """Find the size that passes whole in both directions and set it on both ends."""
    ident = offer.identity
    mtu = min(int(here["mtu"]), int(there["mtu"]))
    answer = prober.measure(mtu, _HANDSHAKE if offer.kind in ENCRYPTED else _PROBE)
    if answer is None:
        why = endpoint_ovs.trouble(ident.name) if offer.kind == OVS else ""
        port = "UDP port {} ({})".format(offer.request["port"], PORT_SETTINGS[offer.kind])
        why = why or f"is {port} open between {ident.near.underlay} and {ident.far.underlay}?"
        raise TunnelError(f"no answer arrives through the tunnel: {why}")
    if answer.mtu < mtu and offer.kind == PEERS:  # what is larger would be lost
        raise TunnelError(f"only packets of {answer.mtu} bytes arrive, the MTU of {ident.name} is {mtu}")
    if answer.mtu < mtu:
        outer = underlay.added(offer.kind, ident.near.underlay)
        path = f"the way takes packets of {answer.mtu + outer} bytes, its MTU is {mtu + outer}"
        log.warning(f"{path}: using {answer.mtu} in the tunnel")
    for end, reply in ((near, here), (far, there)):
        if offer.kind != PEERS and int(reply["mtu"]) != answer.mtu:
            end.ask({"do": "mtu", "mtu": answer.mtu})
    return Tunnel(near, far, offer, Echoes(prober, answer.mtu, answer.round_trip_ms))


def close(ends: List[Endpoint]) -> None:
    """Have all ends taken away at the same time and wait for it; log what stays."""
    said = []
    for end in ends:
        try:
            end.send({"do": "close"})
            said.append(end)
        except Closed as error:
            log.warning(f"{error}: it is taken away by itself or by the next migration")
    for end in said:
        try:
            end.receive(20)
        except TunnelError as error:
            log.warning(f"{error}: the next migration removes its leftovers")
    for end in ends:
        end.disconnect()

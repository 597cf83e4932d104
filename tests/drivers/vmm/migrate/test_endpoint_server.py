"""What the far end accepts."""

import errno
import json
import os
import threading

import pytest

from drivers.vmm.migrate.onext_migrate import endpoint_server, underlay
from drivers.vmm.migrate.onext_migrate.errors import TakenError, TunnelError, UnsafeError
from drivers.vmm.migrate.onext_migrate.identity import identify
from drivers.vmm.migrate.onext_migrate.json_lines import JsonLines
from tests.waiting import PATIENCE

REQUEST = {
    "protocol": 2,
    "kind": "ovs",
    "local": "10.0.0.2",
    "remote": "10.0.0.1",
    "port": 4789,
    "salt": 3,
    "mtu": 1400,
}


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand on 10.0.0.2, with 1450 bytes of room on the way to anybody."""

    def route(remote: str, local: str) -> underlay.Underlay:
        if local != "10.0.0.2":
            raise TunnelError(f"no route to {remote} from {local}")
        return underlay.Underlay(local, remote, "eth0", 1450)

    monkeypatch.setattr(underlay, "route", route)


def test_this_protocol() -> None:
    """The smaller of both sides' rooms counts."""
    plan = endpoint_server.read_request(REQUEST)
    assert (plan.kind, plan.mtu, plan.port, plan.device) == ("ovs", 1400, 4789, "eth0")
    assert plan.identity == identify("10.0.0.2", "10.0.0.1", "ovs", 4789, 3)


def test_the_previous_protocol() -> None:
    """Nodes are synced one after the other: an old source must still find its tunnel."""
    plan = endpoint_server.read_request(
        {"protocol": 1, "kind": "kernel", "local": "10.0.0.2", "remote": "10.0.0.1", "salt": 0}
    )
    assert (plan.mtu, plan.port) == (1450, 4790)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"protocol": 3}, "not spoken here"),
        ({"protocol": None}, "not spoken here"),
        ({"kind": "gre"}, "not known here"),
        ({"salt": 8}, "not known here"),
        ({"local": "10.0.0.9"}, "no route to 10.0.0.1 from 10.0.0.9"),
        ({"local": "-x"}, "does not appear to be"),
        ({"mtu": 1000}, "it needs 1280"),
        ({"kind": "wireguard"}, "no nonce"),
        ({"kind": "wireguard", "nonce": "0" * 16}, "no key"),
        ({"kind": "wireguard", "nonce": "0" * 16, "key": "x\nEndpoint=1"}, "no key"),
        ({"kind": "wireguard", "nonce": "../../../../etc", "key": "A" * 43 + "="}, "no nonce"),
        ({"port": "x"}, "invalid literal"),
    ],
)
def test_refused(change: dict[str, object], why: str) -> None:
    """Whatever comes over the wire is checked before anything is touched."""
    with pytest.raises((TunnelError, ValueError), match=why):
        endpoint_server.read_request({**REQUEST, **change})


@pytest.mark.parametrize("silence", [0.2, None])
def test_B5_a_silent_driver_is_taken_for_dead(monkeypatch: pytest.MonkeyPatch, silence: float | None) -> None:
    """Its host died: sshd keeps the connection, and the helper and its device stayed without an end."""
    (inward, to_helper), (from_helper, outward) = os.pipe(), os.pipe()
    torn_down: list[str] = []

    def close(_: object, told: bool) -> int:
        torn_down.append(f"told: {told}")
        return 0

    monkeypatch.setattr(endpoint_server.EndpointServer, "_open", lambda _: None)
    monkeypatch.setattr(endpoint_server.EndpointServer, "_close", close)
    os.write(to_helper, json.dumps({**REQUEST, **({"silence": silence} if silence else {})}).encode() + b"\n")
    thread = threading.Thread(target=endpoint_server.serve, args=[JsonLines(inward, outward)], daemon=True)
    thread.start()
    if silence is None:  # an older driver, which asks nothing: only its end counts
        thread.join(0.5)
        assert torn_down == []
        os.close(to_helper)
    thread.join(PATIENCE)
    assert torn_down == ["told: False"]
    assert not thread.is_alive(), "the helper ends, though nothing closed its input"
    os.close(from_helper)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnsafeError("locks"), {"taken": False, "unsafe": True}),
        (TakenError("VNI"), {"taken": True, "unsafe": False}),
        (OSError(errno.ENOSPC, "No space left on device"), {}),
    ],
)
def test_a_refusal_says_of_which_kind_it_is(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: dict[str, bool]
) -> None:
    """The driver refuses, tries another name, or migrates directly, by that."""
    (inward, to_helper), (from_helper, outward) = os.pipe(), os.pipe()

    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(endpoint_server, "read_request", refuse)
    os.write(to_helper, b"{}\n")
    os.close(to_helper)
    endpoint_server.serve(JsonLines(inward, outward))
    answer = json.loads(os.read(from_helper, 65536))
    assert str(error) in answer["error"]
    assert {key: answer[key] for key in kind} == kind

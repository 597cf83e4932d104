"""What the far end accepts."""

import pytest

from drivers.vmm.migrate.onext_migrate import hold, underlay
from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from drivers.vmm.migrate.onext_migrate.identity import identify

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
    plan = hold.read_request(REQUEST)
    assert (plan.kind, plan.mtu, plan.port, plan.device) == ("ovs", 1400, 4789, "eth0")
    assert plan.identity == identify("10.0.0.2", "10.0.0.1", "ovs", 4789, 3)


def test_the_previous_protocol() -> None:
    """Nodes are synced one after the other: an old source must still find its tunnel."""
    plan = hold.read_request(
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
        ({"port": "x"}, "invalid literal"),
    ],
)
def test_refused(change: dict[str, object], why: str) -> None:
    """Whatever comes over the wire is checked before anything is touched."""
    with pytest.raises((TunnelError, ValueError), match=why):
        hold.read_request({**REQUEST, **change})

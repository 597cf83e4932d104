"""What a pass makes of the snapshot that all parts share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from hooks.targets import gather, part
from hooks.targets.answering_exporters import Answering
from hooks.targets.networks import VM
from hooks.targets.protected_addresses import Names
from onext.cloud import model
from onext.cloud.snapshot import Cloud
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.xml import parse

ZONES = "<ZONE_POOL><ZONE><TEMPLATE><ENDPOINT>http://[2001:db8::1]:2633/RPC2</ENDPOINT></TEMPLATE></ZONE></ZONE_POOL>"
NETWORK = model.Network(
    1, "n", 7, 0, False, False, template={"ONEXT_SCRAPE": "YES"},
    ranges=(model.AddressRange(0, 9, "IP4", "10.0.0.2", owners={VM | 5: frozenset({0})}),),
)  # fmt: skip
WATCHED = model.Vm(
    5, "web", 1, 1, state=3, lcm_state=3, user_template={"PROMETHEUS_EXPORTER": "9100"},
    nics=(model.Nic(0, "NIC", 1, 0, "", "", (("IP", "10.0.0.2"),)),),
)  # fmt: skip


class _Nobody(Answering):
    """Exporters of which none answers."""

    def of(
        self, hosts: Collection[str], up: Iterable[str], ports: Collection[int]
    ) -> frozenset[tuple[str, int]]:
        """Ask nobody."""
        assert set(hosts) == {"192.0.2.1", "192.0.2.2"}
        assert list(up) == ["192.0.2.1"]
        assert set(ports) == {9475, 9633, 9845, 9104}
        return frozenset()


NOBODY = _Nobody()
UP, ASLEEP = model.Host(1, "192.0.2.1", 2), model.Host(2, "192.0.2.2", 8)


def context(
    root: Path, networks: tuple[model.Network, ...] = (NETWORK,), vms: tuple[model.Vm, ...] = (WATCHED,),
    members: str = "<ID>7</ID>",
) -> Context:  # fmt: skip
    documents = {
        "zonepool.info": parse(ZONES),
        "group.info": parse(f"<GROUP><USERS>{members}</USERS></GROUP>"),
    }
    cloud = Cloud.of([UP, ASLEEP, model.Host(3, problem="cut")], vms, networks=networks, documents=documents)
    reader = SimpleNamespace(cloud=lambda *_: cloud)
    made = Context(Paths.self_contained(root), Settings(), reader=cast("object", reader))  # type: ignore[arg-type]
    made.__dict__["oned"] = None
    return made


def test_front_ends_hosts_and_sleeping_hosts_are_protected(tmp_path: Path) -> None:
    """A VM that leases the address of a machine of the cloud would be scraped as if it were that."""
    found = gather.gather(context(tmp_path), Names(), NOBODY)
    assert {"2001:db8::1", "192.0.2.1", "192.0.2.2"} <= set(map(str, found.protected))
    assert found.unprotected == ()
    assert found.unreadable == 1
    assert [(host.id, host.monitored) for host in found.hosts] == [(1, True), (2, False)]


def test_a_cloud_without_wishes_asks_no_resolver(tmp_path: Path) -> None:
    """Names of 1,250 hosts would be looked up where nobody wants a VM scraped."""
    found = gather.gather(context(tmp_path, vms=()), cast("Names", None), NOBODY)
    assert (found.vms, found.protected, len(found.hosts)) == ((), frozenset(), 2)


def test_leases_follow_networks_and_administrators(tmp_path: Path) -> None:
    """A network that was closed, or whose owner left oneadmin, stays open until the worker ends."""

    def scraped(made: Context) -> list[str]:
        return [target.address for target in part.plan(made)[1].of("vms")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "_routes", lambda _: True)
        patch.setattr(part, "Answering", lambda _: NOBODY)
        assert scraped(context(tmp_path)) == scraped(context(tmp_path)) == ["10.0.0.2:9100"]
        assert scraped(context(tmp_path, members="<ID>8</ID>")) == []
        assert scraped(context(tmp_path)) == ["10.0.0.2:9100"]
        closed = model.Network(1, "n", 7, 0, False, False, ranges=NETWORK.ranges)
        assert scraped(context(tmp_path, networks=(closed,))) == []
        broken = model.Network(2, problem="cut")
        assert scraped(context(tmp_path, networks=(NETWORK, broken))) == ["10.0.0.2:9100"]

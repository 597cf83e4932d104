"""Redfish orders, identities and privileges, as vendors differ in them."""

from pathlib import Path
from typing import Any

import pytest

from onext.hosts.bmc.errors import Refused, WrongMachine
from onext.hosts.bmc.job import Order
from tests.onext.hosts.bmc.redfish_tree import (
    RESET,
    SYSTEM,
    UUID,
    Reply,
    recorded,
    serving,
    switchable,
    system,
)

pytestmark = pytest.mark.process
IDRAC = "/redfish/v1/Systems/System.Embedded.1"


@pytest.mark.parametrize(
    ("order", "power", "allowed", "sent"),
    [
        ("on", "Off", ("ForceOff", "ForceOn"), "ForceOn"),
        ("on", "Off", ("ForceOn", "On"), "On"),
        ("soft", "On", ("On", "ForceOff", "PushPowerButton"), "PushPowerButton"),
        ("soft", "On", ("PushPowerButton", "GracefulShutdown"), "GracefulShutdown"),
        ("hard", "On", ("GracefulShutdown", "ForceOff"), "ForceOff"),
        ("on", "Off", (), "On"),
        ("soft", "On", (), "GracefulShutdown"),
    ],
)
def test_D2_a_reset_type_is_chosen_that_the_bmc_allows(
    tmp_path: Path, order: Any, power: str, allowed: tuple[str, ...], sent: str
) -> None:
    """A host whose BMC lacks one type of two that do the same could not be managed at all."""
    with serving(tmp_path, switchable(*allowed, power=power)) as bmc:
        assert bmc.outcome(order) == {"power": power.lower()}
        assert bmc.resets == [sent]


@pytest.mark.parametrize(
    ("order", "power", "allowed"),
    [("on", "Off", ["ForceOff", "Nmi"]), ("soft", "On", ["ForceOff", "On"]), ("hard", "On", ["On", "Nmi"])],
)
def test_D2_allowed_reset_types_are_named(tmp_path: Path, order: Any, power: str, allowed: list[str]) -> None:
    """`status 400` tells an administrator nothing."""
    with serving(tmp_path, switchable(*allowed, power=power)) as bmc:
        with pytest.raises(Refused, match=f"it allows {', '.join(allowed)}"):
            bmc.done(order)
        assert bmc.resets == [], "nothing that the BMC does not allow is sent"


def test_D2_allowed_reset_types_may_be_in_another_resource(tmp_path: Path) -> None:
    """Newer services list them in ActionInfo only."""
    tree = switchable(power="Off")
    tree[SYSTEM]["Actions"]["#ComputerSystem.Reset"]["@Redfish.ActionInfo"] = f"{SYSTEM}/ResetActionInfo"
    parameters = [{"Name": "Other"}, {"Name": "ResetType", "AllowableValues": ["ForceOn", "ForceOff"]}]
    tree[f"{SYSTEM}/ResetActionInfo"] = {"Parameters": parameters}
    with serving(tmp_path, tree) as bmc:
        assert bmc.outcome("on") == {"power": "off"}
        assert bmc.resets == ["ForceOn"]


def test_D2_a_power_button_may_be_preferred(tmp_path: Path) -> None:
    """Some firmware accepts GracefulShutdown and does nothing."""
    with serving(tmp_path, switchable("GracefulShutdown", "PushPowerButton")) as bmc:
        bmc.done("soft", button=True)
        assert bmc.resets == ["PushPowerButton"]


@pytest.mark.parametrize("status", [400, 409, 500])
def test_D2_an_order_is_judged_by_the_state(tmp_path: Path, status: int) -> None:
    """A BMC that calls "off" a conflict where the machine just went off would end an evacuation."""
    with serving(tmp_path, switchable("ForceOff")) as bmc:
        refused = Reply(status, {"error": {"message": "already in that state"}})
        bmc.tree[f"POST {RESET}"] = refused
        with pytest.raises(Refused, match=rf"status {status} \(already in that state\).*it allows ForceOff"):
            bmc.done("hard")
        states = iter(["On", "Off"])

        class Changing(dict[str, Any]):
            def get(self, key: str, default: Any = None) -> Any:
                found = dict.get(self, key, default)
                return {**found, "PowerState": next(states)} if key == SYSTEM else found

        bmc.tree = Changing(bmc.tree)
        assert bmc.outcome("hard") == {"power": "on"}


@pytest.mark.parametrize("power", ["On", "Off"])
def test_an_order_that_is_done_already_is_not_sent(tmp_path: Path, power: str) -> None:
    """A power button that is pressed once too often does the opposite."""
    with serving(tmp_path, switchable("PushPowerButton", "ForceOff", "On", power=power)) as bmc:
        orders: tuple[Order, ...] = ("on",) if power == "On" else ("soft", "hard")
        for order in orders:
            bmc.done(order)
        assert bmc.resets == []


def test_D3_a_dell_is_recognised_by_its_service_tag(tmp_path: Path) -> None:
    """`dmidecode -s system-serial-number` prints the tag, which the BMC calls SKU: "another machine"."""
    with serving(tmp_path, recorded("idrac.json")) as bmc:
        for serial in ("ABC1234", "abc1234", "CNFCP0078N00DL"):
            found = bmc.outcome("identity", uuid=None, serial=serial, system=IDRAC)
            assert str(found.get("serial")).lower() == serial.lower()
        with pytest.raises(WrongMachine, match=r"'ABC1234' or 'CNFCP0078N00DL', bmc.yaml names 'XYZ9999'"):
            bmc.done(uuid=None, serial="XYZ9999", system=IDRAC)


def test_D3_the_product_number_of_other_vendors_is_not_an_identity(tmp_path: Path) -> None:
    """Elsewhere the SKU is the number of a product: it fits every server of that model."""
    tree = system(Manufacturer="HPE", SKU="867959-B21", SerialNumber="CZ3456789A")
    with (
        serving(tmp_path, tree) as bmc,
        pytest.raises(WrongMachine, match=r"'CZ3456789A', bmc.yaml names '867959-B21'"),
    ):
        bmc.done(uuid=None, serial="867959-B21")


def _with_role(role: dict[str, Any] | Reply, **account: Any) -> dict[str, Any]:
    accounts = "/redfish/v1/AccountService/Accounts"
    members = [{"@odata.id": f"{accounts}/{n}"} for n in (1, 2, 3)]
    return system() | {
        accounts: {"Members": members},
        f"{accounts}/1": Reply(403),
        f"{accounts}/2": {"UserName": "root", "RoleId": "Administrator"},
        f"{accounts}/3": {"UserName": "admin", **account},
        "/redfish/v1/AccountService/Roles/Power": role,
    }


@pytest.mark.parametrize(
    ("tree", "privilege"),
    [
        (_with_role({"AssignedPrivileges": ["Login", "ConfigureComponents"]}, RoleId="Power"), True),
        (_with_role({"AssignedPrivileges": ["Login", "ConfigureSelf"]}, RoleId="Power"), False),
        (_with_role(Reply(403), RoleId="ReadOnly"), False),
        (_with_role(Reply(403), RoleId="Operator"), True),
        (_with_role(Reply(404), RoleId="Power"), None),
        (_with_role(Reply(404), RoleId=["Power"]), None),
        (system(), None),
    ],
)
def test_E1_a_check_reports_the_privilege_where_the_bmc_tells(
    tmp_path: Path, tree: dict[str, Any], privilege: bool | None
) -> None:
    """A role that may only read would be noticed on the night of the first power-off."""
    with serving(tmp_path, tree) as bmc:
        found = bmc.done("check")
        assert found["privilege"] is privilege
        assert found.get("error") == ("MissingPrivilege" if privilege is False else None)
        assert bmc.resets == [], "a check switches nothing"


def test_E1_a_check_keeps_what_it_found_before_the_failure(tmp_path: Path) -> None:
    """One word of failure would hide how far the check came."""
    with serving(tmp_path, system(PowerState="PoweringOn")) as bmc:
        found = bmc.done("check")
        assert (found["step"], found["error"], found["uuid"]) == ("power", "InvalidAnswer", UUID)

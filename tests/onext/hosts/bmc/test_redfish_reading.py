"""What is read out of Redfish's objects: which system, account and chassis count, with a tree that is played."""

from collections.abc import Mapping
from typing import Any

import pytest

from onext.hosts.bmc import redfish
from onext.hosts.bmc.errors import InvalidAnswer, Refused
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.redfish import Redfish
from onext.hosts.bmc.redfish_watts import own_chassis
from onext.hosts.bmc.watts import Draw

SYSTEMS, SYSTEM = "/redfish/v1/Systems", "/redfish/v1/Systems/1"
ACCOUNTS = "/redfish/v1/AccountService/Accounts"
CHASSIS = "/redfish/v1/Chassis"
Tree = dict[str, Any]


def refs(*links: str) -> list[dict[str, str]]:
    return [{"@odata.id": link} for link in links]


def driver(monkeypatch: pytest.MonkeyPatch, tree: Mapping[str, Any], **changes: Any) -> Redfish:
    """Return a driver whose BMC has these objects; all others are refused."""

    class Played:
        asked: list[str] = []  # noqa: RUF012 (one for each driver)

        def __init__(self, _job: Job) -> None: ...

        def get(self, link: str) -> Any:
            self.asked.append(link)
            if link not in tree:
                raise Refused(f"it answers {link} with status 404")
            return tree[link]

        def optional(self, link: str, notes: list[str]) -> Any:
            try:
                return self.get(link)
            except Refused as error:
                notes.append(str(error))
                return {}

    monkeypatch.setattr(redfish, "Connection", Played)
    usual = {"user": "admin", "system": SYSTEM, **changes}
    return Redfish(Job(7, "power", "redfish", "192.0.2.13", 443, **usual))


@pytest.mark.parametrize(("systems", "found"), [((), 0), ((SYSTEM,), 1), ((SYSTEM, f"{SYSTEMS}/2"), 2)])
def test_the_only_system_is_taken_and_of_several_none(
    monkeypatch: pytest.MonkeyPatch, systems: tuple[str, ...], found: int
) -> None:
    """An order for one sled of an enclosure would reach its first one."""
    tree = {SYSTEMS: {"Members": refs(*systems)}, SYSTEM: {"PowerState": "On"}}
    if found == 1:
        assert driver(monkeypatch, tree, system=None).power() == "on"
    else:
        with pytest.raises(Refused, match=f"it has {found} systems: name the one meant"):
            driver(monkeypatch, tree, system=None)


@pytest.mark.parametrize("state", ["PoweringOn", "Paused", None, 7, ["On"], "x" * 500])
def test_a_state_that_is_neither_on_nor_off_is_unknown(
    monkeypatch: pytest.MonkeyPatch, state: object
) -> None:
    """A machine that boots would be taken for off."""
    with pytest.raises(InvalidAnswer, match="neither On nor Off") as caught:
        driver(monkeypatch, {SYSTEM: {"PowerState": state}}).power()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("members", "uuid", "serials"),
    [
        ({}, "", ()),
        ({"UUID": "nonsense", "SKU": "S", "SerialNumber": "N"}, "", ("N",)),
        ({"UUID": "7C9E6679-7425-40DE-944B-E07FC1F90000"}, "7c9e6679-7425-40de-944b-e07fc1f90000", ()),
        ({"Manufacturer": "Dell Inc.", "SKU": "S", "SerialNumber": "N"}, "", ("S", "N")),
        ({"Manufacturer": "HPE", "Oem": {"Dell": {"x": 1}}, "SKU": "S"}, "", ("S",)),
        ({"Manufacturer": "HPE", "Oem": {"Dell": {}}, "SKU": "S"}, "", ()),
    ],
)
def test_D3_which_numbers_name_a_machine(
    monkeypatch: pytest.MonkeyPatch, members: Tree, uuid: str, serials: tuple[str, ...]
) -> None:
    """Another vendor's SKU is the number of a product: it fits each server of that model."""
    found = driver(monkeypatch, {SYSTEM: members}).identity()
    assert (found.uuid, found.serials) == (uuid, serials)


@pytest.mark.parametrize(("place", "found"), [(0, True), (15, True), (16, None)])
def test_E1_an_account_is_looked_for_among_sixteen(
    monkeypatch: pytest.MonkeyPatch, place: int, found: bool | None
) -> None:
    """A check would ask for a thousand accounts, or miss the one of a site with ten."""
    links = [f"{ACCOUNTS}/{n}" for n in range(20)]
    tree: Tree = {link: {"UserName": "other"} for link in links}
    tree |= {SYSTEM: {}, ACCOUNTS: {"Members": refs(*links)}}
    tree[links[place]] = {"UserName": "admin", "RoleId": "Operator"}
    assert driver(monkeypatch, tree).privilege() is found


def test_E1_a_role_is_where_the_account_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role of the site with another name would count as one that may do nothing."""
    account = {"UserName": "admin", "RoleId": "ReadOnly", "Links": {"Role": {"@odata.id": "/roles/x"}}}
    tree: Tree = {SYSTEM: {}, ACCOUNTS: {"Members": refs(f"{ACCOUNTS}/1")}, f"{ACCOUNTS}/1": account}
    assert driver(monkeypatch, tree).privilege() is False
    tree["/roles/x"] = {"AssignedPrivileges": ["ConfigureComponents"]}
    assert driver(monkeypatch, tree).privilege() is True


def chassis(*systems: str, kind: str = "", inside: str = "", holds: tuple[str, ...] = ()) -> Tree:
    links: Tree = {"ComputerSystems": refs(*systems), "Contains": refs(*holds)}
    if inside:
        links["ContainedBy"] = {"@odata.id": inside}
    return {"Links": links, **({"ChassisType": kind} if kind else {})}


@pytest.mark.parametrize(
    ("tree", "own"),
    [
        ({"a": chassis("s")}, ["a"]),
        ({"a": {}}, ["a"]),
        ({"a": chassis("s", kind="Enclosure")}, ["a"]),
        ({"a": chassis("s", "t")}, []),
        ({"a": chassis("s"), "b": chassis("s")}, ["a", "b"]),
        ({"a": chassis("s"), "b": chassis("s", kind="Rack")}, ["a"]),
        ({"a": chassis("s", inside="b"), "b": chassis("s")}, ["a"]),
        ({"a": chassis("s"), "b": chassis("s", holds=("a",))}, ["a"]),
        ({"a": chassis("s"), "b": chassis("s", holds=("a/",))}, ["a"]),
        ({"a": chassis("s", inside="elsewhere")}, ["a"]),
        ({"a": chassis(kind="", inside="b"), "b": chassis("s")}, ["b"]),
        ({"a": chassis("s", kind="Drive", inside="b"), "b": chassis("s")}, ["b"]),
        ({"a": chassis("s", kind="Drive")}, ["a"]),
        ({"a": chassis("s", kind="Drive"), "b": chassis("s")}, ["b"]),
        ({"a": chassis(kind="Sled", inside="b"), "b": chassis("s")}, ["a"]),
        ({"a": chassis(inside="b"), "b": chassis("s", "t")}, ["a"]),
        ({"a": chassis(inside="b"), "b": chassis("s", kind="Enclosure")}, ["a"]),
        ({"a": {}, "b": chassis("s", holds=("a",))}, ["a"]),
    ],
)
def test_D2_which_chassis_are_the_machine(tree: dict[str, Tree], own: list[str]) -> None:
    """A sled and its enclosure were added: 1,363 W for a machine of 263."""
    assert own_chassis(tree, "s") == own


def metered(monkeypatch: pytest.MonkeyPatch, box: Tree, more: Tree | None = None, on: bool = True) -> Draw:
    tree = {SYSTEM: {"Links": {"Chassis": refs(f"{CHASSIS}/1")}}, f"{CHASSIS}/1": box, **(more or {})}
    return driver(monkeypatch, tree).watts(on=on)


def control(*figures: Any) -> Tree:
    return {"Power": {"x": 1, "PowerControl": [{"PowerConsumedWatts": figure} for figure in figures]}}


@pytest.mark.parametrize(
    ("box", "watts", "source", "implausible"),
    [
        ({"EnvironmentMetrics": {"x": 1, "PowerWatts": {"Reading": 250}}}, 250.0, "EnvironmentMetrics", 0),
        ({"EnvironmentMetrics": {"x": 1, "PowerWatts": None}, **control(232)}, 232.0, "Power", 0),
        ({"EnvironmentMetrics": {"x": 1, "PowerWatts": {"Reading": 0}}, **control(232)}, 232.0, "Power", 1),
        (control(None, 310), 310.0, "Power", 0),
        (control(0, 310), 310.0, "Power", 1),
        (control(2), 2.0, "Power", 0),
        (control(1.9), None, "", 1),
        (control("310"), None, "", 1),
        ({}, None, "", 0),
        ({"Power": {"@odata.id": "/nowhere"}}, None, "", 0),
    ],
)
def test_D2_the_first_plausible_place_counts(
    monkeypatch: pytest.MonkeyPatch, box: Tree, watts: float | None, source: str, implausible: int
) -> None:
    """A machine of 232 W had no figure because an earlier place was empty."""
    found = metered(monkeypatch, box)
    assert (found.watts, found.source, len(found.implausible)) == (watts, source, implausible)


@pytest.mark.parametrize(
    ("sensors", "watts"),
    [
        ({"power1": {"ReadingType": "Power", "Reading": 200}}, 200.0),
        ({"power1": {"ReadingType": "Power", "Reading": 200}, "power2": {"ReadingType": "Power", "Reading": 90}}, None),
        ({"power1": {"ReadingType": "Power", "Reading": 90}, "power2": {"ReadingType": "Power", "Reading": 200, "Name": "Total Power"}}, 200.0),
        ({"power1": {"ReadingType": "Power", "Reading": 90}, "power2": {"ReadingType": "Power", "Reading": 200, "PhysicalContext": "Chassis"}}, 200.0),
        ({"power1": {"ReadingType": "Power", "Reading": 90, "PhysicalContext": "CPU"}, "power2": {"ReadingType": "Power", "Reading": 200}}, 200.0),
        ({"temp1": {"ReadingType": "Temperature", "Reading": 90}, "power2": {"ReadingType": "Power", "Reading": 200}}, 200.0),
        ({"one": {"ReadingType": "Power", "Reading": 200}, "two": {"ReadingType": "Temperature", "Reading": 50}}, 200.0),
        ({f"power{n}": {"ReadingType": "Power", "Reading": n, "Name": "Total" if n == 23 else "x"} for n in range(30)}, 23.0),
        ({f"power{n}": {"ReadingType": "Power", "Reading": n, "Name": "Total" if n == 24 else "x"} for n in range(30)}, None),
    ],
)  # fmt: skip
def test_D2_of_many_sensors_the_whole_machine_s_counts(
    monkeypatch: pytest.MonkeyPatch, sensors: dict[str, Tree], watts: float | None
) -> None:
    """A CPU's 90 W would be what the machine draws, or a BMC be asked for hundreds of sensors."""
    more = {f"/sensors/{name}": one for name, one in sensors.items()}
    more["/sensors"] = {"x": 1, "Members": refs(*(f"/sensors/{name}" for name in sensors))}
    assert metered(monkeypatch, {"Sensors": {"@odata.id": "/sensors"}}, more).watts == watts


def test_D2_the_machine_is_the_sum_of_its_chassis_as_far_as_they_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second chassis with 404 lost the first one's 263 W; an enclosure with a hundred was asked for all."""
    links = [f"{CHASSIS}/{n}" for n in range(10)]
    tree: Tree = {SYSTEM: {"Links": {"Chassis": refs(*links)}}} | {link: control(100) for link in links}
    assert driver(monkeypatch, tree).watts(on=True).watts == 800.0
    tree = {SYSTEM: {"Links": {"Chassis": refs(*links[:2])}}, links[0]: control(263)}
    assert driver(monkeypatch, tree).watts(on=True) == Draw(263.0, "Power")
    tree[links[1]] = {"EnvironmentMetrics": {"x": 1, "PowerWatts": {"Reading": 100}}}
    assert driver(monkeypatch, tree).watts(on=True) == Draw(363.0, "Power")
    for count, watts in ((0, None), (1, 100.0), (2, None)):
        tree = {SYSTEM: {}, CHASSIS: {"Members": refs(*links[:count])}} | {
            link: control(100) for link in links
        }
        assert driver(monkeypatch, tree).watts(on=True).watts == watts, "whose they are, nobody can tell"


@pytest.mark.parametrize(("order", "hint"), [("soft", True), ("hard", False), ("on", False)])
def test_D2_ssh_is_proposed_where_the_bmc_offers_no_shutdown(
    monkeypatch: pytest.MonkeyPatch, order: Any, hint: bool
) -> None:
    """Somebody would configure ssh for a BMC that cannot switch on, which ssh cannot either."""
    values = ["Nmi", 7, "x" * 600]
    action = {"target": "/reset", "ResetType@Redfish.AllowableValues": values}
    with pytest.raises(Refused, match="it allows Nmi, x") as caught:
        driver(monkeypatch, {SYSTEM: {"Actions": {"#ComputerSystem.Reset": action}}}).order(order)
    assert ("set `shutdown: ssh`" in str(caught.value)) is hint
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("actions", [None, {}, {"#ComputerSystem.Reset": {"target": ""}}])
def test_D2_a_system_without_a_reset_is_reported(monkeypatch: pytest.MonkeyPatch, actions: object) -> None:
    """A traceback would end the order."""
    with pytest.raises(Refused, match="it does not offer to switch this system"):
        driver(monkeypatch, {SYSTEM: {"Actions": actions}}).order("on")

"""Which figure of a Redfish service is what the machine draws."""

from copy import deepcopy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.bmc import redfish_watts
from onext.hosts.bmc.errors import InvalidAnswer, MissingPrivilege, Refused
from onext.hosts.bmc.redfish_http import Connection
from onext.hosts.bmc.watts import Bounds, Draw
from tests.onext.hosts.bmc.redfish_tree import recorded

CHASSIS = "/redfish/v1/Chassis/1"
SLED, ENCLOSURE = "/redfish/v1/Chassis/Sled1", "/redfish/v1/Chassis/Enclosure"


class Tree:
    """A BMC whose objects are written down; an exception in place of one is raised."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def optional(self, link: str, notes: list[str]) -> Any:
        found = self.tree.get(link.rstrip("/"), Refused(f"404 for {link}"))
        if isinstance(found, Exception):
            notes.append(str(found))
            return {}
        return found


def draw(tree: dict[str, Any], *, on: bool = True) -> Draw:
    link = next(iter(tree))
    return redfish_watts.read(cast("Connection", Tree(tree)), link, tree[link], Bounds(), on=on)


def machine(environment: Any = None, power: Any = None, sensor: Any = None) -> dict[str, Any]:
    """Return a tree with one chassis that has these three places, each left out where it is None."""
    chassis: dict[str, Any] = {}
    tree: dict[str, Any] = {
        "/redfish/v1/Systems/1": {"Links": {"Chassis": [{"@odata.id": CHASSIS}]}},
        CHASSIS: chassis,
    }
    for name, found in (("EnvironmentMetrics", environment), ("Power", power)):
        if found is not None:
            chassis[name] = {"@odata.id": f"{CHASSIS}/{name}"}
            tree[f"{CHASSIS}/{name}"] = found
    if sensor is not None:
        chassis["Sensors"] = {"@odata.id": f"{CHASSIS}/Sensors"}
        tree[f"{CHASSIS}/Sensors"] = {"Members": [{"@odata.id": f"{CHASSIS}/Sensors/power_total"}]}
        tree[f"{CHASSIS}/Sensors/power_total"] = sensor
    return tree


def control(*watts: Any) -> dict[str, Any]:
    return {"PowerControl": [{"PowerConsumedWatts": one} for one in watts]}


EMPTY: list[Any] = [
    None,
    {},
    {"PowerWatts": None},
    {"PowerWatts": {}},
    {"PowerWatts": {"Reading": None}},
    {"PowerWatts": {"Reading": 0}},
    {"PowerWatts": {"Reading": "232"}},
    {"PowerWatts": {"Reading": True}},
    {"PowerWatts": {"Reading": float("nan")}},
    {"PowerWatts": {"Reading": -3}},
    {"PowerWatts": {"Reading": 65535}},
    {"PowerWatts": [232]},
    {"PowerWatts": 232},
    Refused("404"),
    MissingPrivilege("403"),
    InvalidAnswer("200 that is not JSON"),
]


@pytest.mark.parametrize("environment", EMPTY)
def test_D2_power_is_read_where_the_newer_place_has_nothing(environment: Any) -> None:
    """A BMC that has the newer resource without a figure would have no meter, or end with a traceback."""
    assert draw(machine(environment, control(232))).watts == 232
    sensor = {"ReadingType": "Power", "Reading": 232.5}
    assert draw(machine(environment, control(None), sensor)).watts == 232.5
    assert draw(machine(environment, {"PowerControl": None}, sensor)).watts == 232.5
    assert draw(machine(environment, Refused("404"), None)).watts is None


def test_D2_the_newer_place_comes_first() -> None:
    """Two places that differ would make figures jump from round to round."""
    both = machine({"PowerWatts": {"Reading": 187.5}}, control(210))
    assert draw(both) == Draw(187.5, "EnvironmentMetrics")
    assert draw(machine(None, control(210))) == Draw(210.0, "Power")


def test_D2_a_reading_may_be_behind_its_source() -> None:
    """Some services link to the sensor and leave the copy out."""
    tree = machine({"PowerWatts": {"DataSourceUri": f"{CHASSIS}/Sensors/total"}})
    tree[f"{CHASSIS}/Sensors/total"] = {"Reading": 412}
    assert draw(tree).watts == 412


@pytest.mark.parametrize(
    "controls", [[{}, {"PowerConsumedWatts": 310}], [None, 7, {"PowerConsumedWatts": 310}]]
)
def test_D2_members_of_power_control_may_be_empty(controls: list[Any]) -> None:
    """The first member would hide the figure of the second."""
    assert draw(machine(None, {"PowerControl": controls})).watts == 310


def test_D2_a_part_of_the_machine_is_not_the_machine() -> None:
    """A processor's watts would be saved where a server's are."""
    assert draw(recorded("power-control.json")).watts == 310


def test_D2_sensors_are_the_last_place() -> None:
    """OpenBMC has figures nowhere else."""
    assert draw(recorded("openbmc-sensors.json")) == Draw(318.5, "Sensors")


def test_D2_a_sled_and_its_enclosure_are_not_added() -> None:
    """Each sled would save the watts of the whole enclosure: 1,363 W for 263."""
    tree = recorded("sled-in-enclosure.json")
    assert draw(tree).watts == 263
    for change in ("ContainedBy", "ComputerSystems"):  # whichever of them a vendor leaves out
        less = deepcopy(tree)
        del less[SLED]["Links"][change]
        assert draw(less).watts == 263
    del less[ENCLOSURE]["ChassisType"]
    assert draw(less).watts == 263
    silent = deepcopy(tree)
    silent[f"{SLED}/Power"] = control(None)
    assert draw(silent).watts is None, "the enclosure's figure is not the sled's"
    gone = {key: value for key, value in tree.items() if not key.startswith(SLED)}
    assert draw(gone).watts is None
    shared = machine(None, control(1100))
    shared[CHASSIS]["Links"] = {
        "ComputerSystems": [{"@odata.id": f"/redfish/v1/Systems/{n}"} for n in (1, 2)]
    }
    assert draw(shared).watts is None, "one power supply for two systems"


def test_D2_a_part_inside_the_machine_does_not_hide_it() -> None:
    """A drive cage that is linked beside the server would take its place."""
    tree = machine(None, control(263))
    cage = "/redfish/v1/Chassis/Cage"
    tree["/redfish/v1/Systems/1"]["Links"]["Chassis"].append({"@odata.id": cage})
    tree[CHASSIS]["Links"] = {"ComputerSystems": [{"@odata.id": "/redfish/v1/Systems/1"}]}
    tree[cage] = {"Links": {"ContainedBy": {"@odata.id": CHASSIS}}, "Power": {"@odata.id": f"{cage}/Power"}}
    tree[f"{cage}/Power"] = control(40)
    assert draw(tree).watts == 263


def test_D2_a_chassis_that_is_not_there_loses_no_other() -> None:
    """One dead link would cost the figure of the machine."""
    tree = machine(None, control(263))
    tree["/redfish/v1/Systems/1"]["Links"]["Chassis"].append({"@odata.id": "/redfish/v1/Chassis/2"})
    assert draw(tree).watts == 263
    tree["/redfish/v1/Chassis/2"] = {"Power": {"@odata.id": "/redfish/v1/Chassis/2/Power"}}
    tree["/redfish/v1/Chassis/2/Power"] = control(100)
    assert draw(tree).watts == 363, "two chassis side by side are one machine"


def test_D2_the_only_chassis_counts_where_the_system_names_none() -> None:
    """Simple boards have one chassis and no link to it."""
    tree = machine(None, control(263))
    del tree["/redfish/v1/Systems/1"]["Links"]
    tree["/redfish/v1/Chassis"] = {"Members": [{"@odata.id": CHASSIS}]}
    assert draw(tree).watts == 263


def test_D1_implausible_figures_are_named() -> None:
    """A host that saves 65 kW, or that idles at 0 W, makes every plan wrong, and nobody sees why."""
    found = draw(machine({"PowerWatts": {"Reading": 65535}}, control(0)))
    assert found.watts is None
    assert found.implausible == (
        "Redfish EnvironmentMetrics: 65535 W while on, plausible are 2 to 20000 W",
        "Redfish Power: 0 W while on, plausible are 2 to 20000 W",
    )


def test_D1_a_figure_repeated_while_off_is_left_out() -> None:
    """97 W of a machine that is off would make a break-even time of three hours."""
    found = draw(machine(None, control(97)), on=False)
    assert found == Draw(
        implausible=("Redfish Power: 97 W while off, plausible are at most 60 W: repeated from before?",)
    )
    assert draw(machine(None, control(11)), on=False).watts == 11


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(CHASSIS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Links",
                    "Chassis",
                    "@odata.id",
                    "PowerControl",
                    "PowerConsumedWatts",
                    "PowerWatts",
                    "Reading",
                    "Members",
                    "ContainedBy",
                    "Contains",
                    "ComputerSystems",
                    "ChassisType",
                    "Power",
                    "EnvironmentMetrics",
                    "Sensors",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([CHASSIS, f"{CHASSIS}/Power", "/redfish/v1/Chassis"]), JSON), JSON)
def test_any_answer_gives_a_plausible_figure_or_none(tree: dict[str, Any], system: Any) -> None:
    """A BMC with odd firmware would end the reading of watts with a traceback."""
    objects = {key: value for key, value in tree.items() if isinstance(value, dict)}
    whole = {"/redfish/v1/Systems/1": system if isinstance(system, dict) else {"Links": system}, **objects}
    watts = draw(whole).watts
    assert watts is None or 2 <= watts <= 8 * 20_000

"""What a Redfish system draws: the right chassis, and in it the first place with a plausible figure.

Places, in this order (DSP0268): EnvironmentMetrics.PowerWatts, Power.PowerControl, Sensors of type Power.
Each may be absent, null, empty, forbidden or 0; then the next one counts. A figure of an enclosure is of all
machines in it and never one machine's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from onext.hosts.bmc.redfish_http import Connection
from onext.hosts.bmc.redfish_json import Object, items, links, member, text
from onext.hosts.bmc.watts import Bounds, Draw

_CHASSIS = "/redfish/v1/Chassis"
_MOST_CHASSIS, _MOST_SENSORS = 8, 24
_SHARED = {"Enclosure", "Rack", "Row", "Pod", "Zone", "RackGroup", "Facility", "SidecarRack"}  # ChassisType
_PARTS = {
    "Component",
    "Card",
    "Cartridge",
    "Drive",
    "StorageEnclosure",
    "Expansion",
    "IPBasedDrive",
    "HeatExchanger",
}
_MACHINES = {"Sled", "Blade", "RackMount", "StandAlone", "Tower"}
_PART_CONTEXTS = {
    "CPU",
    "CPUSubsystem",
    "Memory",
    "MemorySubsystem",
    "GPU",
    "GPUSubsystem",
    "Fan",
    "StorageDevice",
}
_PART_CONTEXTS |= {"Accelerator", "StorageDevice", "StorageSubsystem", "NetworkingDevice", "PowerOutlet"}
_TOTAL = ("total", "system", "chassis", "input", "consum", "node", "psu_sum")


def read(bmc: Connection, system_link: str, system: Object, bounds: Bounds, *, on: bool) -> Draw:
    """Return what the machine draws: the sum over its own chassis, as far as each has a plausible figure."""
    reading = _Reading(bmc, bounds, on=on)
    chassis = {
        _key(link): bmc.optional(link, reading.notes) for link in _chassis_links(bmc, system, reading.notes)
    }
    found = [
        figure
        for link in own_chassis(chassis, _key(system_link))
        if (figure := reading.of(chassis[link])) is not None
    ]
    if not found:
        return Draw(implausible=tuple(reading.implausible))
    return Draw(sum(watts for watts, _ in found), found[0][1], tuple(reading.implausible))


def own_chassis(chassis: Mapping[str, Object], system: str) -> list[str]:
    """Return the links of the chassis that are this machine: no enclosure around it, no part inside it."""
    inside = {(inner, outer) for inner, outer in _containment(chassis) if {inner, outer} <= chassis.keys()}
    parts = {inner for inner, outer in inside if _is_part(chassis[inner], chassis[outer], system)}
    if len(chassis) > 1:
        parts |= {link for link, one in chassis.items() if text(one, "ChassisType") in _PARTS}
    around = {outer for inner, outer in inside if inner not in parts}
    shared = {link for link, one in chassis.items() if _is_shared(one, system, alone=len(chassis) == 1)}
    return [link for link in chassis if link not in parts | around | shared]


def _containment(chassis: Mapping[str, Object]) -> Iterator[tuple[str, str]]:
    """Yield each pair of an inner and an outer chassis that either of them names."""
    for link, one in chassis.items():
        yield link, _key(text(member(one, "Links", "ContainedBy"), "@odata.id"))
        for inner in links(items(member(one, "Links"), "Contains")):
            yield _key(inner), link


def _is_part(inner: Object, outer: Object, system: str) -> bool:
    """Return whether a chassis inside another one is a piece of the machine, and not the machine itself."""
    kind = text(inner, "ChassisType")
    if kind in _PARTS or kind in _MACHINES or text(outer, "ChassisType") in _SHARED or not inner:
        return kind in _PARTS
    return _systems(outer) == {system} and system not in _systems(inner)


def _is_shared(one: Object, system: str, *, alone: bool) -> bool:
    """Return whether other machines are in a chassis too, or may be."""
    return bool(_systems(one) - {system}) or (not alone and text(one, "ChassisType") in _SHARED)


def _systems(one: Object) -> set[str]:
    return {_key(link) for link in links(items(member(one, "Links"), "ComputerSystems"))}


def _key(link: str) -> str:
    return link.partition("#")[0].rstrip("/")


def _chassis_links(bmc: Connection, system: Object, notes: list[str]) -> list[str]:
    """Return the chassis that the system names; the only one of the BMC where it names none."""
    named = list(links(items(member(system, "Links"), "Chassis")))
    if not named:
        every = list(links(items(bmc.optional(_CHASSIS, notes), "Members")))
        named = every if len(every) == 1 else []
    return named[:_MOST_CHASSIS]


class _Reading:
    """Figures of one machine; keeps what was implausible, and which places could not be read."""

    def __init__(self, bmc: Connection, bounds: Bounds, *, on: bool) -> None:
        self.bmc, self._bounds, self._on = bmc, bounds, on
        self.notes: list[str] = []
        self.implausible: list[str] = []

    def of(self, chassis: Object) -> tuple[float, str] | None:
        """Return the watts of a chassis and the place they come from; None without a plausible figure."""
        for place, candidates in _PLACES:
            for value in candidates(self, chassis):
                if value is None:
                    continue
                objection = self._bounds.objection(value, on=self._on)
                if not objection:
                    return float(value), place  # type: ignore[arg-type]  # a number, as the check has found
                self.implausible.append(f"Redfish {place}: {objection}")
        return None

    def linked(self, holder: Object, key: str) -> Object:
        """Return the object that a member links to, an empty one without a link."""
        reference = member(holder, key)
        if len(reference) > 1:  # expanded in place
            return reference
        link = text(reference, "@odata.id")
        return self.bmc.optional(link, self.notes) if link else {}


def _environment(reading: _Reading, chassis: Object) -> Iterator[object]:
    metrics = reading.linked(chassis, "EnvironmentMetrics")
    power = member(metrics, "PowerWatts")
    yield power.get("Reading")
    if source := text(power, "DataSourceUri"):
        yield reading.bmc.optional(source, reading.notes).get("Reading")


def _control(reading: _Reading, chassis: Object) -> Iterator[object]:
    for one in items(reading.linked(chassis, "Power"), "PowerControl"):
        if text(one, "PhysicalContext") not in _PART_CONTEXTS:
            yield one.get("PowerConsumedWatts")


def _sensors(reading: _Reading, chassis: Object) -> Iterator[object]:
    """Yield the whole machine's sensors of power: one that is named so, or the only one."""
    members = list(links(items(reading.linked(chassis, "Sensors"), "Members")))
    likely = [link for link in members if any(word in link.lower() for word in ("power", "watt", "psu"))]
    sensors = [reading.bmc.optional(link, reading.notes) for link in (likely or members)[:_MOST_SENSORS]]
    powers = [one for one in sensors if one.get("ReadingType") == "Power"]
    powers = [one for one in powers if text(one, "PhysicalContext") not in _PART_CONTEXTS]
    whole = [one for one in powers if _is_total(one)]
    for one in whole or (powers if len(powers) == 1 else []):
        yield one.get("Reading")


def _is_total(sensor: Object) -> bool:
    name = f"{text(sensor, 'Id')} {text(sensor, 'Name')}".lower()
    return sensor.get("PhysicalContext") == "Chassis" or any(word in name for word in _TOTAL)


_PLACES: tuple[tuple[str, Callable[[_Reading, Object], Iterator[object]]], ...] = (
    ("EnvironmentMetrics", _environment),
    ("Power", _control),
    ("Sensors", _sensors),
)

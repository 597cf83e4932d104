"""What the API answers with. The OpenAPI document is generated from these types.

Times are Unix times in seconds, memory and disks are MiB, CPU is in cores, power is in watts. Text that
people write (names, reasons) is cut and printable, and is text: a page that shows it has to escape it.
"""

from __future__ import annotations

from enum import Enum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An object of an answer."""


class Condition(str, Enum):
    """How a host is, in one word, for maps and tables."""

    UP = "up"
    DISABLED = "disabled"
    ASLEEP = "asleep"
    WAKING = "waking"
    GOING = "going to sleep"
    FENCED = "fenced"
    INCIDENT = "incident"
    ERROR = "error"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Place(Record, frozen=True):
    """A place on the map, in degrees."""

    latitude: float
    longitude: float


class Host(Record, frozen=True):
    """A hypervisor node."""

    id: int
    name: str
    state: str
    condition: Condition
    cluster_id: int
    cluster: str
    vms: int
    cpu: float
    cpu_used: float
    memory: int
    memory_used: int
    place: Place | None = None
    since: float | None = None
    by: str = ""  # the part that acts on it: power or availability
    why: str = ""
    why_not: str = ""
    next: str = ""
    watts: float | None = None


class Vm(Record, frozen=True):
    """A VM that is not DONE."""

    id: int
    name: str
    state: str
    lcm_state: int
    user_id: int
    group_id: int
    user: str
    group: str
    host_id: int
    cluster_id: int
    cpu: float
    memory: int
    since: float


class Cluster(Record, frozen=True):
    """A cluster with the hosts, datastores and networks that it has."""

    id: int
    name: str
    hosts: int
    datastores: int
    networks: int


class Site(Record, frozen=True):
    """Hosts at one place, to a hundredth of a degree."""

    id: str
    place: Place
    hosts: int
    conditions: dict[str, int]
    vms: int
    host_ids: list[int]
    watts: float | None = None


class Target(Record, frozen=True):
    """A scrape target of Prometheus."""

    id: str
    job: str
    address: str
    vm_id: int | None = None
    host_id: int | None = None


class Tunnel(Record, frozen=True):
    """A live migration under way."""

    id: int
    vm: str
    source_id: int
    source: str
    destination_id: int
    destination: str
    since: float


class PowerPlan(Record, frozen=True):
    """What power management does with a host, and why, or why not."""

    id: int
    name: str
    cluster_id: int
    phase: str
    since: float | None
    then: str
    reason: str
    bmc: str
    idle_watts: float
    saved_kwh: float
    failed_wakes: int


class Step(Record, frozen=True):
    """One entry of an incident's timeline."""

    at: float
    what: str
    lines: list[str]


class IncidentVm(Record, frozen=True):
    """How far an incident is with one VM."""

    vm_id: int
    stage: str
    target_id: int
    reason: str


class Incident(Record, frozen=True):
    """What availability does about a failed host."""

    id: int
    name: str
    cluster_id: int
    phase: str
    first: float
    since: float
    reason: str
    proof: str
    vms: list[IncidentVm]
    timeline: list[Step]


class Sample(Record, frozen=True):
    """A cluster at one time."""

    at: float
    on: int
    off: int
    saved_kwh: float


class Energy(Record, frozen=True):
    """A cluster's energy: hosts on, what was saved, and a day of it."""

    id: int
    name: str
    mode: str
    held: str
    on: int
    off: int
    saved_kwh: float
    wakes: int
    failed_wakes: int
    migrations: int
    day: list[Sample]


class Event(Record, frozen=True):
    """A change: `id` is that of server-sent events, `uid` that of the CloudEvent."""

    id: str
    uid: str
    type: str
    subject: str
    at: float
    late: bool
    data: dict[str, str | int | float]
    before: dict[str, str | int | float]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list: `next` is the value of `after` for the following page, None at the end."""

    items: list[T]
    total: int
    next: str | None


class Problem(Record, frozen=True):
    """Why a request was not served (RFC 9457)."""

    title: str
    status: int
    detail: str

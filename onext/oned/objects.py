"""Hosts, VMs and clusters as the parts see them: values read once, from the XML of oned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from onext.xml import Element

Attribute = str | Mapping[str, str]


class State(IntEnum):
    """A state of oned's; a number that a newer OpenNebula added is a state without a name."""

    @classmethod
    def _missing_(cls, value: object) -> State | None:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"STATE_{value}"
        unknown._value_ = value
        return unknown


class HostState(State):
    """STATE of a host, as in oned's Host.h."""

    INIT = 0
    MONITORING_MONITORED = 1
    MONITORED = 2
    ERROR = 3
    DISABLED = 4
    MONITORING_ERROR = 5
    MONITORING_INIT = 6
    MONITORING_DISABLED = 7
    OFFLINE = 8


class ImageState(State):
    """STATE of an image, as in oned's Image.h."""

    INIT = 0
    READY = 1
    USED = 2
    DISABLED = 3
    LOCKED = 4
    ERROR = 5
    CLONE = 6
    DELETE = 7
    USED_PERS = 8
    LOCKED_USED = 9
    LOCKED_USED_PERS = 10


class VmState(State):
    """STATE of a VM, as in oned's VirtualMachine.h."""

    INIT = 0
    PENDING = 1
    HOLD = 2
    ACTIVE = 3
    STOPPED = 4
    SUSPENDED = 5
    DONE = 6
    FAILED = 7
    POWEROFF = 8
    UNDEPLOYED = 9
    CLONING = 10
    CLONING_FAILURE = 11


RUNNING = 3  # LCM_STATE of a VM that runs and is not being moved


@dataclass(frozen=True)
class Host:
    """A hypervisor node; `template` holds scalars as text and vectors as mappings."""

    id: int
    name: str
    state: HostState
    cluster_id: int
    cluster: str
    vm_ids: tuple[int, ...]
    template: Mapping[str, Attribute]

    @classmethod
    def of(cls, element: Element) -> Host:
        """Read `<HOST>`."""
        return cls(
            id=int(element.findtext("ID", "-1")),
            name=element.findtext("NAME", ""),
            state=HostState(int(element.findtext("STATE", "0"))),
            cluster_id=int(element.findtext("CLUSTER_ID", "-1")),
            cluster=element.findtext("CLUSTER", ""),
            vm_ids=tuple(int(item.text or -1) for item in element.iterfind("VMS/ID")),
            template=template(element.find("TEMPLATE")),
        )

    def text(self, key: str) -> str:
        """Return a scalar of the template, empty when it is missing."""
        value = self.template.get(key, "")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Vm:
    """A VM; `host_id` is that of its last history record, -1 without one."""

    id: int
    name: str
    uid: int
    gid: int
    user: str
    group: str
    state: VmState
    lcm_state: int
    host_id: int
    template: Mapping[str, Attribute]
    user_template: Mapping[str, Attribute]

    @classmethod
    def of(cls, element: Element) -> Vm:
        """Read `<VM>`."""
        records = element.findall("HISTORY_RECORDS/HISTORY")
        return cls(
            id=int(element.findtext("ID", "-1")),
            name=element.findtext("NAME", ""),
            uid=int(element.findtext("UID", "-1")),
            gid=int(element.findtext("GID", "-1")),
            user=element.findtext("UNAME", ""),
            group=element.findtext("GNAME", ""),
            state=VmState(int(element.findtext("STATE", "0"))),
            lcm_state=int(element.findtext("LCM_STATE", "0")),
            host_id=int(records[-1].findtext("HID", "-1")) if records else -1,
            template=template(element.find("TEMPLATE")),
            user_template=template(element.find("USER_TEMPLATE")),
        )

    @property
    def running(self) -> bool:
        """Whether the VM runs and is not being moved."""
        return self.state is VmState.ACTIVE and self.lcm_state == RUNNING


@dataclass(frozen=True)
class Cluster:
    """A group of hosts with the datastores and networks that they reach."""

    id: int
    name: str
    host_ids: tuple[int, ...]
    datastore_ids: tuple[int, ...]
    template: Mapping[str, Attribute]

    @classmethod
    def of(cls, element: Element) -> Cluster:
        """Read `<CLUSTER>`."""
        return cls(
            id=int(element.findtext("ID", "-1")),
            name=element.findtext("NAME", ""),
            host_ids=tuple(int(item.text or -1) for item in element.iterfind("HOSTS/ID")),
            datastore_ids=tuple(int(item.text or -1) for item in element.iterfind("DATASTORES/ID")),
            template=template(element.find("TEMPLATE")),
        )


def template(element: Element | None) -> dict[str, Attribute]:
    """Return a template's attributes; of a repeated one (DISK, NIC) the last."""
    return {} if element is None else {child.tag: attribute(child) for child in element}


def attribute(element: Element) -> Attribute:
    """Return one attribute: its text, or its parts when it is a vector."""
    return {child.tag: child.text or "" for child in element} if len(element) else element.text or ""

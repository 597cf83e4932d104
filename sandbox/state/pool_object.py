"""What every object of OpenNebula has: id, name, owner, permissions, template, and its cached XML."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox import markup
from sandbox.state.lock import Lock
from sandbox.template import Template

USE, MANAGE, ADMIN, CREATE = 1, 2, 4, 8
RIGHTS = {USE: "USE", MANAGE: "MANAGE", ADMIN: "ADMIN", CREATE: "CREATE"}

# The bits of an ACL rule's resource (include/PoolObjectSQL.h).
RESOURCES = {
    "VM": 0x1000000000,
    "HOST": 0x2000000000,
    "NET": 0x4000000000,
    "IMAGE": 0x8000000000,
    "USER": 0x10000000000,
    "TEMPLATE": 0x20000000000,
    "GROUP": 0x40000000000,
    "ACL": 0x80000000000,
    "DATASTORE": 0x100000000000,
    "CLUSTER": 0x200000000000,
    "DOCUMENT": 0x400000000000,
    "ZONE": 0x800000000000,
    "SECGROUP": 0x1000000000000,
    "VMGROUP": 0x20000000000000,
    "HOOK": 0x80000000000000,
}

# How messages call them (Request::object_name).
LABELS = {
    "VM": "virtual machine",
    "HOST": "host",
    "NET": "virtual network",
    "IMAGE": "image",
    "USER": "user",
    "TEMPLATE": "virtual machine template",
    "GROUP": "group",
    "ACL": "ACL",
    "DATASTORE": "datastore",
    "CLUSTER": "cluster",
    "DOCUMENT": "document",
    "ZONE": "zone",
    "SECGROUP": "security group",
    "VMGROUP": "vm group",
    "HOOK": "hook",
}

_BITS = tuple(f"{who}_{what}" for who in ("OWNER", "GROUP", "OTHER") for what in ("U", "M", "A"))


@dataclass(kw_only=True)
class PoolObject(ABC):
    """An object of a pool. Code that changes it calls `touch()`, which drops the XML rendered before."""

    KIND: ClassVar[str] = ""

    name: str
    id: int = -1
    uid: int = 0
    gid: int = 0
    uname: str = "oneadmin"
    gname: str = "oneadmin"
    rights: tuple[int, ...] = (USE | MANAGE, 0, 0)  # owner, group, others
    template: Template = field(default_factory=Template)
    lock: Lock | None = None
    _rendered: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """How oned's messages call this kind of object."""
        return LABELS[self.KIND]

    def clusters(self) -> Iterable[int]:
        """Return the clusters by which ACL rules may name the object."""
        return ()

    def touch(self) -> None:
        """Forget the rendered XML: the object changed."""
        self._rendered.clear()

    def wire(self, form: str, render: Callable[[], str]) -> bytes:
        """Return the XML of this form as it travels, rendered once until the next `touch()`."""
        cached = self._rendered.get(form)
        if cached is None:
            cached = self._rendered[form] = markup.wire(render())
        return cached

    @abstractmethod
    def xml(self) -> str:
        """Return the object as its `info` call answers."""

    def payload(self) -> str:
        """Return the object as hooks get it."""
        return self.xml()

    def chunks(self) -> list[bytes]:
        """Return the object as it travels in an answer."""
        return [self.wire("info", self.xml)]

    def owner_xml(self) -> str:
        """Return UID to GNAME."""
        return "".join(
            markup.tag(name, value)
            for name, value in (
                ("UID", self.uid),
                ("GID", self.gid),
                ("UNAME", self.uname),
                ("GNAME", self.gname),
            )
        )

    def permissions_xml(self) -> str:
        """Return the nine bits."""
        return markup.tag(
            "PERMISSIONS", "".join(markup.tag(n, b) for n, b in zip(_BITS, self.bits(), strict=True))
        )

    def lock_xml(self) -> str:
        """Return LOCK, or nothing."""
        return self.lock.xml() if self.lock else ""

    def bits(self) -> tuple[int, ...]:
        """Return the permissions as nine zeros and ones, owner's use first."""
        return tuple(int(bool(right & what)) for right in self.rights for what in (USE, MANAGE, ADMIN))

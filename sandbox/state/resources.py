"""What VMs are made of: datastores, images, VM templates, VM groups."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.markup import ids, tag, text
from sandbox.state.pool_object import USE, PoolObject


@dataclass(kw_only=True)
class Datastore(PoolObject):
    """A datastore; sizes in MiB."""

    KIND: ClassVar[str] = "DATASTORE"
    IMAGE, SYSTEM, FILE = range(3)

    rights: tuple[int, ...] = (3, USE, 0)
    type: int = 0
    total: int = 20480
    free: int = 20480
    used: int = 9720
    base: str = "/var/lib/one/"
    cluster_ids: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)

    def clusters(self) -> list[int]:
        """Return its clusters."""
        return self.cluster_ids

    def xml(self) -> str:
        """Return the datastore as one.datastore.info does."""
        return tag(
            "DATASTORE",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.permissions_xml()
            + text("DS_MAD", self.template.get("DS_MAD", "-"))
            + text("TM_MAD", self.template.get("TM_MAD"))
            + text("BASE_PATH", f"{self.base}/datastores/{self.id}")
            + tag("TYPE", self.type)
            + tag("DISK_TYPE", 0)
            + tag("STATE", 0)
            + ids("CLUSTERS", sorted(self.cluster_ids))
            + tag("TOTAL_MB", self.total)
            + tag("FREE_MB", self.free)
            + tag("USED_MB", self.used)
            + ids("IMAGES", self.images)
            + self.template.xml(),
        )


@dataclass(kw_only=True)
class Image(PoolObject):
    """An image; its size in MiB."""

    KIND: ClassVar[str] = "IMAGE"

    size: int
    datastore: Datastore
    source: str = "dummy_path"
    format: str = "dummy_format"
    regtime: int = field(default_factory=lambda: int(time.time()))
    state: int = 1  # READY; 2 is USED
    vms: list[int] = field(default_factory=list)

    def xml(self) -> str:
        """Return the image as one.image.info does."""
        return tag(
            "IMAGE",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.lock_xml()
            + self.permissions_xml()
            + tag("TYPE", 0)
            + tag("DISK_TYPE", 0)
            + tag("PERSISTENT", 0)
            + tag("REGTIME", self.regtime)
            + tag("MODTIME", self.regtime)
            + text("SOURCE", self.source)
            + text("PATH", "")
            + text("FORMAT", self.format)
            + text("FS", "")
            + tag("SIZE", self.size)
            + tag("STATE", self.state)
            + tag("PREV_STATE", self.state)
            + tag("RUNNING_VMS", len(self.vms))
            + tag("CLONING_OPS", 0)
            + tag("CLONING_ID", -1)
            + tag("TARGET_SNAPSHOT", -1)
            + tag("DATASTORE_ID", self.datastore.id)
            + tag("DATASTORE", self.datastore.name)
            + ids("VMS", self.vms)
            + ids("CLONES", ())
            + ids("APP_CLONES", ())
            + self.template.xml()
            + tag(
                "SNAPSHOTS", text("ALLOW_ORPHANS", "NO") + text("CURRENT_BASE", -1) + text("NEXT_SNAPSHOT", 0)
            )
            + ids("BACKUP_INCREMENTS", ())
            + ids("BACKUP_DISK_IDS", ()),
        )


@dataclass(kw_only=True)
class VMTemplate(PoolObject):
    """A VM template."""

    KIND: ClassVar[str] = "TEMPLATE"

    regtime: int = field(default_factory=lambda: int(time.time()))

    def xml(self) -> str:
        """Return the template as one.template.info does."""
        return tag(
            "VMTEMPLATE",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.lock_xml()
            + self.permissions_xml()
            + tag("REGTIME", self.regtime)
            + self.template.xml(),
        )


@dataclass
class Role:
    """A role of a VM group: its attributes, and the VMs that play it."""

    id: int
    attributes: dict[str, str]
    vms: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return its name."""
        return self.attributes["NAME"]

    @property
    def policy(self) -> str:
        """Return AFFINED, ANTI_AFFINED or nothing."""
        return self.attributes.get("POLICY", "")

    def hosts(self, attribute: str) -> set[int]:
        """Return the hosts of HOST_AFFINED or HOST_ANTI_AFFINED."""
        return {int(number) for number in self.attributes.get(attribute, "").split(",") if number.strip()}

    def xml(self) -> str:
        """Return the role as its group shows it."""
        values = self.attributes | {"ID": str(self.id)}
        if self.vms:
            values["VMS"] = ",".join(map(str, self.vms))
        return tag("ROLE", "".join(text(name, values[name]) for name in sorted(values)))


@dataclass(kw_only=True)
class VMGroup(PoolObject):
    """A VM group."""

    KIND: ClassVar[str] = "VMGROUP"

    roles: list[Role] = field(default_factory=list)

    def role(self, name: str) -> Role | None:
        """Return the role of this name."""
        return next((role for role in self.roles if role.name == name), None)

    def xml(self) -> str:
        """Return the group as one.vmgroup.info does."""
        return tag(
            "VM_GROUP",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.permissions_xml()
            + self.lock_xml()
            + tag("ROLES", "".join(role.xml() for role in self.roles))
            + self.template.xml(),
        )

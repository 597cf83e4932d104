"""All pools of the zone, as a fresh installation has them: oneadmin, datastores, the default cluster."""

import hashlib
from typing import Any

from sandbox.release import Release
from sandbox.state.access import Access
from sandbox.state.cluster import Cluster
from sandbox.state.document import Document
from sandbox.state.hook import Hook
from sandbox.state.host import Host, Machine
from sandbox.state.network import VNet
from sandbox.state.people import Group, User
from sandbox.state.pools import Pool
from sandbox.state.resources import Datastore, Image, VMGroup, VMTemplate
from sandbox.state.vm import VM
from sandbox.template import Template

_COMMON = 'RESTRICTED_DIRS="/" SAFE_DIRS="/var/tmp" PERSISTENT_SNAPSHOTS="YES" '
# Name, type, sizes (total, free, used in MiB), template: as recorded.
_STORES = (
    (
        "system",
        Datastore.SYSTEM,
        (4796800, 3333260, 1429920),
        _COMMON
        + 'ALLOW_ORPHANS="NO" DISK_TYPE="FILE" DS_MIGRATE="YES" SHARED="YES" TM_MAD="dummy" TYPE="SYSTEM_DS"',
    ),
    (
        "default",
        Datastore.IMAGE,
        (20480, 20480, 9720),
        _COMMON + 'ALLOW_ORPHANS="NO" CLONE_TARGET="SYSTEM" DISK_TYPE="FILE" DS_MAD="dummy" LN_TARGET="NONE" '
        'TM_MAD="dummy" TYPE="IMAGE_DS"',
    ),
    (
        "files",
        Datastore.FILE,
        (258020, 79118, 24781),
        _COMMON
        + 'ALLOW_ORPHANS="FORMAT" CLONE_TARGET="SYSTEM" DS_MAD="fs" LN_TARGET="SYSTEM" TM_MAD="local" '
        'TYPE="FILE_DS"',
    ),
)

OWN = 100  # clusters, groups and datastores that people make begin here


class World:
    """The pools."""

    def __init__(self, password: str, release: Release) -> None:
        self.release = release
        self.access = Access()
        self.users: Pool[User] = Pool("USER", "USER_POOL")
        self.groups: Pool[Group] = Pool("GROUP", "GROUP_POOL")
        self.clusters: Pool[Cluster] = Pool("CLUSTER", "CLUSTER_POOL")
        self.hosts: Pool[Host] = Pool("HOST", "HOST_POOL")
        self.hooks: Pool[Hook] = Pool("HOOK", "HOOK_POOL")
        self.datastores: Pool[Datastore] = Pool("DATASTORE", "DATASTORE_POOL")
        self.images: Pool[Image] = Pool("IMAGE", "IMAGE_POOL")
        self.vnets: Pool[VNet] = Pool("NET", "VNET_POOL")
        self.templates: Pool[VMTemplate] = Pool("TEMPLATE", "VMTEMPLATE_POOL")
        self.vmgroups: Pool[VMGroup] = Pool("VMGROUP", "VM_GROUP_POOL")
        self.documents: Pool[Document] = Pool("DOCUMENT", "DOCUMENT_POOL", unique=False)
        self.vms: Pool[VM] = Pool("VM", "VM_POOL", unique=False)
        self._people(password)
        self.clusters.add(Cluster(name="default", template=reserving()))
        self._stores()

    def pool(self, name: str) -> Pool[Any]:
        """Return the pool of a resource by the name that its calls have, e.g. `vm`, `host`, `vn`."""
        pools: dict[str, Pool[Any]] = {
            "cluster": self.clusters,
            "datastore": self.datastores,
            "document": self.documents,
            "group": self.groups,
            "hook": self.hooks,
            "host": self.hosts,
            "image": self.images,
            "template": self.templates,
            "user": self.users,
            "vm": self.vms,
            "vmgroup": self.vmgroups,
            "vn": self.vnets,
        }
        return pools[name]

    def machine(self) -> Machine:
        """Return the machine of a new host, as this release's probes describe it."""
        return Machine(static=dict(self.release.host_static), pci_devices=self.release.pci_devices)

    def _people(self, password: str) -> None:
        self.groups.add(Group(name="oneadmin"))
        self.groups.add(Group(name="users"))
        for name, secret in (("oneadmin", password), ("serveradmin", password)):
            digest = hashlib.sha256(secret.encode()).hexdigest()
            driver = "core" if name == "oneadmin" else "server_cipher"
            user = self.users.add(User(name=name, password=digest, driver=driver, groups={0}))
            user.uid, user.uname = user.id, name
            self.groups.get(0).members.add(user.id)

    def _stores(self) -> None:
        default = self.clusters.get(0)
        for name, kind, sizes, source in _STORES:
            store = Datastore(name=name, type=kind, template=Template.parse(source), cluster_ids=[0])
            if kind == Datastore.SYSTEM:
                store.template.merge(Template({k: [v] for k, v in self.release.system_datastore.items()}))
            store.total, store.free, store.used = sizes
            default.datastores.append(self.datastores.add(store).id)


def reserving() -> Template:
    """Return the template that hosts and clusters begin with."""
    return Template({"RESERVED_CPU": [""], "RESERVED_MEM": [""]})

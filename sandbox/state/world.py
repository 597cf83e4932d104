"""All pools of the zone, as a fresh installation has them: oneadmin, datastores, the default cluster."""

import hashlib

from sandbox.state.access import Access
from sandbox.state.cluster import Cluster
from sandbox.state.hook import Hook
from sandbox.state.host import Host
from sandbox.state.people import Group, User
from sandbox.state.pools import Pool
from sandbox.template import Template

OWN = 100  # clusters, groups and datastores that people make begin here


class World:
    """The pools."""

    def __init__(self, password: str) -> None:
        self.access = Access()
        self.users: Pool[User] = Pool("USER", "USER_POOL")
        self.groups: Pool[Group] = Pool("GROUP", "GROUP_POOL")
        self.clusters: Pool[Cluster] = Pool("CLUSTER", "CLUSTER_POOL")
        self.hosts: Pool[Host] = Pool("HOST", "HOST_POOL")
        self.hooks: Pool[Hook] = Pool("HOOK", "HOOK_POOL")
        self._people(password)
        self.clusters.add(Cluster(name="default", template=reserving()))

    def _people(self, password: str) -> None:
        self.groups.add(Group(name="oneadmin"))
        self.groups.add(Group(name="users"))
        for name, secret in (("oneadmin", password), ("serveradmin", password)):
            digest = hashlib.sha256(secret.encode()).hexdigest()
            driver = "core" if name == "oneadmin" else "server_cipher"
            user = self.users.add(User(name=name, password=digest, driver=driver, groups={0}))
            user.uid, user.uname = user.id, name
            self.groups.get(0).members.add(user.id)


def reserving() -> Template:
    """Return the template that hosts and clusters begin with."""
    return Template({"RESERVED_CPU": [""], "RESERVED_MEM": [""]})

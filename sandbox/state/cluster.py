"""Clusters: which hosts, datastores and networks belong together."""

from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.markup import ids, tag
from sandbox.state.pool_object import PoolObject


@dataclass(kw_only=True)
class Cluster(PoolObject):
    """A cluster; RESERVED_CPU and RESERVED_MEM of its template hold for hosts that have none."""

    KIND: ClassVar[str] = "CLUSTER"

    hosts: list[int] = field(default_factory=list)
    datastores: list[int] = field(default_factory=list)
    vnets: list[int] = field(default_factory=list)

    def clusters(self) -> tuple[int]:
        """Return itself."""
        return (self.id,)

    def reserved(self) -> tuple[str, str]:
        """Return what its hosts inherit."""
        return self.template.get("RESERVED_CPU"), self.template.get("RESERVED_MEM")

    def xml(self) -> str:
        """Return the cluster as one.cluster.info does."""
        return tag(
            "CLUSTER",
            tag("ID", self.id)
            + tag("NAME", self.name)
            + ids("HOSTS", sorted(self.hosts))
            + ids("DATASTORES", sorted(self.datastores))
            + ids("VNETS", sorted(self.vnets))
            + self.template.xml(),
        )

"""Virtual networks and the addresses that they lease."""

import ipaddress
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.errors import InternalError
from sandbox.markup import ids, tag, text
from sandbox.state.pool_object import PoolObject

_VM_LEASE = 0x1000000000  # the type bits before a VM's id in ALLOCATED


@dataclass
class Range:
    """An address range (AR): IP4, IP6, IP4_6 or ETHER, and who has which of its addresses."""

    id: int
    attributes: dict[str, str]
    leases: dict[int, int] = field(default_factory=dict)  # index -> VM
    next_index: int = 0  # after the last one given
    _tried: int = 0  # where the search for a free one continues

    @property
    def size(self) -> int:
        """Return how many addresses it has."""
        return int(self.attributes.get("SIZE", "1"))

    def find(self, wanted: str) -> int | None:
        """Return the index of an address, or of the first free one when none is wanted."""
        if wanted:
            if "IP" not in self.attributes:
                return None
            index = int(ipaddress.ip_address(wanted)) - int(ipaddress.ip_address(self.attributes["IP"]))
            return index if 0 <= index < self.size and index not in self.leases else None
        self._tried = next((at for at in range(self._tried, self.size) if at not in self.leases), 0)
        return next((at for at in range(self._tried, self.size) if at not in self.leases), None)

    def addresses(self, index: int) -> dict[str, str]:
        """Return what a NIC gets with this address."""
        first = int(self.attributes["MAC"].replace(":", ""), 16)
        mac = f"{first + index:012x}"
        given = {"AR_ID": str(self.id), "MAC": ":".join(mac[at : at + 2] for at in range(0, 12, 2))}
        if "IP" in self.attributes:
            given["IP"] = str(ipaddress.ip_address(self.attributes["IP"]) + index)
        if self.attributes["TYPE"] in ("IP6", "IP4_6"):
            given |= self._ip6(bytes.fromhex(mac))
        return given

    def _ip6(self, mac: bytes) -> dict[str, str]:
        suffix = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
        prefixes = {
            "IP6_LINK": "fe80::",
            "IP6_GLOBAL": self.attributes.get("GLOBAL_PREFIX"),
            "IP6_ULA": self.attributes.get("ULA_PREFIX"),
        }
        return {
            name: str(ipaddress.IPv6Address(ipaddress.IPv6Address(prefix).packed[:8] + suffix))
            for name, prefix in prefixes.items()
            if prefix
        }

    def xml(self, *, detailed: bool) -> str:
        """Return the range as its network shows it."""
        values = self.attributes | {"AR_ID": str(self.id)}
        if detailed:
            values = {"SHARED": "NO"} | values | {"NEXT_INDEX": str(self.next_index)}
        if self.leases:
            pairs = (f" {index} {_VM_LEASE + vm}" for index, vm in sorted(self.leases.items()))
            values["ALLOCATED"] = "".join(pairs)
        return tag("AR", "".join(text(name, values[name]) for name in sorted(values)))


@dataclass(kw_only=True)
class VNet(PoolObject):
    """A virtual network."""

    KIND: ClassVar[str] = "NET"

    ranges: list[Range] = field(default_factory=list)
    cluster_ids: list[int] = field(default_factory=list)
    detailed: bool = False  # shows what 7.4 added: TEMPLATE_ID, and NEXT_INDEX and SHARED of its ranges

    def clusters(self) -> list[int]:
        """Return its clusters."""
        return self.cluster_ids

    def lease(self, vm: int, wanted: str) -> dict[str, str]:
        """Give a VM an address (the one wanted, or the first free one)."""
        for one in self.ranges:
            index = one.find(wanted)
            if index is not None:
                one.leases[index], one.next_index = vm, index + 1
                self.touch()
                return one.addresses(index)
        raise InternalError(f"Cannot get IP/MAC lease from virtual network {self.id}.")

    def release(self, vm: int) -> None:
        """Take back what a VM has."""
        for one in self.ranges:
            one.leases = {index: holder for index, holder in one.leases.items() if holder != vm}
        self.touch()

    def holders(self) -> list[int]:
        """Return the VMs that have an address."""
        return sorted({vm for one in self.ranges for vm in one.leases.values()})

    def xml(self) -> str:
        """Return the network as one.vn.info does."""
        value = self.template.get
        return tag(
            "VNET",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.lock_xml()
            + self.permissions_xml()
            + ids("CLUSTERS", sorted(self.cluster_ids))
            + text("BRIDGE", value("BRIDGE"))
            + text("BRIDGE_TYPE", value("BRIDGE_TYPE"))
            + text("STATE", 1)
            + text("PREV_STATE", 1)
            + tag("PARENT_NETWORK_ID", "")
            + (tag("TEMPLATE_ID", "") if self.detailed else "")
            + text("VN_MAD", value("VN_MAD"))
            + "".join(_maybe(name, value(name)) for name in ("PHYDEV", "VLAN_ID", "OUTER_VLAN_ID"))
            + tag("VLAN_ID_AUTOMATIC", 0)
            + tag("OUTER_VLAN_ID_AUTOMATIC", 0)
            + tag("USED_LEASES", sum(len(one.leases) for one in self.ranges))
            + ids("VROUTERS", ())
            + ids("UPDATED_VMS", self.holders())
            + "".join(ids(name, ()) for name in ("OUTDATED_VMS", "UPDATING_VMS", "ERROR_VMS"))
            + self.template.xml()
            + tag("AR_POOL", "".join(one.xml(detailed=self.detailed) for one in self.ranges)),
        )


def _maybe(name: str, value: str) -> str:
    return text(name, value) if value else tag(name, "")

"""The limits of quotas, as one.user.quota and one.group.quota set them."""

from dataclasses import dataclass, field

from sandbox.template import Template

KINDS = {
    "DATASTORE": ("IMAGES", "SIZE"),
    "NETWORK": ("LEASES",),
    "VM": (),  # its fields differ from release to release
    "IMAGE": ("RVMS",),
}


@dataclass
class Quotas:
    """The limits of one user or group: kind, id of the resource (empty for VMs), field, text."""

    limits: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)

    def set(self, source: Template) -> None:
        """Take what a client sends."""
        for kind in KINDS:
            for given in source.vectors(kind):
                known = self.limits.setdefault(kind, {}).setdefault(given.get("ID", ""), {})
                known.update({name: value for name, value in given.items() if name != "ID"})

"""Which hosts supply the CPU model that a VM's domain names.

OpenNebula names it with `fallback='forbid'` (LibVirtDriverKVM.cc): a host without it neither starts nor
receives such a VM. The model is EVC_MODE of the cluster (7.4), else CPU_MODEL/MODEL of the VM. A host states
the models that it supplies in KVM_CPU_MODELS (machines_models.rb); one that states none is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onext.cloud.model import Template, scalar, vector

_SUPPLIED = "KVM_CPU_MODELS"
_WITHOUT = ("", "host-passthrough")  # no model is named


@dataclass
class CpuModels:
    """The models of one cluster's hosts; `required` is the cluster's EVC_MODE, empty without one."""

    hosts: Mapping[int, Mapping[str, str]]  # by id, with their scalar attributes
    required: str = ""
    _known: dict[str, frozenset[int] | None] = field(default_factory=dict)

    def allowed(self, template: Template) -> frozenset[int] | None:
        """Return the hosts that supply the model of a VM with this template; None where all do."""
        model = self.required or vector(template, "CPU_MODEL").get("MODEL", "").strip()
        if model not in self._known:
            self._known[model] = self._supplying(model)
        return self._known[model]

    def _supplying(self, model: str) -> frozenset[int] | None:
        if model in _WITHOUT:
            return None
        listed = {host: attributes.get(_SUPPLIED, "").split() for host, attributes in self.hosts.items()}
        found = frozenset(host for host, models in listed.items() if not models or model in models)
        return None if len(found) == len(listed) else found


def evc_mode(template: Template) -> str:
    """Return EVC_MODE of a cluster's template, empty without one."""
    return scalar(template, "EVC_MODE").strip()

"""A host's capacity: what there is, what is reserved, what its VMs take (src/host/HostShare.cc)."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class Share:
    """A host's capacity: CPU in hundredths, memory in KiB."""

    mem_usage: int = 0
    cpu_usage: int = 0
    total_mem: int = 0
    total_cpu: int = 0
    max_mem: int = 0
    max_cpu: int = 0
    running_vms: int = 0

    def count(self, vms: int, cpu: int, memory: int) -> None:
        """Take (1) or release (-1) what a VM needs."""
        self.running_vms += vms
        self.cpu_usage += vms * cpu
        self.mem_usage += vms * memory

    def lacks(self, cpu: int, memory: int) -> str:
        """Return what is missing for so much more, in oned's words; nothing where it fits."""
        if self.max_cpu - self.cpu_usage < cpu:
            return f"Not enough CPU: {cpu}/{self.max_cpu - self.cpu_usage}"
        if self.max_mem - self.mem_usage < memory:
            return f"Not enough memory: {memory}/{self.max_mem - self.mem_usage}"
        return ""


def without(total: int, reserved: str) -> int:
    """Return the capacity less what is reserved: a number, or a percentage; rubbish counts as nothing."""
    share = reserved.strip()
    try:
        if share.endswith("%"):
            return int(total * (1 - int(share[:-1]) / 100))
        return total - int(share) if share else total
    except ValueError:
        return total

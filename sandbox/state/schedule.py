"""Scheduled actions of VMs, as src/sam/ScheduledAction.cc keeps them. The sandbox does not run them."""

from dataclasses import dataclass

from sandbox.errors import ActionError
from sandbox.markup import tag
from sandbox.template import names

_ACTIONS = set(
    names(
        "terminate terminate-hard undeploy undeploy-hard hold release stop suspend resume reboot reboot-hard "
        "poweroff poweroff-hard snapshot-create snapshot-revert snapshot-delete disk-snapshot-create "
        "disk-snapshot-revert disk-snapshot-delete backup"
    )
)


@dataclass(frozen=True)
class ScheduledAction:
    """What shall happen to a VM, and when (seconds since 1970)."""

    id: int
    vm: int
    action: str
    time: int
    repeat: str = "-1"
    days: str = ""

    @classmethod
    def of(cls, oid: int, vm: int, began: int, values: dict[str, str]) -> "ScheduledAction":
        """Read a SCHED_ACTION attribute; `TIME = "+60"` counts from the beginning of the VM."""
        action, time = values.get("ACTION", ""), values.get("TIME", "")
        if not action:
            raise ActionError("No ACTION in template for Scheduled Action.")
        if action not in _ACTIONS:
            raise ActionError(f"{action} is not supported.")
        if not time.lstrip("+").isdigit():
            raise ActionError(f"Unable to parse the time value or value is empty: {time}")
        when = began + int(time) if time.startswith("+") else int(time)
        return cls(oid, vm, action, when, values.get("REPEAT", "-1"), values.get("DAYS", ""))

    def xml(self) -> str:
        """Return the action as one.vm.info shows it, at the end of the VM's TEMPLATE."""
        fields = (
            ("ID", self.id),
            ("PARENT_ID", self.vm),
            ("TYPE", "VM"),
            ("ACTION", self.action),
            ("ARGS", ""),
            ("TIME", self.time),
            ("REPEAT", self.repeat),
            ("DAYS", self.days),
            ("END_TYPE", -1),
            ("END_VALUE", -1),
            ("DONE", -1),
            ("MESSAGE", ""),
            ("WARNING", 0),
        )
        return tag("SCHED_ACTION", "".join(tag(name, value) for name, value in fields))

"""VMs: what they are and how each call shows them."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.markup import ids, tag, text
from sandbox.state.history import History
from sandbox.state.names import LCM, VMState
from sandbox.state.pool_object import PoolObject
from sandbox.state.schedule import ScheduledAction
from sandbox.template import Template, names

_SHORT_DISK = names(
    "DISK_ID DATASTORE DATASTORE_ID IMAGE IMAGE_ID SIZE TYPE CLONE CLONE_TARGET LN_TARGET "
    "DISK_SNAPSHOT_TOTAL_SIZE"
)
_SHORT_NIC = ("IP", "MAC", "NETWORK", "NETWORK_ID", "NIC_ID", "SECURITY_GROUPS")
_SHORT_USER = names(
    "LABELS ERROR SCHED_MESSAGE SCHED_RANK SCHED_DS_RANK SCHED_REQUIREMENTS SCHED_DS_REQUIREMENTS "
    "USER_PRIORITY"
)
_BACKUPS = "<BACKUPS><BACKUP_CONFIG></BACKUP_CONFIG><BACKUP_IDS></BACKUP_IDS></BACKUPS>"
_RECORDS = 100


@dataclass(kw_only=True)
class VM(PoolObject):
    """A VM. `template` is oned's, `user_template` its owner's."""

    KIND: ClassVar[str] = "VM"

    user_template: Template
    state: VMState = VMState.INIT
    lcm: LCM = LCM.LCM_INIT
    prev_state: VMState = VMState.INIT
    prev_lcm: LCM = LCM.LCM_INIT
    resched: int = 0
    stime: int = field(default_factory=lambda: int(time.time()))
    etime: int = 0
    deploy_id: str = ""
    history: list[History] = field(default_factory=list)
    records: list[tuple[int, str]] = field(default_factory=list)
    measured: dict[str, str] = field(default_factory=dict)  # set by a test
    schedule: list[ScheduledAction] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)  # LCM states that will fail once
    lost: bool = False  # the probe of its host reports FAILURE
    journey: int = 0  # the number of its present chain of steps

    @property
    def cpu(self) -> int:
        """Return its share of a host's CPU, in hundredths."""
        return round(self.template.number("CPU") * 100)

    @property
    def memory(self) -> int:
        """Return its memory in KiB."""
        return int(self.template.number("MEMORY")) * 1024

    @property
    def stay(self) -> History:
        """Return the present or last stay on a host."""
        return self.history[-1]

    @property
    def said(self) -> str:
        """Return the state as oned's messages name it."""
        return self.lcm.name if self.state == VMState.ACTIVE else self.state.name

    def open_stay(self, **fields: int | str) -> History:
        """Begin another stay, on the same host unless the fields differ."""
        last = self.stay
        same = ("hostname", "hid", "cid", "vm_mad", "tm_mad", "ds_id")
        kept: dict[str, int | str] = {name: getattr(last, name) for name in same}
        self.history.append(History(**(kept | {"oid": self.id, "seq": last.seq + 1} | fields)))  # type: ignore[arg-type]
        return self.stay

    def measure(self, keep: float) -> None:
        """Take one monitoring message."""
        now = int(time.time())
        values = {
            "CPU": str(self.cpu * 7 / 1000),
            "DISKRDBYTES": "394",
            "DISKRDIOPS": "927",
            "DISKWRBYTES": "975",
            "DISKWRIOPS": "184",
            "MEMORY": str(self.memory * 9 // 10),
            "NETRX": "6852",
            "NETTX": "6602",
        }
        values |= self.measured | {"ID": str(self.id), "TIMESTAMP": str(now)}
        xml = tag("MONITORING", "".join(text(name, values[name]) for name in sorted(values)))
        self.records = [record for record in self.records if record[0] > now - keep][1 - _RECORDS :]
        self.records.append((now, xml))

    def xml(self) -> str:
        """Return the VM as one.vm.info does."""
        polled, monitoring = self.records[-1] if self.records else (0, "<MONITORING></MONITORING>")
        return self._extended(polled, monitoring, whole=True)

    def payload(self) -> str:
        """Return the VM as a hook gets it: without what was measured."""
        return self._extended(0, "<MONITORING></MONITORING>", whole=True)

    def pooled_xml(self) -> str:
        """Return the VM as one.vmpool.infoextended does: only its last stay, of its schedule only ids."""
        return self._extended(0, "<MONITORING></MONITORING>", whole=False)

    def _extended(self, polled: int, monitoring: str, *, whole: bool) -> str:
        stays = self.history if whole else self.history[-1:]
        planned = "".join(one.xml() for one in self.schedule) if whole else ""
        return tag(
            "VM",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + self.permissions_xml()
            + tag("LAST_POLL", polled)
            + tag("STATE", int(self.state))
            + tag("LCM_STATE", int(self.lcm))
            + tag("PREV_STATE", int(self.prev_state))
            + tag("PREV_LCM_STATE", int(self.prev_lcm))
            + self._times_xml()
            + self.lock_xml()
            + monitoring
            + ids("SCHED_ACTIONS", (one.id for one in self.schedule))
            + self.template.xml(after=planned)
            + self.user_template.xml("USER_TEMPLATE")
            + tag("HISTORY_RECORDS", "".join(stay.xml() for stay in stays))
            + _BACKUPS,
        )

    def _times_xml(self) -> str:
        return (
            tag("RESCHED", self.resched)
            + tag("STIME", self.stime)
            + tag("ETIME", self.etime)
            + tag("DEPLOY_ID", self.deploy_id)
        )

    def short_xml(self) -> str:
        """Return the VM as one.vmpool.info does."""
        return tag(
            "VM",
            tag("ID", self.id)
            + self.owner_xml()
            + tag("NAME", self.name)
            + tag("LAST_POLL", 0)
            + tag("STATE", int(self.state))
            + tag("LCM_STATE", int(self.lcm))
            + self._times_xml()
            + (self.lock.short_xml() if self.lock else "")
            + tag("TEMPLATE", self._short_template())
            + "<MONITORING/>"
            + self._short_user_template()
            + tag("HISTORY_RECORDS", "".join(stay.short_xml() for stay in self.history[-1:])),
        )

    def _short_template(self) -> str:
        template = self.template
        sizes = "".join(tag(name, template.get(name)) for name in ("CPU", "MEMORY", "VCPU"))
        disks = "".join(_vector("DISK", disk, _SHORT_DISK) for disk in template.vectors("DISK"))
        nics = "".join(_vector("NIC", nic, _SHORT_NIC) for nic in template.vectors("NIC"))
        graphics = "".join(_vector("GRAPHICS", one, sorted(one)) for one in template.vectors("GRAPHICS"))
        return sizes + disks + nics + graphics

    def _short_user_template(self) -> str:
        shown = ((name, self.user_template.get(name)) for name in _SHORT_USER)
        return tag("USER_TEMPLATE", "".join(text(name, value) for name, value in shown if value))

    def extended_chunk(self) -> bytes:
        """Return the VM as it travels in one.vmpool.infoextended."""
        return self.wire("extended", self.pooled_xml)

    def short_chunk(self) -> bytes:
        """Return the VM as it travels in one.vmpool.info."""
        return self.wire("short", self.short_xml)

    def touch_monitoring(self) -> None:
        """Forget the rendered monitoring only."""
        self._rendered.pop("info", None)


def _vector(name: str, values: dict[str, str], shown: list[str] | tuple[str, ...]) -> str:
    return tag(name, "".join(text(key, values[key]) for key in shown if key in values))

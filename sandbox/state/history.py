"""HISTORY records: one for each stay of a VM on a host."""

from dataclasses import dataclass
from enum import IntEnum

from sandbox.markup import tag, text

# VMActions of OpenNebula: what ended a stay.
Action = IntEnum(
    "Action",
    """
    NONE MIGRATE LIVE_MIGRATE SHUTDOWN SHUTDOWN_HARD UNDEPLOY UNDEPLOY_HARD HOLD RELEASE STOP SUSPEND
    RESUME BOOT DELETE DELETE_RECREATE REBOOT REBOOT_HARD RESCHED UNRESCHED POWEROFF POWEROFF_HARD
    DISK_ATTACH DISK_DETACH NIC_ATTACH NIC_DETACH DISK_SNAPSHOT_CREATE DISK_SNAPSHOT_DELETE TERMINATE
    TERMINATE_HARD DISK_RESIZE DEPLOY CHOWN CHMOD UPDATECONF RENAME RESIZE UPDATE SNAPSHOT_CREATE
    SNAPSHOT_DELETE SNAPSHOT_REVERT DISK_SAVEAS DISK_SNAPSHOT_REVERT RECOVER RETRY MONITOR
    DISK_SNAPSHOT_RENAME ALIAS_ATTACH ALIAS_DETACH POFF_MIGRATE POFF_HARD_MIGRATE
    """,
    start=0,
)
BY_HAND, SCHEDULER = -2, -1  # PLAN_ID


@dataclass(kw_only=True)
class History:
    """A stay: on which host, when each of its three phases began and ended, who ended it and how."""

    oid: int
    seq: int
    hostname: str
    hid: int
    cid: int
    vm_mad: str
    tm_mad: str
    ds_id: int
    plan_id: int = BY_HAND
    stime: int = 0
    etime: int = 0
    pstime: int = 0
    petime: int = 0
    rstime: int = 0
    retime: int = 0
    estime: int = 0
    eetime: int = 0
    action: int = 0
    uid: int = -1
    gid: int = -1
    request_id: int = -1

    def xml(self) -> str:
        """Return the record as `info` and `infoextended` show it."""
        times = ("pstime", "petime", "rstime", "retime", "estime", "eetime")
        return tag(
            "HISTORY",
            tag("OID", self.oid)
            + tag("SEQ", self.seq)
            + tag("HOSTNAME", self.hostname)
            + tag("HID", self.hid)
            + tag("CID", self.cid)
            + tag("STIME", self.stime)
            + tag("ETIME", self.etime)
            + text("VM_MAD", self.vm_mad)
            + text("TM_MAD", self.tm_mad)
            + tag("DS_ID", self.ds_id)
            + tag("PLAN_ID", self.plan_id)
            + tag("ACTION_ID", 0 if self.plan_id == SCHEDULER else -1)
            + "".join(tag(name.upper(), getattr(self, name)) for name in times)
            + tag("ACTION", int(self.action))
            + tag("UID", self.uid)
            + tag("GID", self.gid)
            + tag("REQUEST_ID", self.request_id),
        )

    def short_xml(self) -> str:
        """Return the record as one.vmpool.info shows it."""
        return tag(
            "HISTORY",
            tag("OID", self.oid)
            + tag("SEQ", self.seq)
            + text("HOSTNAME", self.hostname)
            + tag("HID", self.hid)
            + tag("CID", self.cid)
            + tag("DS_ID", self.ds_id)
            + text("VM_MAD", self.vm_mad)
            + text("TM_MAD", self.tm_mad)
            + text("ACTION", int(self.action)),
        )

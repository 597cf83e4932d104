"""Documents of pools that are not recorded, in the form of share/doc/xsd of OpenNebula 7.4.0."""

from __future__ import annotations

import json
import time

USERS = """\
<USER_POOL>
<USER><ID>0</ID><GID>0</GID><GROUPS><ID>0</ID></GROUPS><GNAME>oneadmin</GNAME><NAME>oneadmin</NAME><TEMPLATE/></USER>
<QUOTAS><ID>0</ID><DATASTORE_QUOTA/><NETWORK_QUOTA/><VM_QUOTA/><IMAGE_QUOTA/></QUOTAS>
<USER><ID>2</ID><GID>1</GID><GROUPS><ID>1</ID></GROUPS><GNAME>users</GNAME><NAME>alice</NAME>
<TEMPLATE><QUOTAS><ID>9</ID></QUOTAS><NAME>mallory</NAME></TEMPLATE></USER>
<QUOTAS><ID>2</ID>
<DATASTORE_QUOTA><DATASTORE><ID>1</ID><IMAGES>-2</IMAGES><IMAGES_USED>3</IMAGES_USED><SIZE>1024</SIZE>\
<SIZE_USED>512</SIZE_USED></DATASTORE></DATASTORE_QUOTA>
<NETWORK_QUOTA><NETWORK><ID>0</ID><LEASES>-1</LEASES><LEASES_USED>4</LEASES_USED></NETWORK></NETWORK_QUOTA>
<VM_QUOTA><VM><CPU>10</CPU><CPU_USED>2.5</CPU_USED><MEMORY>-1</MEMORY><MEMORY_USED>2048</MEMORY_USED>\
<VMS>-2</VMS><VMS_USED>3</VMS_USED><GPUS>4</GPUS><GPUS_USED>1</GPUS_USED></VM>
<VM><CLUSTER_IDS>100,101</CLUSTER_IDS><CPU>4</CPU><CPU_USED>1</CPU_USED></VM></VM_QUOTA>
<IMAGE_QUOTA><IMAGE><ID>7</ID><RVMS>0</RVMS><RVMS_USED>0</RVMS_USED></IMAGE></IMAGE_QUOTA>
</QUOTAS>
<DEFAULT_USER_QUOTAS><DATASTORE_QUOTA/><NETWORK_QUOTA/><VM_QUOTA><VM><CPU>-2</CPU><MEMORY>4096</MEMORY></VM>\
</VM_QUOTA><IMAGE_QUOTA/></DEFAULT_USER_QUOTAS>
</USER_POOL>"""
GROUPS = """\
<GROUP_POOL><GROUP><ID>1</ID><NAME>users</NAME><TEMPLATE/><USERS><ID>2</ID></USERS></GROUP>
<QUOTAS><ID>1</ID><VM_QUOTA><VM><CPU>100</CPU><CPU_USED>2.5</CPU_USED></VM></VM_QUOTA></QUOTAS>
<DEFAULT_GROUP_QUOTAS/></GROUP_POOL>"""


def service(number: int, body: object, name: str = "shop") -> str:
    """Return a document of OneFlow."""
    text = body if isinstance(body, str) else json.dumps(body)
    return (
        f"<DOCUMENT><ID>{number}</ID><UID>2</UID><GID>1</GID><UNAME>alice</UNAME><GNAME>users</GNAME>"
        f"<NAME>{name}</NAME><TYPE>100</TYPE><TEMPLATE><BODY><![CDATA[{text}]]></BODY></TEMPLATE></DOCUMENT>"
    )


def job(actions: str = "", *, ids: str = "") -> str:
    """Return a backup job; `actions` are in the answer for the single job only."""
    return (
        "<BACKUPJOB><ID>3</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME>"
        "<NAME>nightly</NAME><PRIORITY>50</PRIORITY><LAST_BACKUP_TIME>1795870000</LAST_BACKUP_TIME>"
        f"<LAST_BACKUP_DURATION>60</LAST_BACKUP_DURATION><SCHED_ACTIONS>{ids}</SCHED_ACTIONS>"
        "<UPDATED_VMS><ID>0</ID><ID>1</ID></UPDATED_VMS><OUTDATED_VMS/><BACKING_UP_VMS/>"
        f"<ERROR_VMS><ID>2</ID></ERROR_VMS><TEMPLATE>{actions}</TEMPLATE></BACKUPJOB>"
    )


def action(at: float, done: float = -1, *, end: int = -1, value: int = -1) -> str:
    """Return a scheduled action, as ScheduledAction::to_xml writes it."""
    return (
        f"<SCHED_ACTION><ID>5</ID><PARENT_ID>3</PARENT_ID><TYPE>BACKUPJOB</TYPE><ACTION>backup</ACTION><ARGS></ARGS>"
        f"<TIME>{at:.0f}</TIME><REPEAT>0</REPEAT><DAYS>1,2</DAYS><END_TYPE>{end}</END_TYPE>"
        f"<END_VALUE>{value}</END_VALUE><DONE>{done:.0f}</DONE><MESSAGE></MESSAGE><WARNING>0</WARNING></SCHED_ACTION>"
    )


def documents() -> dict[str, bytes | None]:
    """Return all of them, by method."""
    services = service(12, {"name": "shop", "state": 2, "roles": []}) + service(13, {"state": 7}, "lab")
    made = {
        "userpool.info": USERS.replace("\n", ""),
        "grouppool.info": GROUPS.replace("\n", ""),
        "documentpool.info": f"<DOCUMENT_POOL>{services}</DOCUMENT_POOL>",
        "backupjobpool.info": f"<BACKUPJOB_POOL>{job(ids='<ID>5</ID>')}</BACKUPJOB_POOL>",
        "backupjob.info": job(action(time.time() - 7200), ids="<ID>5</ID>"),
    }
    return {method: text.encode() for method, text in made.items()}

"""The self-contained installation below ONE_LOCATION, made from nothing; what people write there is kept."""

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

ONED_CONF = """\
#*******************************************************************************
# oned.conf of the sandbox: real syntax, the attributes that concern drivers,
# hooks, authentication and limits
#*******************************************************************************

LOG = [
  SYSTEM      = "file",
  DEBUG_LEVEL = 3
]

PORT = {port}
LISTEN_ADDRESS = "127.0.0.1"

MANAGER_TIMER  = 15
API_LIST_ORDER = "DESC"

VNC_PORTS = [
    START    = 5900,
    RESERVED = "32768:65536"
    # RESERVED = "6800, 6801, 6810:6820, 9869"
]

FEDERATION = [
    MODE          = "STANDALONE",
    ZONE_ID       = 0,
    SERVER_ID     = -1,
    MASTER_ONED   = ""
]

DEFAULT_DEVICE_PREFIX = "sd"
MAC_PREFIX            = "02:00"

IM_MAD = [
      NAME       = "monitord",
      EXECUTABLE = "onemonitord",
      ARGUMENTS  = "-c monitord.conf",
      THREADS    = 8 ]

#-------------------------------------------------------------------------------
#  KVM Virtualization Driver Manager Configuration
#-------------------------------------------------------------------------------
VM_MAD = [
    NAME           = "kvm",
    SUNSTONE_NAME  = "KVM",
    EXECUTABLE     = "one_vmm_exec",
    ARGUMENTS      = "-t 15 -r 0 kvm -p",
    DEFAULT        = "vmm_exec/vmm_exec_kvm.conf",
    TYPE           = "kvm",
    KEEP_SNAPSHOTS = "yes",
    LIVE_RESIZE    = "yes",
    SUPPORT_SHAREABLE    = "yes"
]

VM_MAD = [ NAME="dummy", SUNSTONE_NAME="Testing", EXECUTABLE="one_vmm_dummy", TYPE="xml" ]

SCHED_MAD = [
      EXECUTABLE = "one_sched",
      ARGUMENTS  = "-t 15 -p rank -o one_drs"
]

SCHED_MAX_WND_TIME   = 10
SCHED_MAX_WND_LENGTH = 7
SCHED_RETRY_TIME = 60
MAX_ACTIONS_PER_HOST    = 1
MAX_ACTIONS_PER_CLUSTER = 30

#*******************************************************************************
# Hook Manager Configuration
#*******************************************************************************
HM_MAD = [
    EXECUTABLE = "one_hm",
    ARGUMENTS = "-p 2101 -l 2102 -b 127.0.0.1"]

HOOK_LOG_CONF = [
    LOG_RETENTION = 20 ]

#*******************************************************************************
# Auth Manager Configuration
#*******************************************************************************
AUTH_MAD = [
    EXECUTABLE = "one_auth_mad",
    AUTHN = "ssh,x509,ldap,server_cipher,server_x509"
]

#DEFAULT_AUTH = "default"

SESSION_EXPIRATION_TIME = 900

#ENABLE_OTHER_PERMISSIONS = "YES"

DEFAULT_UMASK = 177

VM_ADMIN_OPERATIONS  = "migrate, delete, recover, retry, deploy, resched,
    backup, restore"

VM_MANAGE_OPERATIONS = "undeploy, hold, release, stop, suspend, resume, reboot,
    poweroff, disk-attach, nic-attach, disk-snapshot, terminate, disk-resize,
    snapshot, updateconf, rename, resize, update, disk-saveas, sched-action,
    sg-attach, pci-attach"

VM_USE_OPERATIONS    = ""

#*******************************************************************************
# Restricted Attributes Configuration
#*******************************************************************************
VM_RESTRICTED_ATTR = "CONTEXT/FILES"
VM_RESTRICTED_ATTR = "NIC/MAC"
VM_RESTRICTED_ATTR = "NIC/VLAN_ID"
VM_RESTRICTED_ATTR = "NIC/BRIDGE"
#VM_RESTRICTED_ATTR = "RANK"
#VM_RESTRICTED_ATTR = "SCHED_RANK"
#VM_RESTRICTED_ATTR = "REQUIREMENTS"
#VM_RESTRICTED_ATTR = "SCHED_REQUIREMENTS"
VM_RESTRICTED_ATTR = "DEPLOY_ID"
VM_RESTRICTED_ATTR = "CPU_COST"
VM_RESTRICTED_ATTR = "PCI"
VM_RESTRICTED_ATTR = "RAW/DATA"
VM_RESTRICTED_ATTR = "USER_PRIORITY"

VNET_RESTRICTED_ATTR = "VN_MAD"
VNET_RESTRICTED_ATTR = "PHYDEV"
VNET_RESTRICTED_ATTR = "VLAN_ID"
VNET_RESTRICTED_ATTR = "BRIDGE"

USER_RESTRICTED_ATTR = "VM_USE_OPERATIONS"
USER_RESTRICTED_ATTR = "VM_MANAGE_OPERATIONS"
USER_RESTRICTED_ATTR = "VM_ADMIN_OPERATIONS"

VM_ENCRYPTED_ATTR = "CONTEXT/PASSWORD"

#*******************************************************************************
# Auth Driver Behavior Configuration
#*******************************************************************************
AUTH_MAD_CONF = [
    NAME = "core",
    PASSWORD_CHANGE = "YES",
    DRIVER_MANAGED_GROUPS = "NO",
    DRIVER_MANAGED_GROUP_ADMIN = "NO",
    MAX_TOKEN_TIME = "-1"
]

AUTH_MAD_CONF = [
    NAME = "public",
    PASSWORD_CHANGE = "NO",
    DRIVER_MANAGED_GROUPS = "NO",
    DRIVER_MANAGED_GROUP_ADMIN = "NO",
    MAX_TOKEN_TIME = "-1"
]

AUTH_MAD_CONF = [
    NAME = "ssh",
    PASSWORD_CHANGE = "YES",
    DRIVER_MANAGED_GROUPS = "NO",
    DRIVER_MANAGED_GROUP_ADMIN = "NO",
    MAX_TOKEN_TIME = "-1"
]

AUTH_MAD_CONF = [
    NAME = "ldap",
    PASSWORD_CHANGE = "YES",
    PASSWORD_REQUIRED = "NO",
    DRIVER_MANAGED_GROUPS = "YES",
    DRIVER_MANAGED_GROUP_ADMIN = "YES",
    MAX_TOKEN_TIME = "86400"
]

AUTH_MAD_CONF = [
    NAME = "server_cipher",
    PASSWORD_CHANGE = "NO",
    DRIVER_MANAGED_GROUPS = "NO",
    DRIVER_MANAGED_GROUP_ADMIN = "NO",
    MAX_TOKEN_TIME = "-1"
]

TM_MAD_CONF = [
    NAME = "dummy", LN_TARGET = "NONE", CLONE_TARGET = "SYSTEM", SHARED = "YES",
    DS_MIGRATE = "YES"
]

VN_MAD_CONF = [
    NAME = "dummy",
    BRIDGE_TYPE = "linux"
]
"""

_SSH = """\
#!/bin/sh
# The nodes of the sandbox are found by their names: as `ssh` would find them in a real cloud.
exec {ssh} -F "{config}" "$@"
"""

_SHIPPED_VERSION = "7.0.2"


@dataclass
class Layout:
    """The places below ONE_LOCATION; `endpoint` is known when the server listens."""

    location: Path
    endpoint: str = ""
    password: str = ""

    @property
    def etc(self) -> Path:
        """Return the folder of the configuration."""
        return self.location / "etc"

    @property
    def var(self) -> Path:
        """Return oneadmin's home."""
        return self.location / "var"

    @property
    def bin(self) -> Path:
        """Return the folder of commands."""
        return self.location / "bin"

    @property
    def remotes(self) -> Path:
        """Return what `onehost sync` would copy."""
        return self.var / "remotes"

    @property
    def oned_conf(self) -> Path:
        """Return oned's configuration."""
        return self.etc / "oned.conf"

    @property
    def one_auth(self) -> Path:
        """Return oneadmin's session."""
        return self.var / ".one/one_auth"

    @property
    def one_endpoint(self) -> Path:
        """Return the file where OpenNebula's clients look for the endpoint."""
        return self.var / ".one/one_endpoint"

    @property
    def log(self) -> Path:
        """Return oned.log."""
        return self.var / "oned.log"

    @property
    def ssh_config(self) -> Path:
        """Return the ssh configuration by which node names lead to the sandbox."""
        return self.location / "ssh_config"

    @property
    def session(self) -> str:
        """Return oneadmin's session."""
        return f"oneadmin:{self.password}"

    def make(self, port: int, endpoint: str) -> None:
        """Make what is not there yet; a second start keeps password and configuration."""
        self.endpoint = endpoint
        for folder in ("hooks", "auth", "vmm/kvm", "vmm/dummy", "im", "tm", "datastore"):
            (self.remotes / folder).mkdir(parents=True, exist_ok=True)
        for path in (self.etc, self.bin, self.one_auth.parent, self.location / "lib"):
            path.mkdir(parents=True, exist_ok=True)
        self._write_once(self.oned_conf, ONED_CONF.format(port=port), 0o640)
        self._write_once(self.one_auth, f"oneadmin:{secrets.token_hex(16)}\n", 0o600)
        self.password = self.one_auth.read_text().strip().partition(":")[2]
        self.one_endpoint.write_text(endpoint + "\n")
        self._write_once(self.remotes / "VERSION", _SHIPPED_VERSION + "\n", 0o644)
        self._write_once(self.remotes / "vmm/kvm/migrate", "#!/bin/sh\nexit 0\n", 0o755)
        self._write_once(self.ssh_config, "", 0o644)
        self._write_once(self.bin / "ssh", _SSH.format(ssh="/usr/bin/ssh", config=self.ssh_config), 0o755)

    def _write_once(self, path: Path, text: str, mode: int) -> None:
        if path.exists():
            return
        path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def env(self) -> dict[str, str]:
        """Return the environment in which clients on this machine find the sandbox."""
        return {
            "ONE_LOCATION": str(self.location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.one_auth),
            "HOME": str(self.var),
            "PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }

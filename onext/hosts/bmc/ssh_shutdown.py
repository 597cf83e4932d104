"""`shutdown: ssh`: a shutdown by the operating system for BMCs that cannot order one.

Needs on each node one more line for sudo:

    oneadmin ALL=(root) NOPASSWD: /usr/sbin/dmidecode -s system-uuid, \
        /usr/sbin/dmidecode -s system-serial-number, /usr/bin/systemctl --no-block poweroff

The host's own UUID or serial number is compared first: a wrong `host` must not shut down another machine.
"""

from __future__ import annotations

from pathlib import Path

from onext import process, ssh
from onext.hosts.bmc import identity
from onext.hosts.bmc.entry import Agent, Ipmi, Redfish
from onext.hosts.bmc.errors import NotConfigured, Refused, Unreachable
from onext.hosts.bmc.identity import Reported

_POWER_OFF = ["sudo", "-n", "/usr/bin/systemctl", "--no-block", "poweroff"]
_IDENTITY = ["sudo", "-n", "/usr/sbin/dmidecode", "-s"]


def order(entry: Ipmi | Redfish | Agent, timeout: float, config: Path | None) -> None:
    """Shut a host down, if it is the machine of its entry; return when it accepted. Raises BmcError."""
    if not entry.host:
        raise NotConfigured("shutdown: ssh needs `host` in bmc.yaml")
    uuid = str(entry.uuid) if entry.uuid else None
    key = "system-uuid" if uuid else "system-serial-number"
    seen = _run(entry.host, [*_IDENTITY, key], timeout, config)
    reported = Reported(seen) if uuid else Reported(serials=(seen,))
    identity.verified(uuid, None if uuid else entry.serial, reported)
    _run(entry.host, _POWER_OFF, timeout, config)


def _run(host: str, words: list[str], timeout: float, config: Path | None) -> str:
    try:
        output = ssh.run(host, words, timeout=timeout, config=config).stdout
    except (process.CommandError, ValueError) as error:
        code = getattr(error, "exit_code", None)
        if code in (None, 255):
            raise Unreachable(f"{host} cannot be reached by ssh") from error
        raise Refused(
            f"{host}: `{' '.join(words[2:])}` failed with exit code {code}: check sudoers"
        ) from error
    return output.decode("utf-8", "replace").strip()[:128]

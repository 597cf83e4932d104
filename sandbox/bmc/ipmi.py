"""IPMI 2.0: one ipmi_sim for each host. Its chassis is a script; `power` in its folder is the truth (0 or 1).

A test makes faults by files in that folder: `stuck` (soft power-off does nothing), `lying` (nothing is done).
"""

import shutil
import subprocess
from pathlib import Path

from sandbox.bmc.entry import Entry
from sandbox.errors import ActionError
from sandbox.ports import free_port
from sandbox.processes import Children

_LAN = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{folder}/chassis.sh 0x20"
  user 2 true "{user}" "{password}" admin 20 none md2 md5 straight
"""
_COMMANDS = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
"""
_CHASSIS = """\
#!/bin/sh
cd "{folder}" || exit 1
case "$2 $3" in
  "get power") echo "power:$(cat power)" ;;
  "set power") [ -e lying ] || echo "$4" > power ;;
  "set shutdown") [ -e stuck ] || [ -e lying ] || echo 0 > power ;;
esac
"""
_USER, _PASSWORD = "onext", "sandbox-password"  # no secret: loopback, and a stand-in


class Ipmi:
    """One simulated BMC."""

    def __init__(self, folder: Path, uuid: str, children: Children) -> None:
        program = shutil.which("ipmi_sim")
        if program is None:
            raise ActionError("ipmi_sim is not here: apt-get install openipmi")
        self._folder = folder
        self.entry = Entry("ipmi", free_port(datagram=True), _USER, _PASSWORD, uuid)
        (folder / "state").mkdir(parents=True, exist_ok=True)
        values = {
            "name": folder.name,
            "port": self.entry.port,
            "guid": uuid.replace("-", ""),
            "folder": folder,
        }
        lan = _LAN.format(**values, user=_USER, password=_PASSWORD)
        for name, text in (("lan.conf", lan), ("emu.cmds", _COMMANDS), ("power", "1\n")):
            (folder / name).write_text(text)
        (folder / "chassis.sh").write_text(_CHASSIS.format(folder=folder))
        (folder / "chassis.sh").chmod(0o755)
        files = [str(folder / name) for name in ("lan.conf", "emu.cmds", "state")]
        argv = [program, "-n", "-c", files[0], "-f", files[1], "-s", files[2]]
        self.process: subprocess.Popen[bytes] = children.keep(argv, env={}, log=folder / "log")

    def on(self) -> bool:
        """Tell whether the chassis has power."""
        return (self._folder / "power").read_text().strip() == "1"

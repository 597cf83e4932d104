"""A packaged front-end whole: root, oneadmin, dpkg's own diversions, on a machine laid over this one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.process, pytest.mark.timeout(1200)]


def why_not() -> str:
    """Return what this machine lacks, empty when it has all."""
    if os.geteuid() != 0:
        return "only root can make a machine"
    if missing := [
        name for name in ("unshare", "chroot", "useradd", "dpkg-divert") if not shutil.which(name)
    ]:
        return f"no {', '.join(missing)} here"
    version = "import sys, ensurepip; print(*sys.version_info[:2])"
    told = subprocess.run(
        ["/usr/bin/python3", "-c", version], capture_output=True, text=True, check=False
    ).stdout
    if told.split() != [str(number) for number in sys.version_info[:2]]:
        return "the system's python3 has no venv or is another than ours, for which the wheels are"
    return ""


def test_S1_S2_a_packaged_front_end(checkout: Path, wheels: Path, tmp_path: Path) -> None:
    """Root installs, also with umask 077; oneadmin works with it, and cannot misuse root; nothing is left behind."""
    if reason := why_not():
        pytest.skip(reason)
    for script in ("machine.sh", "attacks.sh"):
        shutil.copy(Path(__file__).with_name(script), checkout)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    done = subprocess.run(
        [*own, "sh", checkout / "machine.sh", checkout, wheels, scratch],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if re.search(r"mount: .*(permission denied|wrong fs type)", done.stderr):
        pytest.skip(f"this machine mounts no overlay: {done.stderr}")
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "run this as root" in said.partition("-- root")[0]
    for line in (
        "/usr/bin/onext root:root 755",
        "/etc/one/onext.yaml root:oneadmin 640",
        "/etc/one/onext root:oneadmin 750",
        "/var/lib/one/remotes/hooks/onext/geolocation oneadmin:oneadmin 755",
        "/var/lib/one/onext oneadmin:oneadmin 755",
        "/var/lib/one/remotes/vmm/kvm/migrate_default",
        "worker:   runs",
        "/var/lib/one/onext/stopped/geolocation oneadmin:oneadmin",
    ):
        assert line in said
    attacks = said.partition("-- attacks\n")[2].partition("-- uninstall")[0]
    assert "BROKEN" not in attacks, attacks
    assert attacks.count("held: ") == 27, attacks
    assert said.endswith("same\n"), said

#!/usr/bin/python3
"""Power of a node: is there RAPL, are its modules loaded, does Scaphandre answer.

Run on a node, as root: `node.py check` reports what is missing, `node.py modules` names the kernel modules
that setup.sh loads. Standard library only, Python 3.6: nodes run AlmaLinux 8's python3 too. From the
front-end: `ssh root@NODE python3 - check < node.py`.

RAPL by vendor and kernel (Documentation/power/powercap, drivers/powercap/Kconfig): Intel since Sandy
Bridge, module intel_rapl, split into intel_rapl_common and intel_rapl_msr in Linux 5.3; AMD family 17h
since Linux 5.8, 19h since 5.11, by the same modules.
"""

import os
import platform
import re
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple, Optional

PORT = 8080
POWERCAP = Path("/sys/class/powercap")
ZEN, ZEN_3 = 0x17, 0x19  # families of AMD


class Finding(NamedTuple):
    """One checked item."""

    name: str
    ok: bool
    message: str


class Unsupported(Exception):
    """This node cannot measure its power: why."""


def modules(cpuinfo: str, release: str) -> "list[str]":
    """Return the kernel modules that this CPU needs with this kernel; raise Unsupported."""
    vendor = _field(cpuinfo, "vendor_id")
    kernel = _version(release)
    if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE):
        raise Unsupported("this is a virtual machine, which gets no RAPL: run Scaphandre on the hardware")
    if vendor == "GenuineIntel":
        return ["intel_rapl_common", "intel_rapl_msr"] if kernel >= (5, 3) else ["intel_rapl"]
    if vendor in ("AuthenticAMD", "HygonGenuine"):
        family = int(_field(cpuinfo, "cpu family") or "0")
        needed = (5, 11) if family >= ZEN_3 else (5, 8)
        if family < ZEN:
            raise Unsupported(f"AMD family {family:x}h has no RAPL; it begins with 17h (Zen)")
        if kernel < needed:
            raise Unsupported(
                f"AMD family {family:x}h needs Linux {needed[0]}.{needed[1]} or later; this is {release}"
            )
        return ["intel_rapl_common", "intel_rapl_msr"]
    raise Unsupported(f"no RAPL on CPUs of {vendor or 'this kind'}")


def _field(cpuinfo: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return found.group(1) if found else ""


def _version(release: str) -> "tuple[int, int]":
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def check(
    cpuinfo: str,
    release: str,
    powercap: Path = POWERCAP,
    page: Optional[str] = None,  # noqa: UP045
) -> "list[Finding]":
    """Return findings, the foundations first; `page` is what Scaphandre answered, None for nothing."""
    try:
        needed = modules(cpuinfo, release)
    except Unsupported as error:
        return [Finding("CPU", False, str(error))]
    found = Finding("CPU", True, f"RAPL by {', '.join(needed)}")
    return [found, _counters(powercap, needed), _scaphandre(page)]


def _counters(powercap: Path, needed: "list[str]") -> Finding:
    zones = sorted(powercap.glob("intel-rapl:*/energy_uj"))
    if not zones:
        hint = f"modprobe -a {' '.join(needed)}, or setup.sh"
        return Finding("modules", False, f"no counter below {powercap}: {hint}")
    whose = "" if os.access(str(zones[0]), os.R_OK) else ", which only root reads"
    return Finding("modules", True, f"{len(zones)} counters{whose}")


def _scaphandre(page: Optional[str]) -> Finding:  # noqa: UP045 - Python 3.6
    if page is None:
        return Finding("Scaphandre", False, f"does not answer on port {PORT}: systemctl status scaphandre")
    if "scaph_host_power_microwatts" not in page:
        return Finding("Scaphandre", False, "answers without the power of the host: see its log")
    return Finding("Scaphandre", True, f"{len(vms(page))} VMs")


def vms(page: str) -> "set[str]":
    """Return the ids of the VMs on a page of Scaphandre, in both forms."""
    return {one or other for one, other in re.findall(r'vmname="one-(\d+)"|-nameguest=one-(\d+),', page)}


def _page() -> Optional[str]:  # noqa: UP045 - Python 3.6
    try:
        with urllib.request.urlopen(f"http://localhost:{PORT}/metrics", timeout=5) as answer:
            return str(answer.read(16_000_000).decode("utf-8", "replace"))
    except OSError:
        return None


def main(arguments: "list[str]") -> int:
    """Do `check` or `modules`; return the exit code."""
    if arguments not in (["check"], ["modules"]):
        sys.stderr.write("usage: node.py check|modules\n")
        return 2
    cpuinfo, release = Path("/proc/cpuinfo").read_text(), platform.release()
    if arguments == ["modules"]:
        return _print_modules(cpuinfo, release)
    findings = check(cpuinfo, release, page=_page())
    for finding in findings:
        state = "ok" if finding.ok else "FAIL"
        sys.stdout.write(f"{finding.name:10}  {state:4}  {finding.message}\n")
    return 0 if all(finding.ok for finding in findings) else 1


def _print_modules(cpuinfo: str, release: str) -> int:
    try:
        sys.stdout.write("\n".join(modules(cpuinfo, release)) + "\n")
    except Unsupported as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

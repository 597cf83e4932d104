"""What a node needs for Scaphandre: by CPU and kernel, with an error that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.scaphandre import node
from exporter.scaphandre.node import Unsupported, check, modules, vms

ROOT = Path(__file__).parents[3]
NODE = ROOT / "exporter/scaphandre/node.py"
INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nflags\t\t: fpu vmx\n"
SPLIT = ["intel_rapl_common", "intel_rapl_msr"]


def amd(family: int) -> str:
    return f"vendor_id\t: AuthenticAMD\ncpu family\t: {family}\nflags\t\t: fpu svm\n"


@pytest.mark.parametrize(
    ("cpu", "release", "expected"),
    [
        (INTEL, "4.18.0-553.el8_10.x86_64", ["intel_rapl"]),
        (INTEL, "5.3.0", SPLIT),
        (INTEL, "5.2.21", ["intel_rapl"]),
        (INTEL, "odd", ["intel_rapl"]),
        (amd(0x18), "5.8.0", SPLIT),
        (amd(0x19), "5.11.0", SPLIT),
        (amd(0x17).replace("AuthenticAMD", "HygonGenuine"), "5.8.0", SPLIT),
        (INTEL, "6.1.0-18-amd64", SPLIT),
        (amd(0x17), "5.8.0", SPLIT),
        (amd(0x19), "5.14.0-427.el9.x86_64", SPLIT),
    ],
)
def test_modules_by_cpu_and_kernel(cpu: str, release: str, expected: list[str]) -> None:
    """The wrong module's name is why hosts have no figures."""
    assert modules(cpu, release) == expected


@pytest.mark.parametrize(
    ("cpu", "release", "reason"),
    [
        (amd(0x17), "5.4.0-200-generic", "5.8 or later"),
        (amd(0x19), "5.10.0", "5.11 or later"),
        (amd(0x16), "6.1.0", r"AMD family 16h has no RAPL"),
        (amd(0x18), "5.7.19", "AMD family 18h needs Linux 5.8 or later; this is 5.7.19"),
        ("vendor_id : AuthenticAMD\n", "6.1.0", "AMD family 0h has no RAPL"),
        ("vendor_id : Other\n", "6.1.0", "no RAPL on CPUs of Other"),
        ("", "6.1.0", "no RAPL"),
        (INTEL.replace("vmx", "vmx hypervisor"), "6.1.0", "virtual machine"),
    ],
)
def test_what_cannot_measure_says_why(cpu: str, release: str, reason: str) -> None:
    """Who buys a power meter because of a bug here has a right to the reason."""
    with pytest.raises(Unsupported, match=reason):
        modules(cpu, release)
    (finding,) = check(cpu, release)
    assert not finding.ok


def test_findings(tmp_path: Path) -> None:
    """Each step that is missing is named with what to do about it."""
    page = 'scaph_host_power_microwatts 1\nx{cmdline="-nameguest=one-4,"} 1\ny{vmname="one-5"} 1\n'
    missing = check(INTEL, "6.1.0", tmp_path, None)
    assert [finding.ok for finding in missing] == [True, False, False]
    assert "modprobe -a intel_rapl_common intel_rapl_msr" in missing[1].message
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "energy_uj").write_text("1")
    assert all(finding.ok for finding in check(INTEL, "6.1.0", tmp_path, page))
    assert not check(INTEL, "6.1.0", tmp_path, "scaph_self 1")[2].ok
    assert len(vms(page)) == 2


def setup(folder: Path, *, modules: str) -> subprocess.CompletedProcess[str]:
    """Run setup.sh with stand-ins for what changes a machine; they write down how they were called."""
    tools = folder / "bin"
    tools.mkdir(exist_ok=True)
    for name in ("modprobe", "systemctl"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n')
    (tools / "python3").write_text(f"#!/bin/sh\n[ $2 = check ] || {modules}\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    env = {"PATH": f"{tools}:/usr/bin:/bin", "DESTDIR": str(folder / "root")}
    return subprocess.run(
        ["sh", NODE.parent / "setup.sh"], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.process
def test_setup_stops_before_it_changes_anything(tmp_path: Path) -> None:
    """A node without Scaphandre, or without RAPL, must not be left with half a setup."""
    missing = setup(tmp_path, modules="echo intel_rapl")
    assert (missing.returncode, "not found" in missing.stderr) == (1, True)
    scaphandre(tmp_path)
    assert setup(tmp_path, modules="exit 1").returncode == 1
    assert not (tmp_path / "calls").exists()


@pytest.mark.process
def test_setup_loads_now_and_at_every_boot(tmp_path: Path) -> None:
    """Modules that are gone after a reboot are figures that are gone."""
    scaphandre(tmp_path)
    for _ in range(2):
        done = setup(tmp_path, modules="printf 'intel_rapl_common\\nintel_rapl_msr\\n'")
        assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:3] == [
        "modprobe -a intel_rapl_common intel_rapl_msr",
        "systemctl daemon-reload",
        "systemctl enable --now scaphandre",
    ]
    written = (tmp_path / "root/etc/modules-load.d/onext-rapl.conf").read_text().splitlines()
    assert written[1:] == SPLIT
    assert (tmp_path / "root/etc/systemd/system/scaphandre.service").is_file()


def scaphandre(folder: Path) -> None:
    """Put something where Scaphandre has to be."""
    binary = folder / "root/usr/local/bin/scaphandre"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)


@pytest.mark.process
def test_it_runs_from_standard_input() -> None:
    """That is how the front-end asks a node: nothing has to be there but python3."""
    with NODE.open() as source:
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-", "check"],
            stdin=source,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1  # no machine that runs these tests has RAPL and Scaphandre
    assert "FAIL" in done.stdout
    assert done.stderr == ""


@pytest.mark.process
def test_python_3_6_can_run_it() -> None:
    """AlmaLinux 8's platform-python is 3.6."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "vermin"), "--no-tips", "-t=3.6-", "--violations", str(NODE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("works", "arguments", "code", "stdout", "stderr"),
    [
        (True, [], 2, "", "usage: node.py check|modules"),
        (True, ["check", "modules"], 2, "", "usage"),
        (True, ["modules"], 0, "intel_rapl_common\nintel_rapl_msr\n", ""),
        (False, ["modules"], 1, "", "virtual machine"),
        (True, ["check"], 0, "CPU         ok    x", ""),
        (False, ["check"], 1, "CPU         FAIL  x", ""),
    ],
)
def test_what_setup_and_administrator_are_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    works: bool,
    arguments: list[str],
    code: int,
    stdout: str,
    stderr: str,
) -> None:
    """setup.sh goes by the exit code: a node without RAPL must not be set up, one that has it must."""

    def needed(_cpu: str, _release: str) -> list[str]:
        if not works:
            raise Unsupported("this is a virtual machine")
        return SPLIT

    monkeypatch.setattr(node, "modules", needed)
    monkeypatch.setattr(node, "_page", lambda: None)
    good = node.Finding("A", True, "x")
    monkeypatch.setattr(node, "check", lambda *_, **__: [good, node.Finding("CPU", works, "x")])
    assert node.main(arguments) == code
    out, err = capsys.readouterr()
    assert stdout in out
    assert stderr in err
    assert bool(out) == bool(stdout)
    assert bool(err) == bool(stderr)


@pytest.mark.parametrize("readable", [True, False])
def test_counters_that_only_root_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    """Scaphandre of another account would report nothing, though the counters are there."""
    for number in range(2):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}/energy_uj").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: readable and mode == os.R_OK and "rapl:0" in path)
    message = check(INTEL, "6.1.0", tmp_path)[1].message
    assert message == "2 counters" + ("" if readable else ", which only root reads")


def test_which_vms_a_page_has() -> None:
    """Both forms, each VM once."""
    page = (
        'a{vmname="one-5"} 1\nb{cmdline="x-nameguest=one-40,y"} 1\nc{vmname="one-5"} 2\nd{vmname="two-6"} 1\n'
    )
    assert vms(page) == {"5", "40"}

"""A packaged front-end below another root: systemd's units, dpkg's diversion, and all taken back."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from onext.cli import manual
from onext.install import installation, manifest
from onext.install.check import everything
from onext.install.front_end import FrontEnd

from .conftest import ME, ROOT, STOCK, packaged, tree, write

pytestmark = pytest.mark.process

SYSTEMCTL = '#!/bin/sh\necho "$*" >>{log}\n'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that tells what systemctl was asked; oned is down."""
    log = tmp_path / "systemctl.log"
    log.touch()
    write(tmp_path / "path/systemctl", SYSTEMCTL.format(log=log), 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    monkeypatch.setenv("ONE_XMLRPC", "http://127.0.0.1:1/RPC2")
    monkeypatch.delenv("ONE_LOCATION", raising=False)
    return log


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a machine with OpenNebula's packages, and dpkg's own folder."""
    root = tmp_path / "root"
    for folder in ("updates", "info"):
        (root / "var/lib/dpkg" / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    packaged(root)
    return root


@pytest.fixture
def home(root: Path, make_home: Callable[[FrontEnd, str], Path]) -> Path:
    """Return a version that runs with this checkout's own venv."""
    front_end = found(root)
    manifest.make_folder(front_end.paths.lib)
    home = make_home(front_end, "1")
    (home / "site").symlink_to(ROOT)
    (home / "venv/bin/python3").unlink()
    write(home / "venv/bin/python3", f'#!/bin/sh\nexec {ROOT}/.venv/bin/python "$@"\n', 0o755)
    return home


def found(root: Path) -> FrontEnd:
    return FrontEnd.packaged(root, code=ME, service=ME)


needs_venv = pytest.mark.skipif(
    not (ROOT / ".venv/bin/python").exists(), reason="this checkout has no .venv: make test makes it"
)
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-divert") is None, reason="no dpkg on this machine")


@needs_venv
def test_the_worker_is_a_unit(root: Path, home: Path, calls: Path) -> None:
    """Where systemd runs, it starts the worker now, after a boot and after a crash; once, not at every install."""
    assert installation.install(found(root), home) == 0
    assert calls.read_text().splitlines() == [
        "daemon-reload",
        "enable --quiet onext-worker.service",
        "restart onext-worker.service",
        "try-restart onext-exporter.service onext-gateway.service onext-edge-endpoint.service onext-edge-hub.service",
    ]
    unit = (root / "etc/systemd/system/onext-worker.service").read_text()
    assert f"ExecStart={root}/usr/bin/onext worker" in unit
    assert "Restart=always" in unit
    assert "User=oneadmin" in unit
    calls.write_text("")
    assert installation.install(found(root), home) == 0
    assert calls.read_text().splitlines() == [
        "enable --quiet onext-worker.service",
        "start onext-worker.service",
    ]


@needs_venv
@needs_dpkg
def test_dpkg_keeps_ours_and_renews_the_one_aside(root: Path, home: Path, calls: Path) -> None:
    """An upgrade of OpenNebula's package writes its migrate beside ours, and never over it."""
    front_end = found(root)
    assert front_end.dpkg
    installation.install(front_end, home)
    kvm = root / "var/lib/one/remotes/vmm/kvm"
    assert (kvm / "migrate_default").read_text() == STOCK
    place = "/var/lib/one/remotes/vmm/kvm/migrate"
    assert divert(root, "--truename", place) == f"{place}_default"
    divert(root, "--no-rename", "--remove", place)
    told = [check.message for check in everything(front_end, "") if check.name == "diversion"]
    assert told == [f"dpkg does not divert {kvm / 'migrate'}: an upgrade overwrites it"]
    installation.install(front_end, home)
    assert divert(root, "--truename", place) == f"{place}_default"
    assert (kvm / "migrate_default").read_text() == STOCK


def package(folder: Path, release: str) -> Path:
    """Build a package of OpenNebula's remotes, as dpkg installs it."""
    tree = folder / release
    write(tree / "var/lib/one/remotes/vmm/kvm/migrate", f"#!/bin/sh\n# of {release}\n", 0o755)
    write(tree / "var/lib/one/remotes/VERSION", f"{release}\n")
    control = f"Package: opennebula\nVersion: {release}\nArchitecture: all\nMaintainer: x <x@example.org>\n"
    write(tree / "DEBIAN/control", f"{control}Description: remotes\n")
    subprocess.run(["dpkg-deb", "--build", tree, f"{tree}.deb"], capture_output=True, check=True)
    return Path(f"{tree}.deb")


@needs_venv
@needs_dpkg
def test_dpkg_upgrades_opennebula_below_an_installation(
    root: Path, home: Path, calls: Path, tmp_path: Path
) -> None:
    """After 7.4.0's package live migrations would run without tunnels, or an uninstall bring 7.0.2's script back."""
    kvm, front_end = root / "var/lib/one/remotes/vmm/kvm", found(root)

    def upgrade(release: str) -> None:
        dpkg = ["dpkg", "--root", str(root), "--force-not-root", "--install", str(package(tmp_path, release))]
        done = subprocess.run(dpkg, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    upgrade("7.0.2")
    installation.install(front_end, home)
    ours = (kvm / "migrate").read_text()
    assert "of 7.0.2" in (kvm / "migrate_default").read_text()
    upgrade("7.4.0")
    assert (kvm / "migrate").read_text() == ours
    assert "of 7.4.0" in (kvm / "migrate_default").read_text()
    wrong = [c.message for c in everything(front_end, "") if c.name in ("files", "rights", "diversion")]
    assert len(wrong) == 1, wrong
    assert "as they should be" in wrong[0]
    installation.install(front_end, home)
    assert (kvm / "migrate").read_text() == ours
    installation.uninstall(front_end, tmp_path / "settings.tar.gz")
    assert "of 7.4.0" in (kvm / "migrate").read_text()
    assert not (kvm / "migrate_default").exists()


@needs_venv
def test_everything_is_taken_back(root: Path, home: Path, calls: Path, tmp_path: Path) -> None:
    """The machine is as before us: units, snippets, programs, the diversion; systemd is told."""
    before = without_dpkg(root)
    installation.install(found(root), home)
    assert without_dpkg(root) != before
    calls.write_text("")
    assert installation.uninstall(found(root), tmp_path / "settings.tar.gz") == 0
    left = without_dpkg(root)
    assert left == {name: what for name, what in before.items() if "one/onext" not in name}
    assert (
        "disable --quiet --now onext-worker.service onext-exporter.service onext-gateway.service onext-edge-endpoint.service onext-edge-hub.service"
        in calls.read_text()
    )
    assert calls.read_text().endswith("daemon-reload\n")
    assert divert(root, "--list").strip() == ""
    assert not (tmp_path / "settings.tar.gz").exists()


@needs_venv
def test_man_pages_and_completion_are_placed(root: Path, home: Path, calls: Path) -> None:
    """An administrator types `man onext-power-plan`, and Tab."""
    for folder in ("usr/share/man/man1", "usr/share/bash-completion/completions"):
        (root / folder).mkdir(parents=True)
    manual.write(home / "manual")
    installation.install(found(root), home)
    pages = {page.name for page in (root / "usr/share/man/man1").iterdir()}
    assert {"onext.1", "onext-power-plan.1", "onext-ha-status.1", "onext-doctor.1"} <= pages
    assert "_onext_completion" in (root / "usr/share/bash-completion/completions/onext").read_text()


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="no logrotate on this machine")
@needs_venv
def test_logrotate_understands_its_snippet(root: Path, home: Path, calls: Path, tmp_path: Path) -> None:
    """The log does not fill the disk: log rotation reads what we place."""
    installation.install(found(root), home)
    snippet = root / "etc/logrotate.d/onext"
    own = tmp_path / "onext.conf"
    own.write_text(snippet.read_text().replace("oneadmin", "root"))  # there is no oneadmin here
    done = subprocess.run(
        ["logrotate", "--debug", "--state", tmp_path / "state", own],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{root}/var/log/one/onext.log" in done.stderr + done.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine")
@needs_venv
def test_systemd_understands_the_unit(root: Path, home: Path, calls: Path) -> None:
    """A unit with a mistake would not start, or start without its guards."""
    installation.install(found(root), home)
    unit = root / "etc/systemd/system/onext-worker.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line and "Unknown" in line]
    assert complaints == []


def divert(root: Path, *arguments: str) -> str:
    command = ["dpkg-divert", "--root", str(root), "--local", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def without_dpkg(root: Path) -> dict[str, tuple[int, str]]:
    return {name: what for name, what in tree(root).items() if not name.startswith("var/lib/dpkg")}

"""What an administrator does with install.sh, one command after the other, on a self-contained front-end."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from onext.install import sources
from tests.lock_files import pins
from tests.waiting import PATIENCE, until

from .conftest import STOCK, Installed, copy_of

pytestmark = [pytest.mark.process, pytest.mark.timeout(1200)]

Tree = dict[str, tuple[int, int, int, str]]
MOVES = (
    "var/onext/spool",
    "var/onext/state",
    "var/onext/run",
    "var/onext/worker.alive",
    "var/onext/worker.lock",
    "var/onext.log",
)


def tree(folder: Path, *, times: bool = False) -> Tree:
    """Return every path below `folder` with its mode, owner, content and, where wanted, its time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        try:
            status = path.lstat()
            content = f"-> {path.readlink()}" if path.is_symlink() else ""
            if path.is_file() and not path.is_symlink():
                content = hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            continue  # of a worker at work: its own files come and go
        changed = status.st_mtime_ns if times else 0
        found[name] = (status.st_mode, status.st_uid * 100_000 + status.st_gid, changed, content)
    return found


def differing(left: Tree, right: Tree) -> set[str]:
    """Return the paths that are not the same in both: of whole trees nobody reads a diff."""
    return {name for name, _ in left.items() ^ right.items()}


def without_what_moves(found: Tree) -> Tree:
    """Leave out what the worker itself writes."""
    return {name: what for name, what in found.items() if not name.startswith(MOVES) and name != "var/onext"}


def test_the_command_and_the_hook_work(installed: Installed) -> None:
    """After the one command the bundle does its work, with oned down too."""
    assert "Usage" in installed.onext("--help").stdout
    hook = installed.location / "var/remotes/hooks/onext/geolocation"
    refused = subprocess.run([hook], input=b"", capture_output=True, timeout=PATIENCE, check=False)
    assert refused.returncode == 1
    assert b"no payload" in refused.stderr


def test_a_second_run_changes_nothing(installed: Installed) -> None:
    """An administrator may run it as often as he likes: no file has another content or time."""
    assert installed.install().returncode == 0  # starts the worker, which rested
    before = without_what_moves(tree(installed.location, times=True))
    again = installed.install()
    assert again.returncode == 0
    assert "nothing to change" in again.stdout
    assert not differing(without_what_moves(tree(installed.location, times=True)), before)


def test_oned_down_is_no_failure_and_is_said(installed: Installed) -> None:
    """The person learns that the hooks are left to register."""
    assert "once more to register the hooks" in installed.install().stdout


def test_sync_on_request(installed: Installed) -> None:
    """The nodes go on with the old driver until somebody thinks of `onehost sync`; one option does both."""
    tool = installed.location / "bin/onehost"
    tool.write_text('#!/bin/sh\necho "synced: $*"\n')
    tool.chmod(0o755)
    done = installed.run("--offline", str(installed.wheels), "--sync")
    tool.unlink()
    assert "synced: sync --force" in done.stdout
    assert "no credentials" in done.stderr  # which hosts have it now cannot be asked
    assert done.returncode == 1


def test_the_worker_runs_after_an_install(installed: Installed) -> None:
    """A front-end that is installed works without a further command."""
    installed.install()
    rows = json.loads(installed.run("--check", "--json").stdout)
    assert {"check": "worker", "state": "ok", "message": "runs", "remedy": ""} in rows


def test_check_names_what_differs(installed: Installed) -> None:
    """Each kind of damage is a line of its own, and the exit code is for scripts."""
    installed.install()
    whole = installed.run("--check")
    assert whole.returncode == 0, whole.stdout
    (installed.location / "bin/onext").chmod(0o777)
    (installed.location / "var/remotes/hooks/onext/geolocation").unlink()
    (installed.location / "var/remotes/vmm/kvm/migrate").write_text("#!/bin/sh\n# of the next package\n")
    (installed.location / "etc/onext.yaml").write_text("geolocation:\n  databse: /x\n")
    (installed.location / "etc/onext/bmc.yaml").write_text("1: {}\n")
    (installed.location / "etc/onext/bmc.yaml").chmod(0o644)
    checked = installed.run("--check")
    assert checked.returncode == 1
    for told in (
        "bin/onext: mode 0777 instead of 0755",
        "hooks/onext/geolocation: missing",
        "kvm/migrate: OpenNebula's own; it becomes migrate_default",
        "did you mean 'database'?",
        "bmc.yaml: others may read it",
    ):
        assert told in checked.stdout
    (installed.location / "etc/onext.yaml").unlink()
    (installed.location / "etc/onext/bmc.yaml").unlink()
    assert installed.install().returncode == 0
    mended = installed.run("--check")
    assert mended.returncode == 0, mended.stdout


def test_check_does_not_need_an_installation_to_say_so(tmp_path: Path, installed: Installed) -> None:
    """On a front-end without onext --check says that, changes nothing and fails."""
    location = tmp_path / "one"
    (location / "etc").mkdir(parents=True)
    (location / "etc/oned.conf").write_text("PORT = 2633\n")
    before = tree(location)
    checked = Installed(installed.checkout, location, installed.wheels).run("--check")
    assert checked.returncode == 1
    assert "not installed" in checked.stderr
    assert not differing(tree(location), before)


def test_no_front_end_is_said_in_one_line(tmp_path: Path, installed: Installed) -> None:
    """A wrong ONE_LOCATION is named, and nothing is made there."""
    done = Installed(installed.checkout, tmp_path / "nowhere", installed.wheels).install()
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "oned.conf" in done.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_one_line_and_nothing_changed(tmp_path: Path, installed: Installed) -> None:
    """Whoever may not install is told so at once."""
    location = tmp_path / "one"
    (location / "etc").mkdir(parents=True)
    (location / "etc/oned.conf").write_text("PORT = 2633\n")
    before = tree(location)
    readable = copy_of(installed.checkout, Path("/tmp") / f"onext-install-{os.getpid()}")
    try:
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(readable / "install.sh")],
            env={"ONE_LOCATION": str(location), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-r", str(readable)], check=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not differing(tree(location), before)


def test_killed_at_any_time_and_repaired(installed: Installed) -> None:
    """Kill -9 of the whole installation, wherever it is: the next run makes it whole."""
    whole = without_what_moves(tree(installed.location))
    chance = random.Random(2)
    for _ in range(6):
        for name in ("bin/onext", "etc/onext/biscuit-revoked", "var/remotes/hooks/onext/geolocation"):
            (installed.location / name).unlink(missing_ok=True)
        running = subprocess.Popen(
            [installed.checkout / "install.sh", "--offline", installed.wheels],
            env=installed.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.05, 1.5))
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    repaired = installed.install()
    assert repaired.returncode == 0, repaired.stderr
    assert not differing(without_what_moves(tree(installed.location)), whole)


def test_killed_while_it_builds(installed: Installed, tmp_path: Path) -> None:
    """A new version that is not finished is nothing: the old one goes on, and the rest is swept away."""
    newer = changed(installed, tmp_path, "onext/__init__.py", "# another\n")
    before = installed.current()
    running = subprocess.Popen(
        [newer / "install.sh", "--offline", installed.wheels], env=installed.env, start_new_session=True
    )
    begun = installed.lib / "versions"
    until(lambda: any(path.name.startswith(".") for path in begun.iterdir()), "the beginning of a version")
    time.sleep(2.0)  # a version takes many times as long
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert installed.current() == before
    assert installed.onext("--version").returncode == 0

    def swept() -> bool:
        assert installed.install().returncode == 0
        return [path.name for path in (installed.lib / "versions").iterdir()] == [before]

    until(swept, "the end of what its pip, which lives on for a while, writes", 300)


def changed(installed: Installed, tmp_path: Path, file: str, text: str) -> Path:
    """Return another checkout, with one file that begins otherwise."""
    other = copy_of(installed.checkout, tmp_path / "other")
    (other / file).write_text(text + (other / file).read_text())
    return other


def test_upgrade_and_rollback(installed: Installed, tmp_path: Path) -> None:
    """A new version takes over with the settings kept; one command goes back to the one before."""
    (installed.location / "etc/onext.yaml").write_text("geolocation:\n  ssh_timeout: 7\n")
    other = changed(installed, tmp_path, "hooks/host-monitored.hook", "# a newer one\n")
    before = installed.current()
    upgraded = installed.install(other)
    assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr
    after = installed.current()
    assert f"in place of {before}" in upgraded.stdout
    assert "ssh_timeout: 7" in (installed.location / "etc/onext.yaml").read_text()
    assert installed.run("--rollback").returncode == 0
    assert installed.current() == before
    assert installed.run("--rollback").returncode == 0
    assert installed.current() == after
    assert {path.name for path in (installed.lib / "versions").iterdir()} == {before, after}


def made_of(installed: Installed, other: Path, file: str) -> None:
    """Make the version of another checkout from the one that is there: the packages are the same."""
    home = installed.lib / "versions" / sources.version(other)
    shutil.copytree(installed.lib / "current", home, symlinks=True, copy_function=os.link)
    (home / "parts" / file).unlink()
    shutil.copy(other / file, home / "parts" / file)


def test_packages_that_are_not_there_leave_the_old_version(installed: Installed, tmp_path: Path) -> None:
    """An upgrade that pip cannot finish changes nothing on the front-end."""
    other = copy_of(installed.checkout, tmp_path / "other")
    lock = other / "locks/frontend.txt"
    lock.write_text(lock.read_text() + f"no-such-package-anywhere==1 --hash=sha256:{'0' * 64}\n")
    before = without_what_moves(tree(installed.location))
    failed = installed.install(other)
    assert failed.returncode == 1
    assert "nothing was changed" in failed.stderr
    assert not differing(without_what_moves(tree(installed.location)), before)


def test_a_wrong_hash_leaves_the_old_version(installed: Installed, tmp_path: Path) -> None:
    """A wheel that was replaced on its way would run as root on a front-end."""
    other = copy_of(installed.checkout, tmp_path / "other")
    lock = other / "locks/frontend.txt"
    known = re.search(r"^click==.*(?:\n +--hash=sha256:[0-9a-f]{64}.*)+", lock.read_text(), re.MULTILINE)
    assert known is not None
    wrong = re.sub(r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", known.group())
    lock.write_text(lock.read_text().replace(known.group(), wrong))
    before, version = without_what_moves(tree(installed.location)), installed.current()
    failed = installed.install(other)
    assert failed.returncode == 1
    assert "Expected sha256 " + "0" * 64 in failed.stderr
    assert "nothing was changed" in failed.stderr
    assert installed.current() == version
    assert not differing(without_what_moves(tree(installed.location)), before)


def test_what_is_installed_is_what_is_locked(installed: Installed) -> None:
    """Two servers of a zone would run other packages under the same version."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    venv = installed.lib / "current/venv"
    freeze = [str(venv / "bin/python3"), "-I", "-m", "pip", "--disable-pip-version-check", "freeze", "--all"]
    done = subprocess.run(freeze, capture_output=True, text=True, timeout=PATIENCE, check=True)
    found = dict(line.lower().split("==") for line in done.stdout.splitlines() if "==" in line)
    found = {canonicalize_name(name): version for name, version in found.items()}
    found.pop("pip"), found.pop("onext", "")
    assert found == pins("frontend", python)


def test_a_version_that_does_not_work_goes_back_by_itself(installed: Installed, tmp_path: Path) -> None:
    """An upgrade whose hooks do not start is undone: every file is the old version's again, and it works."""
    before, version = without_what_moves(tree(installed.location)), installed.current()
    other = copy_of(installed.checkout, tmp_path / "other")
    hook = other / "hooks/hook"
    hook.write_text(hook.read_text().replace("os._exit(hook(", "raise SystemExit(3)\nos._exit(hook("))
    made_of(installed, other, "hooks/hook")
    failed = installed.install(other)
    assert failed.returncode == 1
    assert "does not start" in failed.stderr
    assert f"back to {version}" in failed.stderr
    assert installed.current() == version
    assert not differing(without_what_moves(tree(installed.location)), before)
    assert installed.onext("--version").returncode == 0


def test_settings_that_the_new_version_refuses(installed: Installed) -> None:
    """A mistake in the settings is named with its line before anything is touched."""
    (installed.location / "etc/onext.yaml").write_text("geolocation:\n  databse: /x\n")
    before = without_what_moves(tree(installed.location))
    failed = installed.install()
    assert failed.returncode == 1
    assert "onext.yaml:2: geolocation.databse" in failed.stderr
    assert not differing(without_what_moves(tree(installed.location)), before)


def test_uninstall_leaves_it_as_it_was(installed: Installed, tmp_path: Path) -> None:
    """Byte for byte, rights too, with a worker that ran; what a person changed is in the archive."""
    installed.install()
    (installed.location / "etc/onext.yaml").write_text("geolocation: {}\n")
    archive = tmp_path / "settings.tar.gz"
    hold = installed.lib / "versions" / installed.current()
    hold.replace(installed.location.with_name("version"))  # the other tests need it
    (installed.lib / "versions" / hold.name).symlink_to(installed.location.with_name("version"))
    gone = installed.run("--uninstall", "--backup", str(archive))
    before = installed.location.with_name("before")
    left = tree(installed.location)
    hold.parent.mkdir(parents=True)
    installed.location.with_name("version").replace(hold)
    assert gone.returncode == 0, gone.stderr
    assert not differing(left, tree(before))
    assert (installed.location / "var/remotes/vmm/kvm/migrate").read_text() == STOCK
    listed = subprocess.run(["tar", "tzf", str(archive)], capture_output=True, text=True, check=True).stdout
    assert listed.split() == [str(installed.location / "etc/onext.yaml").lstrip("/")]
    assert "onehook delete" in gone.stdout


def test_S13_killed_after_the_first_file_was_placed(installed: Installed) -> None:
    """Power is lost between two files: the next run makes it whole, and so does a rollback's refusal change nothing."""
    whole = without_what_moves(tree(installed.location))
    placed = installed.location / "bin/onext"
    hook = installed.location / "var/remotes/hooks/onext/hook"
    for path in (placed, *hook.parent.iterdir()):
        path.unlink()
    running = subprocess.Popen(
        [installed.checkout / "install.sh", "--offline", installed.wheels],
        env=installed.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(placed.exists, "the first file")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert installed.run("--rollback").returncode == 1  # no previous version
    repaired = installed.install()
    assert repaired.returncode == 0, repaired.stderr
    assert not differing(without_what_moves(tree(installed.location)), whole)


def test_S7_a_lock_that_another_user_may_hold_blocks_nothing(installed: Installed) -> None:
    """Any local user could keep root from installing by a lock on a file that all may read."""
    folder = installed.lib / "locked"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "install").stat().st_mode & 0o777 == 0o600


def test_a_dry_run_changes_nothing(installed: Installed) -> None:
    """An administrator sees every file and hook before the first one is touched."""
    (installed.location / "bin/onext").unlink()
    before = without_what_moves(tree(installed.location))
    shown = installed.run("--offline", str(installed.wheels), "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "write   " + str(installed.location / "bin/onext") + ": missing" in shown.stdout
    assert "an uninstall" not in shown.stdout
    gone = installed.run("--uninstall", "--dry-run")
    assert "removes " in gone.stdout
    assert not differing(without_what_moves(tree(installed.location)), before)


def test_configure_does_not_report_itself_as_left(installed: Installed) -> None:
    """After `--configure` the last line must not tell the administrator to run `--configure`."""
    done = installed.run("--offline", str(installed.wheels), "--configure", "--yes")
    assert done.returncode == 0, done.stderr
    assert "./install.sh --configure" not in done.stdout
    assert "oned.conf: changed" in done.stdout

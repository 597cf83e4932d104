"""The virsh and rsync that OpenNebula's own migrate finds, as processes, with programs that play libvirt's."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import location, refcount, virsh, virsh_wrapper, wrapper_files
from drivers.vmm.migrate.onext_migrate.virsh import Job, State
from drivers.vmm.migrate.onext_migrate.virsh_options import Tunnel, Wishes
from drivers.vmm.migrate.onext_migrate.wrapper_files import Order, Report
from tests.waiting import PATIENCE

DRIVER = Path(__file__).parents[4] / "drivers/vmm/migrate/onext_migrate"
SHIM = DRIVER / "bin"
LOCAL, REMOTE = "qemu:///system", "qemu+ssh://node-b/system"
pytestmark = pytest.mark.process

# Answers from files: migrate does what `migrate` tells, domstate what `here` and `there` tell
VIRSH = """#!/bin/sh
cd {folder}
echo "$*" >>calls
case "$*" in *domstate*) case $2 in {remote}) file=there ;; *) file=here ;; esac
    state=$(cat $file)
    [ "$state" = absent ] && {{ echo "error: failed to get domain" >&2; exit 1; }}
    [ "$state" = unknown ] && {{ echo "error: failed to connect" >&2; exit 1; }}
    echo "$state"; exit 0 ;;
*domjobinfo*) echo "Job type: None"; exit 0 ;;
*domblklist*) printf ' Target Source\\n----\\n vda %s\\n' "$PWD/disk"; exit 0 ;;
*" migrate "*) . ./migrate ;;
esac
"""


class Node:
    """A source hypervisor whose programs are played."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real = folder / "real"
        self.real.mkdir()
        self._program("virsh", VIRSH.format(folder=folder, remote=REMOTE))
        self._program("qemu-img", '#!/bin/sh\necho \'{"snapshots": [{"id": "1"}]}\'\n')
        self.set("here", "running")
        self.set("there", "absent")
        self.set("migrate", "exit 0\n")
        self.set("disk", "")

    def _program(self, name: str, text: str) -> None:
        (self.real / name).write_text(text)
        (self.real / name).chmod(0o755)

    def set(self, name: str, text: str) -> None:
        """Write a file that the played virsh reads."""
        (self.folder / name).write_text(text)

    def order(self, *, driver: int = 0, shared: bool = True, kvmrc: str = "") -> str:
        """Write the driver's order; return its folder."""
        driver = driver or os.getpid()
        start = wrapper_files.process_start(driver)
        tunnel = Tunnel("tcp://[fe80::1%oxt0]", "fe80::1%oxt0", "node-b")
        return wrapper_files.create(Order(driver, start, LOCAL, shared, kvmrc, Wishes(postcopy=True), tunnel))

    def start(self, order: str, script: str) -> "subprocess.Popen[str]":
        """Start what plays OpenNebula's script, in a session of its own as the driver does."""
        env = {
            "PATH": f"{SHIM}:{self.real}:/usr/bin:/bin",
            "ONEXT_SHIM": str(SHIM),
            "ONEXT_MIGRATION": order,
        }
        return subprocess.Popen(
            ["bash", "-c", script],
            env=env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, order: str, script: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        process = self.start(order, script)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(script, process.returncode, stdout, stderr)

    @property
    def calls(self) -> list[str]:
        """Return the command lines of the played virsh."""
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """Return a node, with a folder of locks of its own."""
    monkeypatch.setattr(refcount, "FOLDER", str(tmp_path / "locks"))
    yield Node(tmp_path)
    shutil.rmtree(tmp_path / "locks", ignore_errors=True)


# What OpenNebula 7.4 does: on any failure it destroys the VM on the destination, then deletes its folder
SCRIPT = f"""
virsh --connect {LOCAL} migrate --live one-1 {REMOTE}
status=$?
if [ $status -ne 0 ]; then
    virsh --connect {REMOTE} destroy one-1
    echo deleted >>removed
fi
echo "status $status"
exit $status
"""


def test_the_tunnel_reaches_virsh(node: Node) -> None:
    """The environment's MIGRATE_OPTIONS is overwritten by kvmrc's: only the command line is safe."""
    done = node.run(order := node.order(), SCRIPT)
    assert done.stdout == "status 0\n", done.stderr
    assert node.calls[-1] == (
        f"--connect {LOCAL} migrate --live --postcopy --migrateuri tcp://[fe80::1%oxt0]"
        f" --listen-address fe80::1%oxt0 one-1 {REMOTE}"
    )
    assert wrapper_files.read_report(order) == Report(called=True, postcopy=True, notes=(), snapshots=False)


def test_other_commands_pass(node: Node) -> None:
    """Dozens of them in one migration: none may change."""
    done = node.run(node.order(), f"virsh -c {LOCAL} domstate one-1; virsh --connect {LOCAL} destroy one-2")
    assert done.stdout == "running\n"
    assert node.calls == [f"-c {LOCAL} domstate one-1", f"--connect {LOCAL} destroy one-2"]


ARRIVED = "echo absent >here; echo running >there\n"


@pytest.mark.parametrize(
    "end", ["kill -9 $$\n", "kill -15 $$\n", "exit 1\n", "echo 'error: operation failed' >&2; exit 1\n"]
)
def test_A2_a_vm_that_arrived_is_not_destroyed(node: Node, end: str) -> None:
    """The command died at the moment of arrival: the VM was destroyed on the destination, and gone from both hosts."""
    node.set("migrate", ARRIVED + end)
    done = node.run(order := node.order(), SCRIPT)
    assert done.stdout == "status 0\n", done.stderr
    assert not any("destroy" in call for call in node.calls)
    assert "the VM has arrived" in wrapper_files.read_report(order).notes[0]


def test_A2_a_vm_that_stayed_is_cleaned_up_after(node: Node) -> None:
    """What a failed migration left on the destination prevents the next one."""
    node.set("migrate", "exit 3\n")
    done = node.run(node.order(), SCRIPT)
    assert done.stdout == "status 3\n"
    assert f"--connect {REMOTE} destroy one-1" in node.calls


@pytest.mark.parametrize(("here", "there"), [("absent", "absent"), ("paused (post-copy failed)", "running")])
def test_A2_in_doubt_nothing_is_removed(node: Node, here: str, there: str) -> None:
    """What is on the destination may be the only copy: OpenNebula's script ends before it deletes anything."""
    node.set("migrate", f"echo '{here}' >here; echo '{there}' >there; exit 1\n")
    done = node.run(order := node.order(), SCRIPT)
    assert done.returncode == -signal.SIGKILL
    assert not (node.folder / "removed").exists()
    assert not any("destroy" in call for call in node.calls)
    assert wrapper_files.read_report(order).unsettled.startswith("virsh migrate ended with 1; source:")


@pytest.mark.parametrize(("here", "there"), [("absent", "running"), ("absent", "absent")])
def test_A2_a_full_disk_changes_nothing(node: Node, here: str, there: str) -> None:
    """What cannot be written down must not make OpenNebula's script delete what has arrived."""
    full = "rm -rf locks/run-*/report*; chmod a-w locks/run-*; " if os.geteuid() else ""
    full = full or 'for one in locks/run-*; do rm -f "$one/report"; mkdir "$one/report"; done; '
    node.set("migrate", f"{full}echo {here} >here; echo {there} >there; exit 1\n")
    done = node.run(node.order(), SCRIPT)
    assert not (node.folder / "removed").exists()
    assert not any("destroy" in call for call in node.calls)
    assert done.returncode == (0 if there == "running" else -signal.SIGKILL)


@pytest.mark.parametrize("arrives", [True, False])
def test_A2_with_the_wrapper_killed_as_well(node: Node, arrives: bool) -> None:
    """A kill by name hits both: OpenNebula's script then destroys by itself, unless the VM is there."""
    node.set("migrate", "echo $$ >pid; " + (ARRIVED if arrives else "") + "touch started; exec sleep 600\n")
    process = node.start(order := node.order(), SCRIPT)
    end = time.monotonic() + PATIENCE
    while not (node.folder / "started").exists() and time.monotonic() < end:
        time.sleep(0.01)
    virsh = int((node.folder / "pid").read_text())
    wrapper = int(Path(f"/proc/{virsh}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(wrapper, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    while Path(f"/proc/{virsh}").exists() and time.monotonic() < end:
        time.sleep(0.01)
    if Path(f"/proc/{virsh}").exists():
        os.kill(virsh, signal.SIGKILL)
        pytest.fail("virsh does not end with its wrapper")
    assert (node.folder / "removed").exists() == (not arrives)
    assert any("destroy" in call for call in node.calls) == (not arrives)
    assert bool(wrapper_files.read_report(order).unsettled) == arrives


def test_A1_a_refused_combination_starts_nothing(node: Node) -> None:
    """The reason is in the VM's log, and the VM where it was."""
    kvmrc = "--parallel --postcopy"
    order = node.order(kvmrc=kvmrc)
    done = node.run(order, f"virsh --connect {LOCAL} migrate --live {kvmrc} one-1 {REMOTE}")
    assert done.returncode == 1
    assert "lose the VM" in done.stderr
    assert "lose the VM" in wrapper_files.read_report(order).refused
    assert not (node.folder / "calls").exists()


def test_A3_disks_with_snapshots_are_remembered(node: Node) -> None:
    """Whether the source has something that the destination lacks decides about the exit code later."""
    node.run(order := node.order(shared=False), SCRIPT)
    assert wrapper_files.read_report(order).snapshots is True


def test_no_migration_begins_after_the_driver_died(node: Node) -> None:
    """An orphan that went on would move the VM to where OpenNebula does not look for it."""
    with subprocess.Popen(["sleep", "60"]) as driver:
        order = node.order(driver=driver.pid)
        driver.kill()
    done = node.run(order, f"virsh --connect {LOCAL} migrate --live one-1 {REMOTE}")
    assert done.returncode == 1
    assert "the migrate driver is gone" in done.stderr


@pytest.mark.parametrize(("failures", "code"), [(0, 0), (1, 0), (9, 12)])
def test_A3_a_copy_that_fails_is_repeated(node: Node, failures: int, code: int) -> None:
    """The copy after the migration has the only snapshots: a moment of bad network must not leave them behind."""
    node._program(
        "rsync",
        f'#!/bin/sh\necho "$*" >>{node.folder}/copies\n[ $(wc -l <{node.folder}/copies) -gt {failures} ] || exit 12\n',
    )
    node._program("sleep", "#!/bin/sh\nexit 0\n")
    done = node.run(node.order(), "rsync -az 'a b' node-b:/x/")
    assert done.returncode == code
    copies = (node.folder / "copies").read_text().splitlines()
    assert copies == ["-az a b node-b:/x/"] * (min(failures, 3) + 1)


def test_what_killed_drivers_left_is_removed(node: Node) -> None:
    """A folder for each migration whose driver was killed would fill the node's disk."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    kept, left = node.order(), node.order(driver=gone.pid)
    wrapper_files.reap()
    assert (Path(kept).exists(), Path(left).exists()) == (True, False)


@pytest.mark.parametrize("text", ["", "[]", '{"called": true}', '{"notes": [], "x": 1}', "\x00"])
def test_a_report_that_is_cut_is_none(tmp_path: Path, text: str) -> None:
    """The wrapper may be killed at any point."""
    (tmp_path / "report").write_text(text)
    assert wrapper_files.read_report(str(tmp_path)) == Report()


def test_the_report_comes_back_as_written(tmp_path: Path) -> None:
    """Each field decides about a VM."""
    report = Report(True, True, ("a", "b"), "c", True, "d")
    wrapper_files.write_report(str(tmp_path), report)
    assert wrapper_files.read_report(str(tmp_path)) == report
    assert json.loads((tmp_path / "report").read_text())["snapshots"] is True


@pytest.mark.parametrize(
    ("source", "shown", "remembered"),
    [
        ("disk.0", '{"snapshots": [{"id": "1"}]}', True),
        ("a disk with blanks", '{"snapshots": [{"id": "1"}]}', True),
        ("disk.0", '{"format": "raw"}', False),
        ("-", "no image", False),
        ("disk.0", "no JSON", True),
    ],
)
def test_A3_each_disk_of_the_list_is_examined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, shown: str, remembered: bool
) -> None:
    """OpenNebula deletes the source folder after a copy that fails, with the only snapshot in it."""
    path = tmp_path / source
    if source != "-":
        path.write_bytes(b"")
    listed = (
        f" Target   Source\n------------\n vda      {path if source != '-' else '-'}\n sda      -\n odd\n\n"
    )
    asked: list[str] = []

    def run(argv: list[str], **_: object) -> SimpleNamespace:
        asked.append(argv[-1])
        return SimpleNamespace(stdout=listed if argv[0] == "virsh" else shown)

    monkeypatch.setattr(virsh_wrapper, "run", run)
    assert virsh_wrapper._disks_with_snapshots("one-1", "qemu:///system") is remembered
    assert asked == ["one-1", *([str(path)] if source != "-" else [])]


def test_the_words_before_and_after_the_command_are_kept_apart() -> None:
    """The wrapper would miss a migration behind --connect, and let it go in clear."""
    call = virsh_wrapper.read_call(["--connect", "qemu:///system", "-q", "migrate", "--live", "one-1", "uri"])
    assert (call.before, call.command, call.words) == (
        ["--connect", "qemu:///system", "-q"], "migrate", ["--live", "one-1", "uri"],
    )  # fmt: skip
    assert virsh_wrapper.read_call(["-q"]) == (["-q"], "", [])


@pytest.mark.parametrize(
    ("driver", "killed"), [("of our group", ["parent"]), ("elsewhere", ["group", "parent"])]
)
def test_A2_the_driver_is_not_ended_with_the_script(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: str, killed: list[str]
) -> None:
    """It has to ask where the VM is, and tell OpenNebula; the script has to end before it deletes anything."""
    did: list[str] = []
    kill = os.kill

    def record(process: int, number: int) -> None:
        if process == os.getppid():
            did.append("parent" if number == signal.SIGKILL else "asked")
        else:
            kill(process, number)

    monkeypatch.setattr(os, "kill", record)
    monkeypatch.setattr(os, "killpg", lambda *words: did.append("group") if words == (0, 9) else None)
    with subprocess.Popen(["sleep", "60"], start_new_session=driver == "elsewhere") as process:
        assert virsh_wrapper._prevent_cleanup(str(tmp_path), process.pid, "why") == 1
        process.kill()
    assert did == killed
    assert wrapper_files.read_report(str(tmp_path)).unsettled == "why"
    assert virsh_wrapper._prevent_cleanup(str(tmp_path), process.pid, "gone") == 1
    assert did == [*killed, "group", "parent"]


@pytest.mark.parametrize(
    ("words", "uri"),
    [
        (["-c", "qemu:///system"], "qemu:///system"),
        (["--connect", "qemu:///system"], "qemu:///system"),
        (["-q", "--connect=qemu:///system?a=b"], "qemu:///system?a=b"),
        (["--connect"], ""),
        (["-q"], ""),
        ([], ""),
    ],
)
def test_A2_which_host_a_command_is_for(words: list[str], uri: str) -> None:
    """A destroy on the destination that is taken for one on the source is not examined."""
    assert virsh_wrapper.Call(words, "destroy", ["one-1"]).uri == uri


def test_where_the_VM_is_decides_what_the_script_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's number is no exit code: OpenNebula's script takes 0 for a success."""
    order = Order(
        os.getpid(),
        wrapper_files.process_start(os.getpid()),
        LOCAL,
        True,
        "",
        Wishes(),
        Tunnel("a", "b", "c"),
    )
    monkeypatch.setattr(wrapper_files, "write_report", lambda *_: None)
    stayed = location.Location(location.HERE, State("running", ""), State("absent", ""))
    monkeypatch.setattr(virsh_wrapper, "_settle", lambda *_: stayed)
    for code, expected in ((-9, 1), (-1, 1), (1, 1), (2, 2)):
        monkeypatch.setattr(virsh_wrapper, "_run", lambda _, code=code: code)
        call = virsh_wrapper.Call([], "migrate", ["--live", "one-1", REMOTE])
        assert virsh_wrapper._migrate("x", order, call) == expected


@pytest.mark.parametrize(
    ("job", "goes_on"), [(None, True), (Job(active=True), True), (Job(active=False), False)]
)
def test_A2_a_job_that_may_go_on_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, job: Job | None, goes_on: bool
) -> None:
    """A VM that "stays here" while libvirt still migrates lets OpenNebula destroy what arrives a moment later."""

    def settle(states: Any, active: Any, seconds: float) -> str:
        assert (states(), active(), seconds) == ((LOCAL, REMOTE), goes_on, 60)
        return "settled"

    monkeypatch.setattr(virsh, "state", lambda _, uri: uri)
    monkeypatch.setattr(virsh, "job", lambda *_: job)
    monkeypatch.setattr(location, "settle", settle)
    assert virsh_wrapper._settle("one-1", LOCAL, REMOTE) == "settled"  # type: ignore[comparison-overlap]

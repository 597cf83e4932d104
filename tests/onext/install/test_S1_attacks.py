"""Root installs, upgrades and uninstalls while oneadmin redirects every path that it may write.

oneadmin is played by `nobody`, a real account of this machine: the kernel decides, as on a front-end.
"""

import ctypes
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from onext.install import apply_changes, configure, installation, manifest, removal
from onext.install.front_end import FrontEnd, InstallError, Owner
from onext.install.manifest import Manifest
from onext.install.manifest_entries import wanted
from onext.install.plan_changes import plan
from onext.install.safe_files import SafeFiles
from onext.install.terminal import say
from onext.paths import Paths

from .conftest import STOCK, write

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be attacked"),
]
ONEADMIN = Owner(65534, 65534)
MakeHome = Callable[[FrontEnd, str], Path]
# Every folder that a path of the installation passes below what oneadmin may write.
CONTROLLED = (
    "var/lib/one/remotes",
    "var/lib/one/remotes/auth",
    "var/lib/one/remotes/auth/biscuit",
    "var/lib/one/remotes/etc",
    "var/lib/one/remotes/etc/vmm",
    "var/lib/one/remotes/etc/vmm/kvm",
    "var/lib/one/remotes/hooks",
    "var/lib/one/remotes/hooks/onext",
    "var/lib/one/remotes/im",
    "var/lib/one/remotes/im/kvm-probes.d/host/system",
    "var/lib/one/remotes/vmm",
    "var/lib/one/remotes/vmm/kvm",
    "var/lib/one/remotes/vmm/kvm/onext_migrate",
    "var/lib/one/onext",
    "var/lib/one/onext/spool",
    "var/lib/one/onext/targets",
    "run/onext/metrics",
)


@dataclass
class Scene:
    """A packaged front-end whose oneadmin is hostile, and a folder of root's that must stay as it is."""

    root: Path
    front_end: FrontEnd
    victim: Path

    def install(self, home: Path) -> None:
        front_end = self.front_end
        entries, known = wanted(front_end, home), Manifest.load(front_end.paths.lib)
        apply_changes.sweep(known, front_end)
        steps = plan(entries, apply_changes.inspect_all(entries, known, front_end.files), known)
        apply_changes.carry_out(steps, entries, front_end)

    def uninstall(self) -> None:
        known = Manifest.load(self.front_end.paths.lib)
        removal.require_safe_paths(known, self.front_end)
        removal.persons_work(known, self.front_end)
        apply_changes.sweep(known, self.front_end)
        removal.remove_all(known, self.front_end)

    def state(self) -> dict[str, tuple[int, int, int, int, bytes]]:
        """Return everything below the victim: rights, owners, links, content."""
        found = {}
        for path in [self.victim, *sorted(self.victim.rglob("*"))]:
            s = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, content)
        return found


@pytest.fixture
def scene() -> Iterator[Scene]:
    root = Path(tempfile.mkdtemp(prefix="onext-attack-"))
    root.chmod(0o755)  # oneadmin's own processes reach it by its name
    for folder in ("etc/systemd/system", "etc/logrotate.d", "etc/one", "usr/bin", "usr/lib/one", "run"):
        (root / folder).mkdir(parents=True)
    write(root / "etc/one/oned.conf", "PORT = 2633\n", 0o640)
    remotes = root / "var/lib/one/remotes"
    write(remotes / "vmm/kvm/migrate", STOCK, 0o755)
    for folder in ("hooks/ft", "auth/ssh", "etc/vmm/kvm", "im/kvm-probes.d/host/system"):
        (remotes / folder).mkdir(parents=True)
    (root / "var/log/one").mkdir(parents=True)
    for top in ("var/lib/one", "var/log/one"):
        for path in [root / top, *(root / top).rglob("*")]:
            os.chown(path, ONEADMIN.uid, ONEADMIN.gid)
    victim = root / "victim"
    for name in ("migrate", "onext-migrate.conf", "authenticate", "geolocation", "spool/incoming/x"):
        write(victim / name, f"root's {name}\n", 0o600)
    front_end = FrontEnd.packaged(root, code=Owner(0, 0), service=ONEADMIN)
    manifest.make_folder(front_end.paths.lib)
    yield Scene(root, front_end, victim)
    shutil.rmtree(root)


@pytest.fixture
def home(scene: Scene, make_home: MakeHome) -> Path:
    return make_home(scene.front_end, "1")


def redirected(folder: Path, target: Path) -> None:
    """Put a link of oneadmin's where a folder was, which stays beside it."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        os.chown(parent, ONEADMIN.uid, ONEADMIN.gid)
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.aside"))
    folder.symlink_to(target)
    os.chown(folder, ONEADMIN.uid, ONEADMIN.gid, follow_symlinks=False)


@pytest.mark.parametrize("component", CONTROLLED[:7] + CONTROLLED[8:12] + CONTROLLED[13:16])
def test_S1_install_refuses_a_link_at_any_component(scene: Scene, home: Path, component: str) -> None:
    """OpenNebula's account would own files in /etc after root's next ./install.sh."""
    redirected(scene.root / component, scene.victim)
    before = scene.state()
    with pytest.raises(InstallError, match=r"link .*root does not follow it|is a link: move it away"):
        scene.install(home)
    assert scene.state() == before


@pytest.mark.parametrize("component", CONTROLLED)
def test_S1_uninstall_never_deletes_through_a_link(scene: Scene, home: Path, component: str) -> None:
    """Root's uninstall would remove /var/spool, or whatever folder a link of oneadmin's leads to."""
    scene.install(home)
    redirected(scene.root / component, scene.victim)
    before, folder = scene.state(), scene.root / component
    outcome = attempt(scene.uninstall)
    assert scene.state() == before
    if outcome == "done":  # the link itself went with the folder that it was in
        assert not folder.is_symlink() or component.startswith("run")
        return
    folder.unlink()
    folder.with_name(f"{folder.name}.aside").rename(folder)
    scene.uninstall()  # once the link is gone
    assert not list(scene.root.glob("var/lib/one/onext"))


@pytest.mark.parametrize("component", CONTROLLED)
def test_S1_an_upgrade_refuses_a_link_at_any_component(
    scene: Scene, home: Path, make_home: MakeHome, component: str
) -> None:
    """The second installation is as dangerous as the first: oneadmin had time to prepare."""
    scene.install(home)
    redirected(scene.root / component, scene.victim)
    before = scene.state()
    with pytest.raises(InstallError, match=r"root does not follow it|is a link: move it away"):
        scene.install(make_home(scene.front_end, "2"))
    assert scene.state() == before


def test_S1_what_oneadmin_may_replace_is_oneadmins(scene: Scene, home: Path) -> None:
    """Root has nothing to do below oneadmin's folders: no file of root's is there to be given away."""
    scene.install(home)
    for top in ("var/lib/one", "var/log/one", "run/onext"):
        for path in (scene.root / top).rglob("*"):
            found = path.lstat()
            assert (found.st_uid, found.st_gid) == (ONEADMIN.uid, ONEADMIN.gid), path
    assert (scene.root / "usr/bin/onext").stat().st_uid == 0
    assert (scene.root / "etc/one/onext.yaml").stat().st_uid == 0


def test_S1_hard_links_are_replaced_not_changed(scene: Scene, home: Path) -> None:
    """A second name of /etc/shadow where a file of oneadmin's belongs would be given to oneadmin."""
    before = scene.state()
    for name in (
        "var/log/one/onext.log",
        "var/lib/one/remotes/etc/vmm/kvm/onext-migrate.conf",
        "var/lib/one/remotes/etc/vmm/kvm/onext-clusters.conf",
        "var/lib/one/remotes/hooks/onext/geolocation",
    ):
        (scene.root / name).parent.mkdir(exist_ok=True)
        os.chown((scene.root / name).parent, ONEADMIN.uid, ONEADMIN.gid)
        os.link(scene.victim / "migrate", scene.root / name)
    with pytest.raises(InstallError, match=r"belongs to root, in a folder that nobody may change"):
        scene.install(home)
    now = scene.state()
    assert {name: what[:3] for name, what in now.items()} == {name: what[:3] for name, what in before.items()}
    assert (scene.victim / "migrate").read_text() == "root's migrate\n"


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_S1_special_files_neither_block_nor_are_followed(scene: Scene, home: Path, kind: str) -> None:
    """A FIFO where a file belongs would block root's installation until somebody writes to it."""
    for name in ("onext-migrate.conf", "onext-clusters.conf"):
        path = scene.root / "var/lib/one/remotes/etc/vmm/kvm" / name
        if kind == "fifo":
            os.mkfifo(path)
        else:
            made = socket.socket(socket.AF_UNIX)
            made.bind(str(path))
            made.close()
        os.chown(path, ONEADMIN.uid, ONEADMIN.gid)
    prometheus = scene.root / "etc/one/prometheus"
    prometheus.mkdir()
    os.mkfifo(prometheus / "rules.yml")
    os.mkfifo(prometheus / "prometheus.yml")
    os.chown(prometheus, ONEADMIN.uid, ONEADMIN.gid)
    with pytest.raises(InstallError, match="special file: move it away"):
        scene.install(home)


def test_S1_a_parent_of_another_account_is_refused(scene: Scene, home: Path) -> None:
    """A folder of a third account is a mistake or an attack: root says whose it is instead of using it."""
    os.chown(scene.root / "var/lib/one/remotes/hooks", 2, 2)
    with pytest.raises(InstallError, match=r"remotes/hooks belongs to bin: expected root or nobody"):
        scene.install(home)


def test_S1_a_parent_that_every_user_may_write_is_refused(scene: Scene, home: Path) -> None:
    """What anybody may replace cannot be installed into, whoever owns it."""
    (scene.root / "var/lib/one/remotes/hooks").chmod(0o777)
    with pytest.raises(InstallError, match="every user may write there"):
        scene.install(home)


def test_S1_programs_of_root_stay_in_folders_of_root(scene: Scene) -> None:
    """Root runs what is in /usr/lib/one/onext: an installation into a folder of oneadmin's is refused."""
    os.chown(scene.root / "usr/lib/one", ONEADMIN.uid, ONEADMIN.gid)
    with pytest.raises(InstallError, match="usr/lib/one/onext: nobody may change it or a folder above"):
        scene.front_end.require_rights()


def test_S1_a_link_of_roots_is_followed(scene: Scene, home: Path) -> None:
    """Administrators move /var/lib/one to another disk and leave a link: that is not an attack."""
    disk = scene.root / "disk"
    (scene.root / "var/lib/one").rename(disk)
    (scene.root / "var/lib/one").symlink_to("../../disk")
    scene.install(home)
    assert (disk / "remotes/hooks/onext").is_dir()
    scene.uninstall()
    assert not (disk / "remotes/hooks/onext").exists()


def test_S1_folders_of_the_version_before_change_hands(scene: Scene, home: Path) -> None:
    """The version before left folders of root's in the remotes: the upgrade must not fail on them."""
    scene.install(home)
    folder = scene.root / "var/lib/one/remotes/hooks/onext"
    for path in (folder, *folder.iterdir()):
        os.chown(path, 0, ONEADMIN.gid)
    scene.install(home)
    assert {path.stat().st_uid for path in (folder, *folder.iterdir())} == {ONEADMIN.uid}
    for path in (folder, *folder.iterdir()):
        os.chown(path, 0, ONEADMIN.gid)
    scene.uninstall()
    assert not folder.exists()


def test_S1_only_what_an_installation_placed_changes_hands(scene: Scene, home: Path) -> None:
    """A folder of root's that oneadmin moved to our place would be given to oneadmin, secrets and all."""
    scene.install(home)
    folder = scene.root / "var/lib/one/remotes/hooks/onext"
    folder.rename(folder.with_name("aside"))
    write(folder / "secret", "root's own\n", 0o600)
    (folder / "secret").chmod(0o600)
    with pytest.raises(InstallError, match="belongs to root"):
        scene.install(home)
    assert folder.stat().st_uid == 0
    assert (folder / "secret").stat().st_uid == 0


def swapper(left: Path, right: Path, gate: int) -> int:
    """Start a process of oneadmin's that exchanges two names without a pause; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setgid(ONEADMIN.gid)
        os.setgroups([])
        os.setuid(ONEADMIN.uid)
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
        names = (os.fsencode(left), os.fsencode(right))
        os.write(gate, b"x")
        while True:
            exchange(-100, names[0], -100, names[1], 2)  # AT_FDCWD, RENAME_EXCHANGE
    finally:
        os._exit(1)


@pytest.mark.parametrize("depth", ["remotes", "remotes/etc", "remotes/etc/vmm", "remotes/etc/vmm/kvm"])
def test_S1_swapped_while_root_is_at_work(scene: Scene, depth: str) -> None:
    """A check of a name and its use a moment later are two looks at what oneadmin changes in between."""
    folder = scene.root / "var/lib/one" / depth
    twin = folder.with_name("twin")
    twin.symlink_to(scene.victim)
    inside = scene.root / "var/lib/one/remotes/etc/vmm/kvm"
    for inner in ("etc", "vmm", "kvm"):
        (scene.victim / inner).mkdir(exist_ok=True)
        (scene.victim / "etc/vmm/kvm").mkdir(parents=True, exist_ok=True)
        (scene.victim / "vmm/kvm").mkdir(parents=True, exist_ok=True)
    before, files = scene.state(), SafeFiles(ONEADMIN)
    gate = os.pipe()
    pid = swapper(folder, twin, gate[1])
    try:
        os.read(gate[0], 1)
        outcomes = set()
        for number in range(300):
            outcomes.add(attempt(lambda: files.write(inside / "f", b"ours", 0o666, ONEADMIN)))
            outcomes.add(attempt(lambda: files.make_folder(inside / "d", 0o777, ONEADMIN)))
            outcomes.add(attempt(lambda: files.set_rights(inside / "migrate", 0o777, ONEADMIN)))
            outcomes.add(attempt(lambda: files.remove(inside / "migrate")))
            if number % 30 == 0:
                outcomes.add(attempt(lambda: files.remove_folder(inside / "spool", wholly=True)))
                outcomes.add(attempt(lambda: files.remove_folder(inside, wholly=True)))
                attempt(lambda: files.make_folder(inside, 0o755, ONEADMIN))
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(gate[0])
        os.close(gate[1])
    assert scene.state() == before
    assert outcomes == {"done", "refused"}  # both happened, or nothing was tried


def attempt(work: Callable[[], object]) -> str:
    try:
        work()
    except (InstallError, OSError):
        return "refused"
    return "done"


def test_S1_the_account_is_given_up_whole(scene: Scene) -> None:
    """Inside, neither root's groups nor its user id are left for the kernel to judge by; afterwards both are."""
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with scene.front_end.as_service():
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (ONEADMIN.uid, ONEADMIN.gid, [ONEADMIN.gid])
        with pytest.raises(PermissionError):
            (scene.victim / "migrate").read_bytes()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert stat.S_IMODE((scene.victim / "migrate").stat().st_mode) == 0o600


def test_S1_a_folder_that_a_group_may_change_is_refused(scene: Scene, home: Path) -> None:
    """Who shares a folder with root could put a second name of /etc/shadow where root copies a file."""
    (scene.root / "etc/one").chmod(0o770)
    os.chown(scene.root / "etc/one", 0, 2)
    with pytest.raises(InstallError, match=r"etc/one: a group may change it.*chmod g-w"):
        scene.install(home)


def test_S1_what_is_printed_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A line of oneadmin's in the diff that root is shown could hide another, or type commands."""
    say("+  - a\tb \x1b[2K\x1b]52;c;eA==\x07\n+\udcff")
    assert capsys.readouterr().out == "+  - a\tb \\x1b[2K\\x1b]52;c;eA==\\x07\n+\\udcff\n"


@pytest.mark.parametrize("command", ["install", "configure"])
def test_S1_settings_that_are_a_link_are_not_read_as_root(
    scene: Scene, home: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /etc/one is oneadmin's, a link would let root's message quote keys of a file of root's."""
    monkeypatch.setattr(Paths, "find", lambda: scene.front_end.paths)
    write(scene.victim / "secret", "secret_of_root: 1\n", 0o600)
    settings = scene.front_end.paths.settings
    settings.symlink_to(scene.victim / "secret")
    os.chown(settings.parent, ONEADMIN.uid, ONEADMIN.gid)
    os.chown(settings, ONEADMIN.uid, ONEADMIN.gid, follow_symlinks=False)
    write(scene.root / "etc/one/prometheus/prometheus.yml", "scrape_configs: []\n")
    editor = configure.Editor(configure.PROMETHEUS, settings.parent / "prometheus/prometheus.yml", "", "")
    commands: dict[str, Callable[[], object]] = {
        "install": lambda: installation.install(scene.front_end, home),
        "configure": lambda: configure._added(editor, "", scene.front_end),
    }
    with pytest.raises(InstallError, match=r"onext\.yaml: cannot be read") as failed:
        commands[command]()
    assert "secret_of_root" not in str(failed.value)

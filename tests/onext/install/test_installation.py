"""Plan, place and take back, on both layouts: without processes, but with every file."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onext.install import apply_changes, removal
from onext.install import manifest as memory
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import Manifest
from onext.install.manifest_entries import Entry, File, Folder, wanted
from onext.install.plan_changes import DIVERT, REMOVE, RIGHTS, WRITE, Step, plan

from .conftest import STOCK, Tree, packaged, self_contained, tree

Bare = tuple[Path, FrontEnd]
MakeHome = Callable[[FrontEnd, str], Path]


def put(front_end: FrontEnd, home: Path) -> list[Step]:
    """Install a version's files as installation.install does, and return the steps."""
    memory.make_folder(front_end.paths.lib)
    entries = wanted(front_end, home)
    known = Manifest.load(front_end.paths.lib)
    steps = plan(entries, apply_changes.inspect_all(entries, known, front_end.files), known)
    apply_changes.carry_out(steps, entries, front_end)
    return steps


def take_back(front_end: FrontEnd) -> None:
    removal.remove_all(Manifest.load(front_end.paths.lib), front_end)


@pytest.fixture
def home(bare: Bare, make_home: MakeHome) -> Path:
    memory.make_folder(bare[1].paths.lib)
    return make_home(bare[1], "1")


def test_everything_is_placed_with_its_rights(bare: Bare, home: Path) -> None:
    """What the table of the README promises of owners and modes is so on the front-end."""
    _, front_end = bare
    put(front_end, home)
    for entry in wanted(front_end, home):
        found = entry.path.stat()
        assert stat.S_IMODE(found.st_mode) == entry.mode, entry.path
        assert (found.st_uid, found.st_gid) == (entry.owner.uid, entry.owner.gid), entry.path
        assert not isinstance(entry, File) or entry.path.read_bytes() == entry.content


def test_what_only_root_could_give_back_is_refused_before_anything_changes(
    bare: Bare, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An onext.yaml that root wrote beside oneadmin's files ended the installation, and the uninstall, half way."""
    folder, front_end = bare
    front_end.paths.settings.parent.mkdir(parents=True, exist_ok=True)
    front_end.paths.settings.write_text("oned:\n  timeout: 5\n")
    before = tree(folder)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(InstallError, match=r"onext\.yaml belongs to .*: chown 4711 "):
        put(front_end, home)
    assert tree(folder) == before


def test_nobody_else_may_write(bare: Bare, home: Path) -> None:
    """Neither group nor others may change a program, a setting or a folder that parts trust."""
    for entry in wanted(bare[1], home):
        assert entry.mode & 0o022 == 0, entry.path


def test_others_do_not_read_settings_and_lists(bare: Bare, home: Path) -> None:
    """Settings, and the folder where credentials are put, are closed to other users."""
    paths = bare[1].paths
    modes = {entry.path: entry.mode for entry in wanted(bare[1], home)}
    for path in (paths.settings, paths.own_etc, paths.own_etc / "biscuit-revoked", paths.spool):
        assert modes[path] & 0o007 == 0


def test_a_second_installation_changes_nothing(bare: Bare, home: Path) -> None:
    """Running install.sh again is safe: no step, no file with another time."""
    folder, front_end = bare
    put(front_end, home)
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    assert put(front_end, home) == []
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before


def test_taken_back_byte_for_byte(tmp_path: Path, make_home: MakeHome) -> None:
    """After an uninstall the front-end is as if we had never been there; also with what running left."""
    for number, front_end in enumerate((packaged(tmp_path / "p"), self_contained(tmp_path / "s"))):
        folder = tmp_path / "ps"[number]
        before = tree(folder)
        memory.make_folder(front_end.paths.lib)
        put(front_end, make_home(front_end, "1"))
        assert tree(folder) != before
        (front_end.paths.spool / "incoming/geolocation.host.1").write_text("left behind")
        front_end.paths.log.write_text("a line\n")
        front_end.paths.log.with_name("onext.log-20260101").write_text("rotated\n")
        take_back(front_end)
        assert tree(folder) == before


def test_the_stock_migrate_lives_on_aside(bare: Bare, home: Path) -> None:
    """OpenNebula's migrate is moved, not lost: a migration without a tunnel runs it."""
    _, front_end = bare
    steps = put(front_end, home)
    kvm = front_end.paths.remotes / "vmm/kvm"
    assert [step.path for step in steps if step.do == DIVERT] == [kvm / "migrate"]
    assert (kvm / "migrate_default").read_text() == STOCK
    assert (kvm / "migrate").read_text() != STOCK


def test_a_package_upgrade_that_overwrites_migrate_is_mended(bare: Bare, home: Path) -> None:
    """Where dpkg does not help, the next install puts ours back and renews the one aside."""
    _, front_end = bare
    put(front_end, home)
    kvm = front_end.paths.remotes / "vmm/kvm"
    ours = (kvm / "migrate").read_bytes()
    (kvm / "migrate").write_text("#!/bin/sh\n# of 7.0.3\n")
    put(front_end, home)
    assert (kvm / "migrate").read_bytes() == ours
    assert (kvm / "migrate_default").read_text() == "#!/bin/sh\n# of 7.0.3\n"
    (kvm / "migrate").write_text("#!/bin/sh\n# of 7.0.4\n")
    take_back(front_end)
    assert (kvm / "migrate").read_text() == "#!/bin/sh\n# of 7.0.4\n"
    assert not (kvm / "migrate_default").exists()


def test_another_bundle_that_moved_migrate_before_us(bare: Bare, home: Path) -> None:
    """The real stock script stays aside, and the other bundle's comes back with an uninstall."""
    _, front_end = bare
    kvm = front_end.paths.remotes / "vmm/kvm"
    (kvm / "migrate").rename(kvm / "migrate_default")
    (kvm / "migrate").write_text("another bundle's\n")
    put(front_end, home)
    assert (kvm / "migrate_default").read_text() == STOCK
    take_back(front_end)
    assert (kvm / "migrate").read_text() == "another bundle's\n"
    assert (kvm / "migrate_default").read_text() == STOCK


class Killed(BaseException):
    """The process ends here."""


def test_interrupted_anywhere_and_repaired(
    tmp_path: Path, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation that dies before any of its steps is finished by the next, or taken back whole."""
    count = len(put_whole(tmp_path / "whole", make_home))
    whole = tree(tmp_path / "whole")
    for number in range(count):
        for repair in (True, False):
            folder = tmp_path / f"{number}-{repair}"
            front_end = self_contained(folder)
            before = tree(folder)
            memory.make_folder(front_end.paths.lib)
            home = make_home(front_end, "1")
            with monkeypatch.context() as patch:
                die_at(patch, number)
                with pytest.raises(Killed):
                    put(front_end, home)
            if repair:
                put(front_end, home)
                assert comparable(tree(folder)) == comparable(whole), number
            take_back(front_end)
            assert tree(folder) == before, number


def put_whole(folder: Path, make_home: MakeHome) -> list[Step]:
    front_end = self_contained(folder)
    memory.make_folder(front_end.paths.lib)
    return put(front_end, make_home(front_end, "1"))


def comparable(found: Tree) -> set[str]:
    """Leave out contents, which contain the folder's own name."""
    return {f"{name} {mode:o}" for name, (mode, _) in found.items()}


def die_at(patch: pytest.MonkeyPatch, number: int) -> None:
    steps = iter(range(1_000))
    done = apply_changes._do

    def do(step: Step, front_end: FrontEnd) -> None:
        if next(steps) == number:
            raise Killed
        done(step, front_end)

    patch.setattr(apply_changes, "_do", do)


def test_what_a_killed_installation_left_is_swept_away(bare: Bare, home: Path) -> None:
    """Half-written files would lie in /etc/one and go to every node with the remotes, for ever."""
    folder, front_end = bare
    put(front_end, home)
    paths, before = front_end.paths, tree(folder)
    persons = paths.etc / ".onext.yaml.swp"
    persons.write_text("an editor's")
    for left in (
        paths.etc / ".onext.yaml.a1_b2c3d",
        paths.remotes / "hooks/onext/.geolocation.x7x7x7x7",
        paths.lib / ".manifest.json.00000000",
        paths.lib / memory.ORIGINALS / ".0123.abcdefgh",
    ):
        left.parent.mkdir(exist_ok=True)
        left.write_text("half")
    (paths.lib / ".current.4711").symlink_to("versions/x")
    (paths.lib / "trial-x").mkdir()
    apply_changes.sweep(Manifest.load(paths.lib), front_end)
    assert persons.read_text() == "an editor's"
    persons.unlink()
    assert tree(folder).keys() - before.keys() <= {str((paths.lib / memory.ORIGINALS).relative_to(folder))}


def test_a_new_version_brings_and_drops_files(bare: Bare, home: Path, make_home: MakeHome) -> None:
    """An upgrade removes what the new version does not have, and what is new appears."""
    _, front_end = bare
    put(front_end, home)
    hook = front_end.paths.remotes / "hooks/onext/geolocation"
    later = make_home(front_end, "2")
    entries = [entry for entry in wanted(front_end, later) if entry.path != hook]
    known = Manifest.load(front_end.paths.lib)
    steps = plan(entries, apply_changes.inspect_all(entries, known, front_end.files), known)
    assert [(step.do, step.path) for step in steps] == [(REMOVE, hook)]
    apply_changes.carry_out(steps, entries, front_end)
    assert not hook.exists()
    assert str(hook) not in Manifest.load(front_end.paths.lib).files


def test_settings_that_a_person_changed_are_kept(bare: Bare, home: Path) -> None:
    """An upgrade never overwrites an administrator's settings; untouched ones learn the new keys."""
    _, front_end = bare
    put(front_end, home)
    settings = front_end.paths.settings
    (home / "onext.yaml").write_text("#: new\n")
    assert [step.path for step in put(front_end, home)] == [settings]
    settings.write_text("geolocation: {}\n")
    (home / "onext.yaml").write_text("#: newer\n")
    assert put(front_end, home) == []
    assert settings.read_text() == "geolocation: {}\n"


def test_settings_from_before_us_stay_after_us(bare: Bare, home: Path) -> None:
    """A file that was there before the installation belongs to a person, also at the end."""
    _, front_end = bare
    front_end.paths.settings.write_text("geolocation: {}\n")
    front_end.paths.settings.chmod(0o600)
    put(front_end, home)
    assert front_end.paths.settings.read_text() == "geolocation: {}\n"
    take_back(front_end)
    assert front_end.paths.settings.read_text() == "geolocation: {}\n"
    assert stat.S_IMODE(front_end.paths.settings.stat().st_mode) == 0o600


@pytest.mark.parametrize("saved", ["", "1"])
def test_a_group_that_only_root_could_give_back(
    bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: str
) -> None:
    """An onext.yaml of oneadmin's in root's group, as `sudo` leaves it, ended the uninstall half way."""
    _, front_end = bare
    originals = front_end.paths.lib / memory.ORIGINALS
    originals.mkdir(parents=True)
    (originals / "1").write_text("theirs\n")
    file = tmp_path / "onext.yaml"
    file.write_text("ours\n")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    original = memory.Original(saved=saved, mode=0o604, uid=4711, gid=4712)
    removal.take_back(file, memory.Placed(original=original), front_end)
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert file.read_text() == ("theirs\n" if saved else "ours\n")


def test_what_persons_changed_goes_into_an_archive(bare: Bare, home: Path, tmp_path: Path) -> None:
    """An uninstall loses nobody's work: settings and credentials are in a file only its owner reads."""
    _, front_end = bare
    put(front_end, home)
    known = Manifest.load(front_end.paths.lib)
    assert removal.persons_work(known, front_end) == []
    front_end.paths.settings.write_text("geolocation: {}\n")
    (front_end.paths.own_etc / "bmc.yaml").write_text("1: {}\n")
    work = removal.persons_work(known, front_end)
    assert work == [front_end.paths.own_etc / "bmc.yaml", front_end.paths.settings]
    archive = tmp_path / "settings.tar.gz"
    removal.back_up(work, archive, front_end.files)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with pytest.raises(InstallError, match="nothing was removed"):
        removal.back_up(work, archive, front_end.files)  # never over another


def test_a_link_where_a_file_belongs_is_not_followed(bare: Bare, home: Path, tmp_path: Path) -> None:
    """Root writes through nobody's link: the link is replaced, and is there again after the uninstall."""
    _, front_end = bare
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours\n")
    command = front_end.paths.bin / "onext"
    command.symlink_to(elsewhere)
    put(front_end, home)
    assert elsewhere.read_text() == "not ours\n"
    assert not command.is_symlink()
    take_back(front_end)
    assert command.readlink() == elsewhere


def test_a_folder_in_the_way_is_named(bare: Bare, home: Path) -> None:
    """What cannot be placed says where, and what to do."""
    _, front_end = bare
    (front_end.paths.bin / "onext").mkdir()
    with pytest.raises(InstallError, match="is a folder: move it away"):
        put(front_end, home)


STATES = st.dictionaries(
    st.integers(0, 80), st.sampled_from(["gone", "other", "mode", "link", "other and mode"]), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(states=STATES)
def test_whatever_was_there_is_there_again(
    states: dict[int, str], tmp_path_factory: pytest.TempPathFactory, make_home: MakeHome
) -> None:
    """From any state of the places: after an install nothing is left to do, after an uninstall all is back."""
    folder = tmp_path_factory.mktemp("any") / "one"
    front_end = self_contained(folder)
    memory.make_folder(front_end.paths.lib)
    home = make_home(front_end, "1")
    entries = [entry for entry in wanted(front_end, home) if isinstance(entry, File) and not entry.aside]
    for number, state in states.items():
        disturb(entries[number % len(entries)], state)
    before = {name: found for name, found in tree(folder).items() if not name.startswith("lib")}
    put(front_end, home)
    assert put(front_end, home) == []
    take_back(front_end)
    assert {name: found for name, found in tree(folder).items() if not name.startswith("lib")} == before


def disturb(entry: Entry, state: str) -> None:
    """Leave something at a place before the installation."""
    entry.path.unlink(missing_ok=True)
    if state == "gone":
        return
    entry.path.parent.mkdir(parents=True, exist_ok=True)
    if state == "link":
        entry.path.symlink_to("/nowhere")
        return
    assert isinstance(entry, File)
    entry.path.write_bytes(entry.content if state == "mode" else b"something else\n")
    entry.path.chmod(0o600 if "mode" in state else entry.mode)


def test_rights_are_mended(bare: Bare, home: Path) -> None:
    """A secret that somebody opened to all is closed by the next install, and a check names it."""
    _, front_end = bare
    put(front_end, home)
    front_end.paths.settings.chmod(0o666)
    entries = wanted(front_end, home)
    known = Manifest.load(front_end.paths.lib)
    steps = plan(entries, apply_changes.inspect_all(entries, known, front_end.files), known)
    assert [(step.do, step.why) for step in steps] == [(RIGHTS, "mode 0666 instead of 0640")]
    apply_changes.carry_out(steps, entries, front_end)
    assert stat.S_IMODE(front_end.paths.settings.stat().st_mode) == 0o640


def test_a_foreign_owner_is_a_step(bare: Bare, home: Path) -> None:
    """A program that belongs to another user is noticed, whatever its content."""
    _, front_end = bare
    put(front_end, home)
    entries = wanted(front_end, home)
    found = apply_changes.inspect_all(entries, Manifest(), front_end.files)
    command = front_end.paths.bin / "onext"
    other = found[command]
    assert other is not None
    found[command] = replace(other, owner=replace(other.owner, uid=os.geteuid() + 1))
    steps = plan(entries, found, Manifest.load(front_end.paths.lib))
    assert [(step.do, step.path) for step in steps] == [(RIGHTS, command)]


def test_a_broken_manifest_stops_everything(bare: Bare, home: Path) -> None:
    """Without its memory an uninstall would guess: it says what is wrong instead."""
    _, front_end = bare
    put(front_end, home)
    (front_end.paths.lib / memory.FILE).write_text("{")
    with pytest.raises(InstallError, match="not what install"):
        put(front_end, home)


def test_units_only_where_systemd_runs(tmp_path: Path, make_home: MakeHome) -> None:
    """A packaged front-end with systemd has the worker's unit; a self-contained one lets the hook start it."""
    with_units, without = packaged(tmp_path / "p"), self_contained(tmp_path / "s")
    names = {}
    for front_end in (with_units, without):
        memory.make_folder(front_end.paths.lib)
        found = wanted(front_end, make_home(front_end, "1"))
        names[front_end] = {entry.path.name for entry in found}
        (hook,) = [entry for entry in found if entry.path.name == "geolocation" and isinstance(entry, File)]
        start = (
            b'START = ""\n' if front_end is with_units else f'START = "{front_end.paths.bin}/onext"'.encode()
        )
        assert start in hook.content
    assert {"onext-worker.service", "onext.conf"} <= names[with_units]
    assert not {"onext-worker.service", "onext.conf"} & names[without]


def test_folders_come_before_what_is_in_them(bare: Bare, home: Path) -> None:
    """The list can be carried out in its order."""
    seen: set[Path] = set()
    folders = {entry.path for entry in wanted(bare[1], home) if isinstance(entry, Folder)}
    for entry in wanted(bare[1], home):
        assert not (set(entry.path.parents) & folders) - seen, entry.path
        seen.add(entry.path)


def test_steps_write_what_is_missing(bare: Bare, home: Path) -> None:
    """A file that somebody deleted comes back."""
    _, front_end = bare
    put(front_end, home)
    (front_end.paths.bin / "onext").unlink()
    assert [(step.do, step.path.name, step.why) for step in put(front_end, home)] == [
        (WRITE, "onext", "missing")
    ]

"""The spool: an acknowledged event is on disk, a broken file is put aside."""

import fcntl
import os
from pathlib import Path

import pytest

from onext import spool
from onext.part import Key
from onext.worker.inbox import Inbox
from tests.waiting import until


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    made = Inbox(tmp_path / "spool")
    made.prepare()
    return made


def put(inbox: Inbox, number: int = 1) -> None:
    spool.put(str(inbox.folder), "geolocation", "host", number)


def taken(inbox: Inbox) -> list[Key | None]:
    return [item.key for item in inbox.take()]


def test_a_storm_for_one_host_is_one_key(inbox: Inbox) -> None:
    """A flapping host must not fill the queue."""
    for _ in range(50):
        put(inbox)
    assert taken(inbox) == [Key("geolocation", "host", 1)]


def test_what_was_taken_is_found_again_after_a_crash(inbox: Inbox) -> None:
    """A hook's exit 0 is a promise that a killed worker must not break."""
    put(inbox)
    assert len(inbox.take()) == 1
    again = Inbox(inbox.folder)
    again.prepare()
    assert taken(again) == [Key("geolocation", "host", 1)]
    again.done("geolocation.host.1")
    once_more = Inbox(inbox.folder)
    once_more.prepare()
    assert once_more.take() == []


def test_a_key_can_be_read_whoever_ran_the_hook(inbox: Inbox) -> None:
    """A hook that root starts by hand, with root's umask, would leave what the worker cannot read."""
    before = os.umask(0o077)
    try:
        put(inbox)
    finally:
        os.umask(before)
    assert (inbox.folder / spool.INCOMING / "geolocation.host.1").stat().st_mode & 0o777 == 0o644


def test_no_worker_is_noticed(inbox: Inbox) -> None:
    """A hook starts the worker only if it knows that none is there."""
    assert not spool.wake(str(inbox.folder))
    reader = os.open(inbox.folder / spool.WAKE, os.O_RDONLY | os.O_NONBLOCK)
    assert spool.wake(str(inbox.folder))
    assert os.read(reader, 10) == b"\n"
    os.close(reader)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("geolocation.host.1", b""),
        ("geolocation.host.1", b"onext1 geolocation.host.1 17"),
        ("geolocation.host.1", b"onext1 geolocation.host.2 1700000000\n"),
        ("geolocation.host.1", b"x" * 5000),
        ("geolocation.host.1", b"onext1 geolocation.host.1 now\n"),
        ("README", b"onext1 README 1700000000\n"),
        ("a.b.c.d", b"onext1 a.b.c.d 1700000000\n"),
        ("event.vm.1.3", b"onext1 event.vm.1.3 1700000000\n"),
        ("event.vm.01.3.3", b"onext1 event.vm.01.3.3 1700000000\n"),
    ],
)
def test_a_file_that_is_cut_or_not_ours_is_put_aside(
    inbox: Inbox, name: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad file must neither stop the worker nor be acted upon, and somebody must hear of it."""
    (inbox.folder / spool.INCOMING / name).write_bytes(content)
    put(inbox, 9)
    assert taken(inbox) == [Key("geolocation", "host", 9)]
    assert (inbox.folder / spool.REFUSED / name).exists()
    assert name in caplog.text


def test_a_link_is_not_followed(inbox: Inbox, tmp_path: Path) -> None:
    """A link in the spool must not make the worker read, or a hook write, another file."""
    target = tmp_path / "elsewhere"
    target.write_text("onext1 geolocation.host.1 1700000000\n")
    (inbox.folder / spool.INCOMING / "geolocation.host.1").symlink_to(target)
    assert inbox.take() == []
    assert target.read_text().startswith("onext1")


def test_half_written_files_are_not_seen(inbox: Inbox) -> None:
    """A hook that was killed while it wrote did not acknowledge anything."""
    (inbox.folder / spool.INCOMING / ".geolocation.host.1.4711").write_bytes(b"onext1 geo")
    assert inbox.take() == []


def test_a_full_disk_is_an_error_and_leaves_nothing(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook must not acknowledge what it could not keep."""

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        put(inbox)
    assert list((inbox.folder / spool.INCOMING).iterdir()) == []


def test_a_file_that_cannot_be_read_is_put_aside(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of somebody else's would end each worker that is started again."""
    put(inbox)

    def refuse(_file: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert inbox.take() == []
    assert [file.name for file in (inbox.folder / spool.REFUSED).iterdir()] == ["geolocation.host.1"]


@pytest.mark.parametrize("number", ["+5", "007", "1_0", "٣", " 5", "5" * 12])
def test_S12_a_key_is_written_in_one_way(inbox: Inbox, number: str) -> None:
    """A key that is read as another one is never removed under its own name, and done again at each start."""
    name = f"geolocation.host.{number}"
    (inbox.folder / spool.INCOMING / name).write_text(f"onext1 {name} 1700000000\n")
    assert inbox.take() == []
    assert [file.name for file in (inbox.folder / spool.REFUSED).iterdir()] == [name]


def test_S12_folders_and_names_that_are_taken_do_not_end_the_worker(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder in the spool, or a second file of a refused name, made every start of the worker fail."""
    for folder in (spool.TAKEN, spool.INCOMING, spool.REFUSED):
        (inbox.folder / folder / "geolocation.host.1").mkdir()
        (inbox.folder / folder / "geolocation.host.1/x").touch()
    again = Inbox(inbox.folder)
    again.prepare()
    put(again, 2)
    assert taken(again) == [Key("geolocation", "host", 2)]
    assert len(list((inbox.folder / spool.REFUSED).iterdir())) == 3
    assert caplog.text.count("geolocation.host.1") >= 2


def test_S12_what_cannot_be_taken_waits_and_is_reported_once(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that bears the name of an event in taken/ would fill the log once a second."""
    (inbox.folder / spool.TAKEN / "geolocation.host.1").mkdir()
    put(inbox)
    put(inbox, 2)
    assert taken(inbox) == [Key("geolocation", "host", 2)]
    assert taken(inbox) == []
    assert caplog.text.count("cannot be taken") == 1


def test_S12_what_is_put_aside_is_bounded(inbox: Inbox) -> None:
    """A program that leaves invalid files would fill the disk."""
    for number in range(130):
        (inbox.folder / spool.INCOMING / f"bad{number}").touch()
        inbox.take()
    assert len(list((inbox.folder / spool.REFUSED).iterdir())) == 100


def test_S12_a_file_where_the_fifo_belongs_is_put_aside(inbox: Inbox) -> None:
    """The worker could not start until a person had found out."""
    (inbox.folder / spool.WAKE).unlink()
    (inbox.folder / spool.WAKE).write_text("x")
    inbox.prepare()
    assert (inbox.folder / spool.WAKE).is_fifo()


@pytest.mark.parametrize("name", [spool.TAKEN, spool.INCOMING, spool.REFUSED])
def test_S12_what_stands_in_place_of_a_folder_is_moved_away(inbox: Inbox, name: str, tmp_path: Path) -> None:
    """A file, or a link to another folder, in place of a folder of the spool would end each start."""
    (inbox.folder / name).rmdir()
    (inbox.folder / name).symlink_to(tmp_path)
    inbox.prepare()
    put(inbox)
    assert taken(inbox) == [Key("geolocation", "host", 1)]
    assert not (inbox.folder / name).is_symlink()


def test_S12_a_folder_that_was_removed_is_made_again(inbox: Inbox) -> None:
    """Hooks would be refused until a person restarted the worker."""
    (inbox.folder / spool.INCOMING).rmdir()
    assert inbox.take() == []
    put(inbox)
    assert taken(inbox) == [Key("geolocation", "host", 1)]


def test_S12_sockets_and_odd_names_are_put_aside(inbox: Inbox) -> None:
    """Anything may stand in a folder that scripts and people can write to."""
    os.mkfifo(inbox.folder / spool.INCOMING / "geolocation.host.1")
    (inbox.folder / spool.INCOMING / "event.vm.1.3.3\n").write_text("x")
    (inbox.folder / spool.INCOMING / ("x" * 250)).write_text("x")
    assert inbox.take() == []
    assert len(list((inbox.folder / spool.REFUSED).iterdir())) == 3


def test_a_clock_that_was_set_back_gives_no_negative_age(inbox: Inbox) -> None:
    """`status` showed events that come from the future."""
    assert spool.age(b"onext1 geolocation.host.1 9999999999\n", "geolocation.host.1") == 0


@pytest.mark.process
def test_one_keeper_restarts_the_worker_until_it_ends_well(tmp_path: Path) -> None:
    """Without systemd a worker that is killed stays away, or each hook starts one more."""
    command, ran = tmp_path / "onext", tmp_path / "ran"
    command.write_text(f'#!/bin/sh\necho "$1" >> {ran}\ntest -e {tmp_path}/well\n')
    command.chmod(0o700)
    spool.keep(str(tmp_path), str(command))
    spool.keep(str(tmp_path), "/no/other/one")
    until(lambda: ran.exists() and ran.read_text().count("worker\n") >= 2, "a second start of the worker")
    (tmp_path / "well").touch()
    descriptor = os.open(tmp_path / spool.KEEPER, os.O_RDWR)
    until(lambda: _locked(descriptor), "the end of the keeper")
    os.close(descriptor)
    assert set(ran.read_text().split()) == {"worker"}


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

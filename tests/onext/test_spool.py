"""The spool: an acknowledged event is on disk, a broken file is put aside."""

import base64
import errno
import fcntl
import io
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from onext import spool
from onext.part import Key
from onext.worker import inbox as module
from onext.worker.inbox import Inbox, Taken
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


@pytest.mark.process
def test_the_keeper_ends_where_its_command_is_removed(tmp_path: Path) -> None:
    """After an uninstall it would try to start the worker each second, until the machine is restarted."""
    command, ran = tmp_path / "onext", tmp_path / "ran"
    command.write_text(f'#!/bin/sh\necho "$1" >> {ran}\nrm {command}\nexit 1\n')
    command.chmod(0o700)
    spool.keep(str(tmp_path), str(command))
    until(ran.exists, "the worker")
    descriptor = os.open(tmp_path / spool.KEEPER, os.O_RDWR)
    until(lambda: _locked(descriptor), "the end of the keeper")
    os.close(descriptor)
    assert ran.read_text() == "worker\n"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("event.vm.17.3.16", Taken("event.vm.17.3.16", "vm", 17, 3, 16)),
        ("event.host.0.-1.0", Taken("event.host.0.-1.0", "host", 0, -1, 0)),
        ("event.call.9999999999.2.1", Taken("event.call.9999999999.2.1", "call", 9999999999, 2, 1)),
        ("power.pool.4", Taken("power.pool.4", "pool", 4, key=Key("power", "pool", 4))),
    ],
)
def test_what_a_hook_left_is_read_whole(inbox: Inbox, name: str, read: Taken) -> None:
    """An event would go to the parts of another state, or be about another object."""
    spool.put(str(inbox.folder), *name.split("."))
    assert inbox.take() == [read]


def test_what_waits_is_shown_with_its_age(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` would show nothing while events wait for an hour, or count the drafts of hooks."""
    put(inbox)
    put(inbox, 2)
    inbox.take()
    put(inbox, 3)
    (inbox.folder / spool.INCOMING / ".geolocation.host.4.1").write_text("x")
    (inbox.folder / spool.INCOMING / "geolocation.host.5").write_text("x")
    files = [*(inbox.folder / spool.INCOMING).iterdir(), *(inbox.folder / spool.TAKEN).iterdir()]
    for file in files:
        if file.name in ("geolocation.host.1", "geolocation.host.2", "geolocation.host.3"):
            file.write_text(f"onext1 {file.name} 1700000000\n")
    monkeypatch.setattr("time.time", lambda: 1700000060.0)
    assert sorted(inbox.waiting()) == [(f"geolocation.host.{n}", 60.0) for n in (1, 2, 3)]


def test_the_oldest_is_taken_first(inbox: Inbox) -> None:
    """In a storm the first host to fail would be looked at last."""
    for number, age in ((1, 20), (2, 30), (3, 10)):
        put(inbox, number)
        os.utime(inbox.folder / spool.INCOMING / f"geolocation.host.{number}", (1000 - age, 1000 - age))
    assert [key.id for key in taken(inbox) if key] == [2, 1, 3]


@pytest.mark.parametrize(
    ("mode", "owner", "valid"),
    [
        (stat.S_IFREG, 0, True),
        (stat.S_IFREG, 4711, True),
        (stat.S_IFREG, 4712, False),
        (stat.S_IFLNK, 4711, False),
        (stat.S_IFDIR, 0, False),
    ],
)
def test_only_files_of_this_user_and_of_root_are_read(
    mode: int, owner: int, valid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's file in the spool would start an action."""
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    file = SimpleNamespace(name="x", lstat=lambda: SimpleNamespace(st_mode=mode, st_uid=owner))
    if valid:
        module._regular(file)  # type: ignore[arg-type]
    else:
        with pytest.raises(ValueError, match="x: not a regular file of this user"):
            module._regular(file)  # type: ignore[arg-type]


@pytest.mark.parametrize("room", [0, -1])
def test_a_file_has_at_most_the_size_of_an_event(
    inbox: Inbox, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker would read a file of any size, or refuse the event with the longest name."""
    put(inbox)
    size = (inbox.folder / spool.INCOMING / "geolocation.host.1").stat().st_size
    monkeypatch.setattr(module, "_LARGEST", size + room)
    assert len(inbox.take()) == 1 + room


def test_what_is_refused_twice_is_kept_twice_and_the_newest_stay(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for the reason finds only the first file, or only old ones."""
    monkeypatch.setattr(module, "_MOST_REFUSED", 2)
    for number in range(4):
        monkeypatch.setattr("time.time_ns", lambda: 4711)
        bad = inbox.folder / spool.INCOMING / ("bad" if number < 2 else f"bad{number}")
        bad.write_text(str(number))
        os.utime(bad, (number, number))
        inbox.take()
        if number == 1:
            assert {file.name for file in (inbox.folder / spool.REFUSED).iterdir()} == {"bad", "bad.4711"}
    assert sorted(file.read_text() for file in (inbox.folder / spool.REFUSED).iterdir()) == ["2", "3"]


def test_a_refused_file_that_a_person_removes_meanwhile_is_no_error(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker would end because somebody tidied up."""
    gone = [inbox.folder / spool.REFUSED / str(number) for number in range(101)]
    monkeypatch.setattr(Inbox, "_files", lambda *_: iter(gone))
    inbox._prune(inbox.folder / spool.REFUSED)


def test_what_cannot_be_removed_is_reported_once_and_done_again(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A read-only disk would fill the log with a line for each event."""
    inbox.done("never.was.0")
    for name in ("a", "b"):
        (inbox.folder / spool.TAKEN / name).mkdir()
        inbox.done(name)
    assert caplog.text.count(f"spool: {inbox.folder / spool.TAKEN}: ") == 1


def test_reports_are_bounded(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    """A program that leaves what cannot be taken would fill memory and log."""
    for number in range(1002):
        inbox._report(str(number), "stuck")
    assert caplog.text.count("spool: stuck") == 1000


def payload_of(xml: str) -> bytes:
    return base64.b64encode(xml.encode())


def be_a_hook(inbox: Inbox, monkeypatch: pytest.MonkeyPatch, given: bytes, *words: str) -> int:
    """Run a hook with this standard input and these arguments; no worker is started."""
    monkeypatch.setattr(sys, "argv", ["hook", *words])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    return spool.hook(str(inbox.folder), str(inbox.folder / "log"), "")


def test_a_hook_leaves_what_happened(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event would be lost, in either way in which oned hands it on."""
    vm = "<VM><ID>17</ID><NAME>a</NAME><STATE>3</STATE><LCM_STATE>16</LCM_STATE></VM>"
    assert be_a_hook(inbox, monkeypatch, payload_of(vm)) == 0
    assert be_a_hook(inbox, monkeypatch, b"", "17", payload_of(vm.replace("17", "18")).decode()) == 0
    assert sorted((item.id, item.state, item.lcm) for item in inbox.take()) == [(17, 3, 16), (18, 3, 16)]


def test_a_hook_that_refuses_says_why(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oned's log would show success, and nobody learn that events are lost."""
    assert be_a_hook(inbox, monkeypatch, b"") == 1
    assert "the payload is cut" in (be_a_hook(inbox, monkeypatch, b"abc"), capsys.readouterr().err)[1]
    assert "[ONEXT][E]: hook: the payload is cut: 3 characters" in (inbox.folder / "log").read_text()
    (inbox.folder / spool.INCOMING).rmdir()
    assert be_a_hook(inbox, monkeypatch, payload_of("<VM><ID>1</ID></VM>")) == 1
    (inbox.folder / "log").unlink()
    (inbox.folder / "log").mkdir()
    assert be_a_hook(inbox, monkeypatch, b"") == 1
    assert f"{inbox.folder / 'log'} cannot be written: Is a directory" in capsys.readouterr().err


def test_a_payload_larger_than_the_limit_is_read_no_further(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hook would take all memory of the front-end."""
    vm = payload_of("<VM><ID>5</ID></VM>")
    monkeypatch.setattr("onext.payload.LIMIT", len(vm))
    assert be_a_hook(inbox, monkeypatch, vm) == 0
    assert be_a_hook(inbox, monkeypatch, vm + b"AAAA") == 1
    assert f"the payload is larger than {len(vm)} bytes" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "woken"), [(errno.EAGAIN, True), (errno.EPIPE, False)])
def test_a_full_pipe_of_wake_ups_wakes_and_a_broken_one_does_not(
    inbox: Inbox, error: int, woken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a storm each hook would start a worker, or none would after the worker was killed."""
    reader = os.open(inbox.folder / spool.WAKE, os.O_RDONLY | os.O_NONBLOCK)

    def fail(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "write", fail)
    assert spool.wake(str(inbox.folder)) is woken
    os.close(reader)


@pytest.mark.parametrize(
    ("content", "age"),
    [
        (b"onext1 a.b.1 1700000000\n", 60.0),
        (b"onext1 a.b.1 1700000060\n", 0.0),
        (b"onext1 a.b.1 1700000000", None),
        (b"onext1 a.b.1 1700000000 x\n", None),
        (b"onext1 a.b.1\n", None),
        (b"onext2 a.b.1 1700000000\n", None),
        (b"onext1 a.b.2 1700000000\n", None),
        (b"onext1 a.b.1 -5\n", None),
    ],
)
def test_a_spool_file_is_whole_or_invalid(
    content: bytes, age: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file would be taken for an event, and given up as done."""
    monkeypatch.setattr("time.time", lambda: 1700000060.0)
    if age is None:
        with pytest.raises(ValueError, match=r"a\.b\.1: not a complete spool file"):
            spool.age(content, "a.b.1")
    else:
        assert spool.age(content, "a.b.1") == age

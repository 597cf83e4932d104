"""API calls as events, from lines that a real oned 7.4.0 logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.events.audit import AuditError, CallLog, Position, secret_word
from hooks.events.changes import Change
from hooks.events.outbox import Outbox

DAY = "Sat Nov 28 19:11:57 2026 [Z0][ReM]"
ACTION = (
    f'{DAY}[D]: Req:8911 UID:4 IP:10.0.0.7 one.vm.action invoked "poweroff", 12, \n'
    f"{DAY}[D]: Req:8911 UID:4 one.vm.action result SUCCESS, 12\n"
)
READING = (
    f"{DAY}[D]: Req:1 UID:0 IP:127.0.0.1 one.vmpool.info invoked -2, -1, -1, -1, \n"
    f'{DAY}[D]: Req:1 UID:0 one.vmpool.info result SUCCESS, "<VM_POOL></VM_POOL>"\n'
)
REFUSED = (
    f'{DAY}[D]: Req:2 UID:-1 IP:10.0.0.9 one.user.passwd invoked 0, "hunter2...", \n'
    f"{DAY}[E]: Req:2 UID:- one.user.passwd result FAILURE [one.user.passwd] User couldn't be authenticated,"
    " aborting call.\n"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return an empty log of oned."""
    path = tmp_path / "oned.log"
    path.write_text("")
    return path


def read(calls: CallLog, before: Position) -> tuple[list[Change], Position]:
    """Read on from a position."""
    return calls.read(before)


def begun(log: Path) -> tuple[CallLog, Position]:
    """Return a reader at the end of a log."""
    calls = CallLog(log)
    found, position = calls.read(None)
    assert found == []
    return calls, position


def test_a_call_names_user_address_method_and_result(log: Path) -> None:
    """An auditor has to know who powered a VM off, and from where."""
    calls, position = begun(log)
    log.write_text(READING + ACTION + REFUSED)
    first, second = read(calls, position)[0]
    assert (str(first.object), first.type) == ("user/4", "io.opennebula.onext.audit.success")
    assert first.facts == {
        "method": "one.vm.action", "uid": 4, "address": "10.0.0.7", "verified": 0, "result": "success",
        "logged": "Sat Nov 28 19:11:57 2026",
    }  # fmt: skip
    assert (second.facts["uid"], second.facts["address"], second.facts["result"]) == (
        -1,
        "10.0.0.9",
        "failure",
    )


def test_parameters_and_results_never_leave(log: Path) -> None:
    """Oned's own format logs the first characters of passwords."""
    calls, position = begun(log)
    log.write_text(ACTION + REFUSED)
    assert "hunter2" not in str(read(calls, position))
    assert "poweroff" not in str(read(calls, position))


def test_calls_are_neither_lost_nor_doubled_by_rotation(log: Path) -> None:
    """The log is rotated once a day, in the middle of calls."""
    calls, position = begun(log)
    log.write_text(ACTION)
    found, position = read(calls, position)
    with log.open("a") as more:
        more.write(ACTION.replace("8911", "9000"))
    log.rename(log.with_name("oned.log.1"))
    log.write_text(REFUSED)
    for _ in range(3):
        more_calls, position = read(calls, position)
        found += more_calls
    assert [call.facts["result"] for call in found] == ["success", "success", "failure"]
    assert len({call.id for call in found}) == 3


def test_a_log_that_was_truncated_is_read_from_its_beginning(log: Path) -> None:
    """Without that, no call would be recorded until the log is as long as before."""
    log.write_text(READING * 10)
    calls, position = begun(log)
    log.write_text(ACTION)
    assert len(read(calls, position)[0]) == 1


def test_a_line_is_read_once_it_is_complete(log: Path) -> None:
    """Oned may be in the middle of writing a line."""
    calls, position = begun(log)
    log.write_text(ACTION[:-20])
    found, position = read(calls, position)
    assert found == []
    log.write_text(ACTION)
    assert len(read(calls, position)[0]) == 1


def test_text_of_users_within_a_line_forges_no_call(log: Path) -> None:
    """A user could otherwise put calls of oneadmin into the audit trail by the name of a VM."""
    calls, position = begun(log)
    log.write_text(f"{DAY}[E]: Req:5 UID:4 one.vm.rename result FAILURE {ACTION.splitlines()[1]}\n")
    (only,) = read(calls, position)[0]
    assert only.facts["method"] == "one.vm.rename"


WORD = "5f" * 16
# What a tenant made a real oned 7.4.0 log: the message of a failure quotes the argument, with its end of line.
FORGED = (
    f"{DAY}[D]: Req:3 UID:4 IP:10.0.0.7 one.vm.action invoked {WORD} 3\n"
    f'{DAY}[E]: Req:3 UID:4 one.vm.action result FAILURE [one.vm.action] Action "x\n'
    f"{DAY}[D]: Req:77 UID:0 IP:127.0.0.1 one.user.delete invoked {'00' * 16}\n"
    f"{DAY}[D]: Req:77 UID:0 one.user.delete result SUCCESS, 5\n"
    f'y" is not supported\n'
)


def test_a_call_that_a_user_forged_is_not_verified(log: Path) -> None:
    """A tenant could put calls of oneadmin into the audit trail by a line break in an argument."""
    calls, position = begun(log)
    calls.word = secret_word(f"Req:%i UID:%u IP:%A %m invoked {WORD}")
    log.write_text(FORGED + ACTION.replace("invoked", f"invoked {WORD}"))
    found = [
        (call.facts["uid"], call.facts["result"], call.facts["verified"]) for call in read(calls, position)[0]
    ]
    assert found == [(4, "failure", 1), (0, "success", 0), (4, "success", 1)]


def test_a_forged_line_does_not_displace_that_of_oned(log: Path) -> None:
    """A tenant could take the proof from a call that is under way, or give it another result's."""
    calls, position = begun(log)
    calls.word = WORD
    first, second = ACTION.replace("invoked", f"invoked {WORD}").splitlines(keepends=True)
    forged = first.replace(WORD, "11" * 16).replace("10.0.0.7", "6.6.6.6")
    log.write_text(first + forged + second.replace("UID:4", "UID:0") + first + forged + second)
    found = [
        (call.facts["uid"], call.facts["address"], call.facts["verified"])
        for call in read(calls, position)[0]
    ]
    assert found == [(0, "10.0.0.7", 0), (4, "10.0.0.7", 1)]
    assert secret_word("Req:%i UID:%u IP:%A %m invoked") == secret_word("") == ""


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_a_failure(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """One damaged line would otherwise end the audit trail."""
    log = tmp_path_factory.mktemp("log") / "oned.log"
    log.write_bytes(b"")
    calls, position = begun(log)
    log.write_bytes(junk.replace(b"\n", b" ") + b"\n" + ACTION.encode())
    assert len(read(calls, position)[0]) == 1


def test_a_log_without_an_end_of_line_does_not_stop_the_reading(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of zeros after a power failure has no line at all."""
    monkeypatch.setattr("hooks.events.audit.MOST", 1000)
    calls, position = begun(log)
    log.write_bytes(b"\0" * 5000 + b"\n" + ACTION.encode())
    found: list[Change] = []
    for _ in range(10):
        some, position = read(calls, position)
        found += some
    assert len(found) == 1


def test_position_and_events_are_committed_together(tmp_path: Path, log: Path) -> None:
    """A worker that is killed between the two would record a call twice, or never."""
    outbox = Outbox(tmp_path / "events.db")
    calls, position = begun(log)
    log.write_text(ACTION)
    found, position = read(calls, position)
    outbox.record(found, {"one": lambda _: True}, 1.0, str(position))
    assert Position.parse(outbox.mark()) == position
    assert [event.facts["method"] for event in outbox.pending("one")] == ["one.vm.action"]
    assert outbox.known() == {}
    assert read(CallLog(log), position)[0] == []
    outbox.close()


def test_a_snapshot_does_not_supersede_calls(tmp_path: Path, log: Path) -> None:
    """A change of leader would otherwise delete what the portal did not have yet of the audit trail."""
    outbox = Outbox(tmp_path / "events.db")
    calls, position = begun(log)
    log.write_text(ACTION)
    found, position = read(calls, position)
    outbox.record(found, {"one": lambda _: True}, 1.0, str(position))
    outbox.snapshot("one", lambda _: True, "e2", 2.0)
    verbs = [event.type.rpartition(".")[2] for event in outbox.pending("one")]
    assert verbs == ["begin", "end", "success"]
    assert outbox.sink("one").lag == 3
    outbox.close()


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The administrator has to learn that nothing is recorded."""
    with pytest.raises(AuditError, match=r"missing\.log"):
        CallLog(tmp_path / "missing.log").read(None)


@pytest.mark.parametrize("text", ["", "1", "1:", "a:1", "1:-1", "1:" + "9" * 60, "1:\u0661\u00b2"])
def test_a_damaged_position_is_none(text: str) -> None:
    """A damaged value must not stop the worker."""
    assert Position.parse(text) is None

"""Records that authorise an action: only what oneadmin wrote counts, and no write is lost."""

from collections.abc import Mapping

import pytest

from onext.oned.client import Oned
from onext.oned.documents import LONGEST_VALUE, TYPE, Conflict, Documents, Kind, Stored
from onext.oned.errors import NotFound, OnedError, Refused
from onext.xml import parse as xml
from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process


def encode(phase: str) -> Mapping[str, str]:
    return {"PHASE": phase}


def decode(values: Mapping[str, str]) -> str:
    if values["PHASE"] not in ("off", "draining", 'a "b" <c> & é'):
        raise ValueError(f"no such phase: {values['PHASE']}")
    return values["PHASE"]


KIND = Kind("host", encode, decode)
MINE = (1, 1, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def records(sandbox: Sandbox) -> Documents[str]:
    return Documents(Oned(sandbox.endpoint, sandbox.session), KIND)


def written(record: Stored[str] | None) -> tuple[int, str | None] | None:
    return None if record is None else (record.version, record.value)


def test_S5_what_is_written_is_read(records: Documents[str]) -> None:
    """A record must come back as it was, or a host would never be woken."""
    assert records.get(12) is None
    first = records.put(12, 'a "b" <c> & é', None)
    assert written(records.get(12)) == (1, 'a "b" <c> & é')
    second = records.put(12, "off", first.version)
    assert (second.version, second.document) == (2, first.document)
    assert {number: written(one) for number, one in records.all().items()} == {12: (2, "off")}
    other = Documents(records.oned, Kind("cluster", encode, decode))
    assert other.all() == {}
    records.remove(12, 2)
    assert records.get(12) is None
    assert records.all() == {}


def test_S5_only_documents_of_oneadmin_with_mode_600_count(sandbox: Sandbox, records: Documents[str]) -> None:
    """A tenant, or whoever a wider mode lets write, could switch hosts off."""
    uid = sandbox.call("user.allocate", "mallory", "secret", "core", [1])
    forged = 'NAME="onext.host.12" VERSION="7" PHASE="off"'
    theirs = sandbox.call("document.allocate", forged, TYPE, session="mallory:secret")
    assert records.get(12) is None
    for mode in ((1, 1, 0, 0, 1, 0, 0, 0, 0), (1, 1, 0, 1, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0, 0, 1, 0)):
        wide = sandbox.call("document.allocate", forged, TYPE)
        sandbox.call("document.chmod", wide, *mode)
        assert records.all() == {}, mode
    sandbox.call("document.allocate", forged, TYPE + 1)
    assert records.get(12) is None
    mine = records.put(12, "draining", None)
    assert mine.document > theirs
    assert written(records.get(12)) == (1, "draining")
    sandbox.call("document.chown", mine.document, uid, -1)
    assert records.get(12) is None, "it was given away meanwhile"


def test_S5_a_record_gets_mode_600_whatever_the_umask_is(
    sandbox: Sandbox, records: Documents[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a wider umask of oneadmin no record would count, and each round would make another."""
    call = Oned.call

    def wide(self: Oned, method: str, *arguments: object) -> str | int | bool:
        answer = call(self, method, *arguments)
        if method == "document.allocate":
            call(self, "document.chmod", answer, 1, 1, 0, 1, 1, 0, 1, 0, 0)
        return answer

    monkeypatch.setattr(Oned, "call", wide)
    document = records.put(12, "off", None).document
    bits = sandbox.call("document.info", document, False).partition("<PERMISSIONS>")[2]
    assert bits.count(">1<") == 2


def test_S13_a_write_upon_what_another_wrote_is_refused(records: Documents[str]) -> None:
    """Two deciders would undo each other's intent without either of them noticing."""
    first = records.put(12, "off", None)
    other = Documents(records.oned, KIND)
    with pytest.raises(Conflict, match="created by another writer"):
        other.put(12, "draining", None)
    other.put(12, "draining", first.version)
    with pytest.raises(Conflict, match=r"onext\.host\.12 has version 2, expected 1"):
        records.put(12, "off", first.version)
    with pytest.raises(Conflict, match="has version 2"):
        records.remove(12, 1)
    other.remove(12, 2)
    with pytest.raises(Conflict, match="removed by another writer"):
        records.put(12, "off", 2)


def test_S13_of_two_records_made_at_the_same_time_one_counts(
    sandbox: Sandbox, records: Documents[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both writers would believe that the claim is theirs."""
    call = Oned.call

    def raced(self: Oned, method: str, *arguments: object) -> str | int | bool:
        if method == "document.allocate":
            sandbox.call("document.allocate", 'NAME="onext.host.12" VERSION="1" PHASE="draining"', TYPE)
        return call(self, method, *arguments)

    monkeypatch.setattr(Oned, "call", raced)
    with pytest.raises(Conflict, match="created by another writer"):
        records.put(12, "off", None)
    assert written(records.get(12)) == (1, "draining")
    assert sandbox.call("documentpool.info", -2, -1, -1, TYPE).count("<DOCUMENT>") == 1


def test_S13_the_lock_of_a_writer_at_work_holds_and_that_of_a_killed_one_does_not(
    sandbox: Sandbox, records: Documents[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between lock and unlock must not stop a host's power management for ever."""
    monkeypatch.setattr("onext.oned.documents.PAUSE", 0.0)
    first = records.put(12, "off", None)
    sandbox.call("document.lock", first.document, 3, False)
    with pytest.raises(Conflict, match="locked by another writer"):
        records.put(12, "draining", first.version)
    records.now = lambda: 4e9
    assert records.put(12, "draining", first.version).version == 2
    assert "<LOCK>" not in sandbox.call("document.info", first.document, False)


def test_S5_what_cannot_be_read_authorises_nothing_and_is_named(
    sandbox: Sandbox, records: Documents[str]
) -> None:
    """A damaged record must not be taken for permission, and must not hide the others."""
    for number, text in enumerate(
        (
            'VERSION="1" PHASE="nonsense"',
            'VERSION="x" PHASE="off"',
            'VERSION="1"',
            'VERSION="1" PHASE=[A="b"]',
        )
    ):
        sandbox.call("document.allocate", f'NAME="onext.host.{number}" {text}', TYPE)
    sandbox.call("document.allocate", 'NAME="onext.host.99999999999"', TYPE)
    records.put(9, "off", None)
    found = records.all()
    assert sorted(found) == [0, 1, 2, 3, 9]
    assert [found[number].value for number in (0, 2, 3, 9)] == [None, None, None, "off"]
    assert "onext.host.0" in found[0].problem
    assert found[1].version == -1
    assert records.put(1, "draining", -1).version == 1, "it can be written anew"
    assert written(records.get(1)) == (1, "draining")


def test_records_are_bounded(records: Documents[str]) -> None:
    """A record too large for oned must fail before an action, with its name."""
    for text in ("x" * (LONGEST_VALUE + 1), "\x00"):
        with pytest.raises(Refused, match=r"onext\.host\.3"):
            records.put(3, text, None)
    broad = Documents(records.oned, Kind("host", lambda _: {f"K{n}": "" for n in range(70)}, decode))
    with pytest.raises(Refused, match="too large"):
        broad.put(3, "off", None)
    assert records.all() == {}


def test_all_records_are_one_call(records: Documents[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With one call for each host a round at 1,250 hosts would take minutes."""
    for number in range(20):
        records.put(number, "off", None)
    calls: list[str] = []
    call = Oned.call

    def counted(self: Oned, method: str, *arguments: object) -> str | int | bool:
        calls.append(method)
        return call(self, method, *arguments)

    monkeypatch.setattr(Oned, "call", counted)
    assert len(records.all()) == 20
    assert calls == ["documentpool.info"]
    calls.clear()
    records.put(3, "draining", 1)
    assert calls == ["document.lock", "document.info", "document.update", "document.unlock"]


def test_oned_that_refuses_is_an_error_and_leaves_no_lock(
    sandbox: Sandbox, records: Documents[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An action must not follow upon a claim that was not written."""
    first = records.put(12, "off", None)
    call = Oned.call

    def refused(self: Oned, method: str, *arguments: object) -> str | int | bool:
        if method == "document.update":
            raise Refused("no quorum")
        return call(self, method, *arguments)

    monkeypatch.setattr(Oned, "call", refused)
    with pytest.raises(OnedError, match="no quorum"):
        records.put(12, "draining", first.version)
    monkeypatch.undo()
    assert written(records.get(12)) == (1, "off")
    assert "<LOCK>" not in sandbox.call("document.info", first.document, False)


class PlayedOned:
    """The calls of one.document.*, with one document whose lock another writer may hold."""

    def __init__(self, values: str, *, held: int = 0, since: str = "1000", identity: str = "5") -> None:
        self.values, self.held, self.since, self.identity = values, held, since, identity
        self.calls: list[str] = []
        self.gone = False
        self.locked = bool(held)

    def _document(self) -> str:
        lock = f"<LOCK><TIME>{self.since}</TIME></LOCK>" if self.locked else ""
        bits = "".join(f"<B{n}>{bit}</B{n}>" for n, bit in enumerate(MINE))
        return (
            f"<DOCUMENT><ID>{self.identity}</ID><NAME>onext.host.12</NAME><UID>0</UID><TYPE>{TYPE}</TYPE>{lock}"
            f"<PERMISSIONS>{bits}</PERMISSIONS><TEMPLATE>{self.values}</TEMPLATE></DOCUMENT>"
        )

    def document(self, method: str, *arguments: object) -> object:
        self.calls.append(method)
        assert arguments == {"documentpool.info": (0, -1, -1, TYPE)}.get(method, (5, False)), (
            "all of oneadmin's"
        )
        if method == "document.info" and self.gone:
            raise NotFound("no such document")
        one = self._document()
        return xml(f"<POOL>{one}</POOL>".encode() if method == "documentpool.info" else one.encode())

    def call(self, method: str, *arguments: object) -> int:
        self.calls.append(method)
        if method == "document.update":
            assert (arguments[0], arguments[2]) == (5, 0), "the whole document is replaced"
        else:
            assert arguments == {"document.lock": (5, 3, True)}.get(method, (5,))
        if method == "document.lock" and self.gone:
            raise NotFound("no such document")
        if method == "document.lock" and self.held:
            self.held -= 1
            raise Refused("locked")
        return 0


WRITTEN = "<VERSION>3</VERSION><PHASE>off</PHASE>"


def played(oned: PlayedOned, now: float = 1030.0) -> Documents[str]:
    """Return the records in a played oned."""
    return Documents(oned, KIND, lambda: now)  # type: ignore[arg-type]


@pytest.mark.parametrize(("held", "written"), [(19, True), (20, False)])
def test_a_writer_waits_for_another_one_for_two_seconds(
    held: int, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that gives up at once leaves a host unmanaged; one that waits without an end stops all of them."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    oned = PlayedOned(WRITTEN, held=held)
    records = played(oned)
    if written:
        assert records.put(12, "draining", 3).version == 4
    else:
        with pytest.raises(Conflict, match=r"onext\.host\.12 \(document 5\) is locked by another writer"):
            records.put(12, "draining", 3)
        assert "document.update" not in oned.calls
    assert oned.calls.count("document.lock") == 20
    assert pauses == [0.1] * held
    assert "document.unlock" not in oned.calls[:-1], "a lock that another writer holds was taken over"


@pytest.mark.parametrize(
    ("since", "now", "taken"),
    [
        ("1000", 1060.0, False),
        ("1000", 1060.5, True),
        ("1000", 940.0, False),
        ("1000", 939.5, True),
        ("x", 9e9, False),
        ("0", 9e9, True),
    ],
)
def test_a_lock_is_taken_over_after_a_minute(
    since: str, now: float, taken: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sooner, two writers write; later, a writer that was killed keeps a host unmanaged. Clocks may be set back."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    oned = PlayedOned(WRITTEN, held=1, since=since)
    played(oned, now).put(12, "draining", 3)
    assert oned.calls.count("document.unlock") == 1 + taken
    assert (
        (f"document 5: its lock is {now - int(since):.0f} s old" in caplog.text) if taken else not caplog.text
    )


@pytest.mark.parametrize(("seconds", "written"), [(15.0, True), (15.1, False)])
def test_a_write_that_comes_too_late_is_given_up(
    seconds: float, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that was paused writes over what its successor decided meanwhile."""
    clock = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    oned = PlayedOned(WRITTEN)
    if written:
        played(oned).put(12, "draining", 3)
    else:
        with pytest.raises(Conflict, match="oned took more than 15 s, so it was not written"):
            played(oned).put(12, "draining", 3)
    assert ("document.update" in oned.calls) is written
    assert oned.calls[-1] == "document.unlock"


def test_a_record_that_is_removed_before_its_lock_is_a_conflict() -> None:
    """The caller reads again and decides anew, instead of failing."""
    oned = PlayedOned(WRITTEN)
    records = played(oned)
    records.all()
    oned.gone = True
    with pytest.raises(Conflict, match=r"onext\.host\.12 was removed by another writer"):
        records.put(12, "draining", 3)
    assert records.get(12) is None
    records.remove(12, 3)
    assert "document.delete" not in oned.calls


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (f"<PHASE>off</PHASE><A>{'x' * LONGEST_VALUE}</A>", ""),
        (f"<PHASE>off</PHASE><A>{'x' * (LONGEST_VALUE + 1)}</A>", "A is repeated, nested or too long"),
        ("<PHASE>off</PHASE><PHASE>off</PHASE>", "PHASE is repeated, nested or too long"),
        ("<PHASE>off</PHASE>" + "".join(f"<A{n}/>" for n in range(63)), ""),
        ("<PHASE>off</PHASE>" + "".join(f"<A{n}/>" for n in range(64)), "more than 64 values"),
        ("<PHASE/>", "no such phase: "),
    ],
)
def test_a_record_beyond_its_bounds_is_invalid(values: str, problem: str) -> None:
    """What onext never wrote would authorise an action."""
    found = played(PlayedOned(values)).get(12)
    assert found is not None
    assert (found.value is None) is bool(problem)
    if problem:
        assert found.problem == f"record onext.host.12 (document 5) is invalid: {problem}"


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({f"K{n}": "" for n in range(63)}, True),
        ({f"K{n}": "" for n in range(64)}, False),
        ({"A": "x" * LONGEST_VALUE}, True),
        ({"A": "x" * (LONGEST_VALUE + 1)}, False),
        ({f"K{n}": "x" * (2**14) for n in range(3)} | {"A": "x" * (2**14 - 1)}, True),
        ({f"K{n}": "x" * (2**14) for n in range(4)}, False),
        ({"A" * 32: ""}, True),
        ({"A" * 33: ""}, False),
        ({"a": ""}, False),
    ],
)
def test_a_record_that_just_fits_is_written(values: dict[str, str], fits: bool) -> None:
    """The largest incident that can be recorded would not be, or a larger one would be cut by oned."""
    oned = PlayedOned(WRITTEN)
    records = Documents(oned, Kind("host", lambda _: values, decode))  # type: ignore[arg-type]
    if fits:
        assert records.put(12, "off", 3).version == 4
    else:
        with pytest.raises(Refused, match="too large or has an invalid key"):
            records.put(12, "off", 3)
    assert ("document.update" in oned.calls) is fits


def test_a_document_without_a_number_is_the_last_to_count() -> None:
    """Of two records of a name the one with the lowest id counts; none may be hidden by what is not an id."""
    oned = PlayedOned(WRITTEN, identity="x")
    found = played(oned).all()[12]
    assert (found.document, found.version, found.number) == (-1, 3, 12)


def test_a_lock_that_stays_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A host whose record stays locked for a minute has a reason in the log."""

    class Stuck(PlayedOned):
        def call(self, method: str, *arguments: object) -> int:
            if method == "document.unlock":
                raise OnedError("no leader")
            return super().call(method, *arguments)

    assert played(Stuck(WRITTEN)).put(12, "draining", 3).version == 4
    assert "document 5 was not unlocked: no leader" in caplog.text


def test_a_refused_record_names_its_first_keys() -> None:
    """Whoever reads the log learns nothing, or gets a page of keys."""
    wrong = Documents(PlayedOned(WRITTEN), Kind("host", lambda _: dict.fromkeys("abcd", ""), decode))  # type: ignore[arg-type]
    with pytest.raises(Refused, match=r"has an invalid key: \['a', 'b', 'c'\]$"):
        wrong.put(12, "off", 3)


@pytest.mark.parametrize(
    ("text", "version"),
    [("0", 0), ("1", 1), ("-2", -1), ("1000000000000000", 10**15), ("1000000000000001", -1), ("", -1)],
)
def test_a_version_is_a_number_that_a_writer_counted_to(text: str, version: int) -> None:
    """A write would follow upon a record that nobody read."""
    found = played(PlayedOned(f"<VERSION>{text}</VERSION><PHASE>off</PHASE>")).get(12)
    assert found is not None
    assert found.version == version
    written = played(PlayedOned(f"<VERSION>{text}</VERSION><PHASE>off</PHASE>")).put(12, "off", version)
    assert written.version == (1 if version < 0 else version + 1)

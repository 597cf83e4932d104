"""Payloads of hooks: recorded ones are read, forged and broken ones refused with a reason."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext import payload as payloads
from onext.payload import PayloadError, decode, event, valid_host_name


def encoded(xml: str) -> bytes:
    return base64.b64encode(xml.encode())


@pytest.mark.parametrize(
    ("name", "resource", "number", "object_name"),
    [
        ("host-monitored", "host", 0, "node-a1"),
        ("host-monitored.with-vms.after-enable", "host", None, None),
        ("host-error", "host", 8, "node-e1"),
        ("host-offline", "host", None, None),
        ("host-disabled", "host", None, None),
        ("vm-running", "vm", None, None),
        ("vm-running.after-live-migrate", "vm", None, None),
        ("api-one.vm.allocate", "call", 0, ""),
    ],
)
def test_every_recorded_payload_is_read(
    recordings: Path, name: str, resource: str, number: int | None, object_name: str | None
) -> None:
    """A hook that cannot read what oned sends loses every event."""
    happened = event((recordings / f"hooks/{name}.stdin.b64").read_bytes())
    assert happened.resource == resource
    assert happened.id >= 0
    assert number is None or happened.id == number
    assert object_name is None or happened.name == object_name


def test_the_argument_form_is_the_same(recordings: Path) -> None:
    """A hook registered without ARGUMENTS_STDIN gets the payload in argv: it must work too."""
    import json

    argv = json.loads((recordings / "hooks/vm-running.as-argv.json").read_text())
    words = argv["argv"] if isinstance(argv, dict) else argv
    assert event(words[-1].encode()).resource == "vm"


def test_a_payload_over_128_kib_is_read() -> None:
    """A host with hundreds of guests sends more than an argument may hold."""
    vms = "".join(f"<ID>{number}</ID>" for number in range(30_000))
    payload = encoded(f"<HOST><ID>7</ID><NAME>big</NAME><VMS>{vms}</VMS></HOST>")
    assert len(payload) > 128 << 10
    assert event(payload).id == 7


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no payload"),
        (b"\n", "no payload"),
        (b"PEhPU1Q", "cut"),
        (b"!!!!", "not base64|that base64 does not"),
        (b"PEhP\nU1Q+", "cut|that base64 does not|not base64"),
        (encoded("<HOST><ID>1</ID>"), "not XML"),
        (encoded('<!DOCTYPE x [<!ENTITY a "b">]><HOST><ID>1</ID><NAME>ab</NAME></HOST>'), "DOCTYPE"),
        (encoded("<HOST><ID>&a;</ID></HOST>"), "not XML"),
        (encoded("<HOST><ID>1</ID><NAME>-oProxyCommand=x</NAME></HOST>"), "gives no host the name"),
        (encoded("<HOST><ID>1</ID><NAME>a;b</NAME></HOST>"), "gives no host the name"),
        (encoded("<HOST><ID>1</ID><NAME>a\nb</NAME></HOST>"), "gives no host the name"),
        (encoded("<HOST><NAME>node</NAME></HOST>"), "not a number"),
        (encoded("<HOST><ID>-1</ID><NAME>node</NAME></HOST>"), "not a number"),
        (encoded("<HOST><ID>../../x</ID><NAME>node</NAME></HOST>"), "not a number"),
        (encoded("<HOST><ID>٣</ID><NAME>node</NAME></HOST>"), "not a number"),
        (encoded("<ZONE><ID>1</ID></ZONE>"), "not a HOST"),
    ],
)
def test_bad_payloads_are_refused(payload: bytes, reason: str) -> None:
    """A forged or broken payload must end in one line, not in a command or a traceback."""
    with pytest.raises(PayloadError, match=reason):
        event(payload)


def test_only_direct_children_count() -> None:
    """A tenant's ID or NAME deeper in the document must not become the object's."""
    xml = "<VM><ID>5</ID><NAME>a</NAME><TEMPLATE><ID>666</ID><NAME>evil</NAME></TEMPLATE></VM>"
    happened = event(encoded(xml))
    assert (happened.id, happened.name) == (5, "a")


@given(st.binary(max_size=300))
def test_base64_is_read_as_oned_writes_it(data: bytes) -> None:
    """What oned encodes must come back whole, whatever it is."""
    if data:
        assert decode(base64.b64encode(data)) == data


@given(st.binary(max_size=200))
def test_garbage_never_raises_anything_else(garbage: bytes) -> None:
    """A hook's caller sees a reason, never a traceback."""
    for payload in (garbage, base64.b64encode(garbage)):
        try:
            happened = event(payload)
        except PayloadError:
            continue
        assert happened.resource in ("host", "vm", "call")


@given(st.text(max_size=20))
def test_no_valid_name_is_an_option_or_holds_shell_characters(name: str) -> None:
    """The name ends up in ssh's arguments."""
    if valid_host_name(name):
        assert not name.startswith("-")
        assert not set(name) & set(" \t\n;|&$`'\"<>()\\{}*?~#!=:")


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a", True), ("", False), ("a" * 128, True), ("a" * 129, False), ("node-1.b_c", True), ("10.0.0.1", True),
        ("-a", False), ("a-", False), (".a", False), ("a.", False), ("a b", False), ("a/b", False), ("ä", False),
        ("a\n", False), ("٣", False),
    ],
)  # fmt: skip
def test_a_host_name_is_what_oned_takes_for_one(name: str, valid: bool) -> None:
    """A name that ssh or a path reads differently reaches another machine, or a valid host is left out."""
    assert valid_host_name(name) is valid


@pytest.mark.parametrize(
    ("states", "state", "lcm"),
    [
        ("<STATE>3</STATE><LCM_STATE>16</LCM_STATE>", 3, 16),
        ("<STATE>8</STATE>", 8, 0),
        ("<LCM_STATE>0</LCM_STATE>", -1, 0),
        ("<STATE>x</STATE><LCM_STATE>y</LCM_STATE>", -1, 0),
        ("<STATE>-1</STATE><LCM_STATE>1234567890</LCM_STATE>", -1, 0),
        ("<STATE>123456789</STATE><LCM_STATE/>", 123456789, 0),
    ],
)
def test_the_states_of_an_event_are_those_that_oned_sent(states: str, state: int, lcm: int) -> None:
    """A part that waits for a state would never hear of it, or of one that never was."""
    happened = event(encoded(f"<VM><ID>5</ID><NAME>a</NAME>{states}</VM>"))
    assert (happened.resource, happened.id, happened.state, happened.lcm) == ("vm", 5, state, lcm)


def parameters(*rows: tuple[str, str, str], depth: str = "PARAMETERS") -> str:
    """Return a call with these parameters."""
    inside = "".join(
        f"<PARAMETER><POSITION>{p}</POSITION><TYPE>{t}</TYPE><VALUE>{v}</VALUE></PARAMETER>"
        for p, t, v in rows
    )
    return f"<CALL_INFO><NAME>one.vm.action</NAME><{depth}>{inside}</{depth}><RESULT>1</RESULT></CALL_INFO>"


@pytest.mark.parametrize(
    ("rows", "resource", "number"),
    [
        ([("1", "IN", "x"), ("2", "IN", " 17 "), ("3", "IN", "9"), ("2", "OUT", "8")], "vm", 17),
        ([("2", "IN", "123456789")], "vm", 123456789),
        ([("2", "IN", "1234567890")], "call", 0),
        ([("2", "IN", "resume")], "call", 0),
        ([("2", "OUT", "17")], "call", 0),
        ([("1", "IN", "17")], "call", 0),
        ([], "call", 0),
    ],
)
def test_a_call_names_the_vm_of_its_first_argument(
    rows: list[tuple[str, str, str]], resource: str, number: int
) -> None:
    """Another VM than that of the call would be looked at, or none."""
    happened = event(encoded(parameters(*rows)))
    assert (happened.resource, happened.id, happened.name) == (resource, number, "")


def test_only_the_parameters_of_a_call_count() -> None:
    """What a tenant wrote into a template that is an argument would name another VM."""
    deeper = (
        "<PARAMETER><POSITION>2</POSITION><TYPE>IN</TYPE><VALUE><A><VALUE>17</VALUE></A></VALUE></PARAMETER>"
    )
    assert event(encoded(f"<CALL_INFO><PARAMETERS>{deeper}</PARAMETERS></CALL_INFO>")).resource == "call"
    other = parameters().replace("<PARAMETERS>", "<PARAMETERS><A><POSITION>2</POSITION><TYPE>IN</TYPE></A>")
    assert event(encoded(other)).resource == "call"


@pytest.mark.parametrize(("more", "refused"), [(0, False), (4, True)])
def test_a_payload_beyond_the_limit_is_refused(
    more: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook would take all memory of the front-end, or lose the event of a large host."""
    payload = encoded("<VM><ID>5</ID></VM>")
    monkeypatch.setattr(payloads, "LIMIT", len(payload) - more)
    if refused:
        with pytest.raises(PayloadError, match="the payload is larger than"):
            event(payload)
    else:
        assert event(payload).id == 5


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (f"<{'A' * 41}/>", f"the payload is a <{'A' * 40}>, not a HOST, VM or CALL_INFO"),
        (f"<VM><ID>{'1' * 41}</ID></VM>", f"the payload's ID is {'1' * 40!r}, not a number"),
        ("<VM><ID>1234567890</ID></VM>", "the payload's ID is '1234567890', not a number"),
        (f"<HOST><ID>123456789</ID><NAME>{'-' * 81}</NAME></HOST>",
         f"host 123456789: oned gives no host the name {'-' * 80!r}"),
    ],
)  # fmt: skip
def test_a_refusal_shows_what_was_sent_as_far_as_a_line_goes(xml: str, reason: str) -> None:
    """Whoever reads oned's log cannot tell what was wrong, or finds a page of it."""
    with pytest.raises(PayloadError) as refused:
        event(encoded(xml))
    assert str(refused.value) == reason

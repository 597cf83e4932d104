"""Payloads of hooks: recorded ones are read, forged and broken ones refused with a reason."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

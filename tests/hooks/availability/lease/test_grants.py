"""The records of leases: what is written is what is read, and what is out of bounds is refused."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from hooks.availability.lease import grants
from hooks.availability.lease.grants import ARMED, GRANTS, MOST_HOSTS, Armed, Arming, Granted, Grants

HOSTS = {host: Granted("b" * 36, host % 2 == 0, 1_800_000_000.0 + host) for host in range(MOST_HOSTS)}
FULL = Grants(1 << 50, 2, 77, "w" * 16, 312.5, 1_800_000_000.25, HOSTS)
ONE = Armed(Arming.ARMED, "host-7", "a" * 64, "k" * 64, 65_535, 1_800_000_000.125)


def test_a_record_of_all_hosts_comes_back() -> None:
    """A new leader that reads fewer hosts proves nothing about the others."""
    assert GRANTS.decode(GRANTS.encode(FULL)) == FULL


def test_a_body_of_several_parts_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document's attribute is bounded: a large zone needs more than one."""
    monkeypatch.setattr(grants, "_CHUNK", 100)
    values = GRANTS.encode(FULL)
    assert "BODY2" in values
    assert GRANTS.decode(values) == FULL


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EPOCH", "-2"), ("EPOCH", str((1 << 60) + 1)), ("EPOCH", "x"), ("SERVER", "1000000001"),
        ("TERM", str(10**15 + 1)), ("LONGEST", "-0.1"), ("LONGEST", "86400.1"), ("LONGEST", "nan"),
        ("AT", "1e13"), ("AT", "-1"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(name: str, value: str) -> None:
    """A record that waits for days, or for nothing, would keep VMs down or start them twice."""
    with pytest.raises(ValueError, match=name):
        GRANTS.decode({**GRANTS.encode(FULL), name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("EPOCH", "9" * 15), ("SERVER", "1000000000"), ("TERM", str(10**15)), ("LONGEST", "86400")]
)  # fmt: skip
def test_a_number_at_its_limit_is_read(name: str, value: str) -> None:
    """The longest lease of the settings must be readable."""
    assert GRANTS.decode({**GRANTS.encode(FULL), name: value})


def packed(text: bytes) -> dict[str, str]:
    """Return a record with this body."""
    return {
        **GRANTS.encode(Grants(1, 0, 1, "w", 1.0, 1.0)),
        "BODY0": base64.b64encode(zlib.compress(text)).decode(),
    }


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"[" * 5000, b'{"x": ["b", 1, 5]}', b'{"7": ["b", 2, 5]}', b'{"7": ["b", 1, -1]}',
        b'{"7": ["b", 1]}', b'{"7": [5, 1, 5]}', b'{"7": ["b", 1, 5.5]}', b'{"7": ["' + b"b" * 65 + b'", 1, 5]}',
        b'{"7": ["b", 1, 1000000000001]}', b"{" + b" " * (1 << 19) + b"}",
    ],
)  # fmt: skip
def test_a_body_that_is_no_list_of_hosts_is_refused(body: bytes) -> None:
    """One wrong row would count as a host that answered."""
    with pytest.raises(ValueError, match=r"."):
        GRANTS.decode(packed(body))


def test_a_row_at_its_limits_is_read() -> None:
    """A boot id is 36 characters long, and others may be longer."""
    body = json.dumps({"7": ["b" * 64, 0, 10**12]}).encode()
    assert GRANTS.decode(packed(body)).hosts == {7: Granted("b" * 64, held=False, at=1e12)}


def test_more_hosts_than_a_zone_has_are_refused() -> None:
    """Work is bounded whatever the record holds."""
    rows = {str(host): ["b", 1, 5] for host in range(MOST_HOSTS + 1)}
    with pytest.raises(ValueError, match="more than"):
        GRANTS.decode(packed(json.dumps(rows).encode()))


@pytest.mark.parametrize("body", ["*", "AAAA", "AAA"])
def test_a_body_that_is_not_packed_is_refused(body: str) -> None:
    """A damaged document is one line in the log."""
    with pytest.raises(ValueError, match="cannot be read"):
        GRANTS.decode({**packed(b"{}"), "BODY0": body})


def test_an_armed_host_comes_back() -> None:
    """Without its salt its key is another one, and it is never granted again."""
    assert ARMED.decode(ARMED.encode(ONE)) == ONE


@pytest.mark.parametrize(
    ("name", "value"), [("STATE", "off"), ("PORT", "65536"), ("PORT", "-2"), ("AT", "1e13"), ("AT", "x")]
)
def test_an_armed_host_out_of_bounds_is_refused(name: str, value: str) -> None:
    """A record that cannot be used names its number."""
    with pytest.raises(ValueError, match=rf"{name}|not a valid"):
        ARMED.decode({**ARMED.encode(ONE), name: value})

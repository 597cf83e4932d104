"""Incidents survive as documents, and nothing else passes for one."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.availability import records
from hooks.availability.model import Entry, Incident, Phase, Stage
from hooks.availability.records import INCIDENT, decode, encode
from onext.oned.template import render

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
ENTRIES = st.builds(
    Entry,
    vm=st.integers(0, 10**6),
    seq=st.integers(0, 99),
    priority=st.integers(1, 9),
    stage=st.sampled_from(Stage),
    tried=st.tuples(st.integers(0, 99)),
    started=st.floats(0, 2e9),
    reason=TEXT,
)
INCIDENTS = st.builds(
    Incident,
    host=st.integers(0, 10**6),
    name=TEXT,
    cluster=st.integers(0, 999),
    phase=st.sampled_from(Phase),
    first=st.floats(0, 2e9),
    since=st.floats(0, 2e9),
    reason=TEXT,
    entries=st.lists(ENTRIES, max_size=5, unique_by=lambda one: one.vm).map(tuple),
    alarms=st.lists(TEXT, max_size=3).map(tuple),
)
PLAIN = Incident(7, "node", 100, Phase.HELD, 1.0, 2.0)


@given(INCIDENTS)
def test_an_incident_is_read_as_it_was_written(incident: Incident) -> None:
    """Another leader proceeds from the record alone."""
    values = encode(incident)
    assert decode(values) == incident
    assert render(values)


def test_a_record_is_valid_as_it_is_written() -> None:
    """The cases below would be refused for another reason than theirs."""
    assert INCIDENT.decode(packed(BODY)) == PLAIN


def test_a_large_incident_fits_a_document() -> None:
    """A host with many VMs is where availability matters most."""
    entries = tuple(Entry(n, 1, 5, reason="x" * 60) for n in range(500))
    values = encode(replace(PLAIN, entries=entries))
    assert sum(map(len, values.values())) < 60_000
    assert len(decode(values).entries) == 500


def packed(text: str) -> dict[str, str]:
    """Return the values of a document with this body."""
    return {"BODY0": base64.b64encode(zlib.compress(text.encode())).decode(), "HOST": "7", "PHASE": "held"}


BODY = zlib.decompress(base64.b64decode(encode(PLAIN)["BODY0"])).decode()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"BODY0": "!!"},
        packed("[" * 100_000),
        packed("{}"),
        packed(BODY.replace('"first":1.0', '"first":NaN')),
        packed(BODY.replace('"first":1.0', '"first":1e99')),
        packed(BODY.replace('"held"', '"freed"')),
        packed(BODY.replace('"host":7', '"host":8')),
        {**packed(BODY), "PHASE": "fencing"},
        {key: value for key, value in packed(BODY).items() if key != "PHASE"},
        dict(encode(replace(PLAIN, entries=(Entry(1, 1, 5), Entry(1, 2, 5))))),
        packed(BODY.replace('"disabled":false', '"disabled":"no"')),
        {**packed("x"), "BODY0": base64.b64encode(zlib.compress(b" " * 10**8)).decode()},
    ],
)
def test_what_is_not_an_incident_is_refused(values: dict[str, str]) -> None:
    """A damaged record authorises nothing, and its size is bounded."""
    with pytest.raises((ValueError, KeyError)):
        INCIDENT.decode(values)


@pytest.mark.parametrize("field", ["first", "since", "fenced", "started"])
@pytest.mark.parametrize(("time", "valid"), [(0.0, True), (1e12, True), (1.1e12, False), (-1.0, False)])
def test_a_time_is_one_that_a_clock_can_show(field: str, time: float, valid: bool) -> None:
    """A host would be confirmed dead at once, or never."""
    entry = Entry(1, 1, 5, started=time if field == "started" else 0.0)
    changes = {} if field == "started" else {field: time}
    values = encode(replace(PLAIN, entries=(entry,), **changes))  # type: ignore[arg-type]
    if valid:
        assert decode(values).entries == (entry,)
    else:
        with pytest.raises(ValueError, match="contradict each other or are out of range"):
            decode(values)


@pytest.mark.parametrize("field", ["name", "reason", "error", "proof", "confirmed", "alarms", "entry"])
@pytest.mark.parametrize(("length", "valid"), [(1000, True), (1001, False)])
def test_a_text_has_a_longest_form(field: str, length: int, valid: bool) -> None:
    """A record that another writer filled would be logged and mailed with each round."""
    text = "x" * length
    given: dict[str, dict[str, object]] = {
        "alarms": {"alarms": (text,)},
        "entry": {"entries": (Entry(1, 1, 5, reason=text),)},
    }
    changes = given.get(field, {field: text})
    values = encode(replace(PLAIN, **changes))  # type: ignore[arg-type]
    if valid:
        assert decode(values).host == 7
    else:
        with pytest.raises(ValueError, match="contradict each other or are out of range"):
            decode(values)


@pytest.mark.parametrize(("host", "valid"), [(0, True), (-1, False)])
def test_a_record_is_that_of_a_host(host: int, valid: bool) -> None:
    """The record of no host would authorise an order."""
    values = encode(replace(PLAIN, host=host))
    if valid:
        assert decode(values).host == host
    else:
        with pytest.raises(ValueError, match="out of range"):
            decode(values)


def test_a_record_of_several_values_is_whole_or_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an incident would be taken for one without VMs."""
    monkeypatch.setattr(records, "_CHUNK", 20)
    values = dict(encode(PLAIN))
    assert len(values) > 5
    assert decode(values) == PLAIN
    for missing in ("BODY0", "BODY2", f"BODY{len(values) - 3}"):
        with pytest.raises((ValueError, KeyError)):
            decode({key: value for key, value in values.items() if key != missing})


def test_a_body_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes would unpack to gigabytes in the worker."""
    monkeypatch.setattr(records, "_LARGEST", len(BODY))
    assert decode(encode(PLAIN)) == PLAIN
    monkeypatch.setattr(records, "_LARGEST", len(BODY) - 1)
    with pytest.raises(ValueError, match="EOF"):
        decode(encode(PLAIN))

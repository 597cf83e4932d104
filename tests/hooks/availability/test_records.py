"""Incidents survive as documents, and nothing else passes for one."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    entries=st.lists(ENTRIES, max_size=5).map(tuple),
    alarms=st.lists(TEXT, max_size=3).map(tuple),
)
PLAIN = Incident(7, "node", 100, Phase.HELD, 1.0, 2.0)


@given(INCIDENTS)
def test_an_incident_is_read_as_it_was_written(incident: Incident) -> None:
    """Another leader proceeds from the record alone."""
    values = encode(incident)
    assert decode(values) == incident
    assert render(values)


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
        packed(BODY.replace('"disabled":false', '"disabled":"no"')),
        {**packed("x"), "BODY0": base64.b64encode(zlib.compress(b" " * 10**8)).decode()},
    ],
)
def test_what_is_not_an_incident_is_refused(values: dict[str, str]) -> None:
    """A damaged record authorises nothing, and its size is bounded."""
    with pytest.raises((ValueError, KeyError)):
        INCIDENT.decode(values)

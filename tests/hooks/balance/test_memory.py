"""What balancing remembers, as a document of oneadmin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.balance.memory import decode, encode, remember, remembered
from hooks.balance.model import Past
from onext.part import Context
from onext.paths import Paths
from tests.onext.hosts.document_pool import DocumentPool

HOSTS = st.dictionaries(st.integers(0, 2**31), st.integers(0, 10**9), max_size=30)
VMS = st.dictionaries(st.integers(0, 2**31), st.integers(0, 10**12).map(float), max_size=30)


def test_a_new_leader_knows_what_was_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is a process of its own, on whichever server leads: else a VM would move every five minutes."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    pool = DocumentPool()
    monkeypatch.setattr(Context, "oned", pool)
    assert remembered(Context(Paths.find()), 100) == Past()
    remember(Context(Paths.find()), 100, Past({1: 2}, {7: 5.0}), {8: 6.0})
    assert remembered(Context(Paths.find()), 100) == Past({1: 2}, {7: 5.0, 8: 6.0})
    assert remembered(Context(Paths.find()), 101) == Past()


@given(HOSTS, VMS)
def test_every_past_survives_its_document(loaded: dict[int, int], moved: dict[int, float]) -> None:
    """A host that is forgotten waits for three rounds more; a VM that is forgotten moves twice."""
    assert decode(encode(Past(loaded, moved))) == Past(loaded, moved)


@pytest.mark.parametrize("text", ["1", "1:x", "x:1", "1:nan", "1:-1", "99999999999:1"])
def test_nonsense_in_a_document_is_refused(text: str) -> None:
    """A limit that rests on nonsense is none."""
    with pytest.raises(ValueError, match="not a pair of numbers"):
        decode({"MOVED0": text})

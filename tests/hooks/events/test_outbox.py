"""Events are committed before they are sent; each sink has its own numbers without gaps."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.events.changes import Change, Known, difference
from hooks.events.database import OutboxError
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox

States = st.dictionaries(
    st.builds(Object, st.sampled_from(["vm", "host"]), st.integers(0, 4)),
    st.fixed_dictionaries({"state": st.sampled_from(["A", "B"]), "host": st.integers(0, 2)}),
    max_size=6,
)


def everything(_: Change) -> bool:
    """Accept every change."""
    return True


def only_vms(change: Change) -> bool:
    """Accept changes of VMs."""
    return change.object.kind == "vm"


@settings(max_examples=60, deadline=None)
@given(st.lists(States, max_size=8))
def test_a_receiver_that_applies_all_events_has_the_state_of_the_cloud(
    tmp_path_factory: pytest.TempPathFactory, states: list[Mapping[Object, Facts]]
) -> None:
    """A mirror that drifts from the cloud is worth nothing."""
    outbox = Outbox(tmp_path_factory.mktemp("outbox") / "events.db")
    for state in states:
        outbox.append(difference(outbox.known(), state), {"all": everything, "vms": only_vms}, 0.0)
    mirror: dict[Object, object] = {}
    for event in outbox.pending("all", 10_000):
        if event.type.endswith(".deleted"):
            del mirror[event.subject]
        else:
            mirror[event.subject] = event.facts
    assert mirror == (states[-1] if states else {})
    for name in ("all", "vms"):
        numbers = [event.number for event in outbox.pending(name, 10_000)]
        assert numbers == list(range(1, len(numbers) + 1))
    ids = [event.id for event in outbox.pending("all", 10_000)]
    assert len(set(ids)) == len(ids)
    outbox.close()


def test_an_object_that_cannot_be_read_is_not_gone() -> None:
    """One malformed answer must not tell receivers that a VM was deleted."""
    thing = Object("vm", 1)
    known = {thing: Known({"state": "A"}, "e1")}
    assert not list(difference(known, {}, unknown={thing}))
    assert [change.type for change in difference(known, {})] == ["io.opennebula.onext.vm.deleted"]


def test_equal_histories_have_equal_ids() -> None:
    """A receiver drops a doubled event by its id, also one that another server sent."""
    thing, states = Object("vm", 1), [{"state": "A"}, {"state": "B"}, {"state": "A"}, {"state": "B"}]

    def ids() -> list[str]:
        known: dict[Object, Known] = {}
        found = []
        for state in states:
            (change,) = difference(known, {thing: state})
            known[thing] = Known(state, change.id)
            found.append(change.id)
        return found

    assert ids() == ids()
    assert len(set(ids())) == 4


def test_dead_letters_do_not_stop_what_follows(tmp_path: Path) -> None:
    """One event that a receiver can never accept must not end the stream."""
    outbox = Outbox(tmp_path / "events.db")
    changes = [*difference({}, {Object("vm", n): {"state": "A"} for n in range(3)})]
    outbox.append(changes, {"one": everything}, 0.0)
    outbox.bury("one", 1, "HTTP 400")
    assert [event.number for event in outbox.pending("one")] == [2, 3]
    outbox.acknowledged("one", 3)
    assert outbox.sink("one").lag == 0


def test_pruning_reports_what_a_sink_lost(tmp_path: Path) -> None:
    """Events that are dropped before a sink had them are an alert, not a detail."""
    outbox = Outbox(tmp_path / "events.db")
    outbox.append(
        difference({}, {Object("vm", n): {"state": "A"} for n in range(10)}), {"one": everything}, 5.0
    )
    assert outbox.prune(before=100.0, most=100) == {}
    assert len(outbox.pending("one")) == 10
    outbox.acknowledged("one", 4)
    outbox.prune(before=100.0, most=100)
    assert [event.number for event in outbox.pending("one")] == list(range(5, 11))
    assert outbox.prune(before=0.0, most=3) == {"one": 3}


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A rolled-back version must not damage what a newer one wrote."""
    outbox = Outbox(tmp_path / "events.db")
    outbox._db.execute("PRAGMA user_version = 99")
    outbox.close()
    with pytest.raises(OutboxError, match="newer version"):
        Outbox(tmp_path / "events.db")


WRITER = """
import sys
from pathlib import Path
from hooks.events.changes import difference
from hooks.events.facts import Object
from hooks.events.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
step = 0
print("ready", flush=True)
while True:
    step += 1
    state = {Object("vm", n): {"step": step} for n in range(20)}
    outbox.append(difference(outbox.known(), state), {"one": lambda change: True}, float(step))
"""


@pytest.mark.process
def test_sigkill_between_any_two_statements_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A worker that is killed must leave an outbox whose events and states agree."""
    chance = random.Random(7)
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "events.db")], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(chance.uniform(0.05, 0.3))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        outbox = Outbox(tmp_path / "events.db")
        events = outbox.pending("one", 1_000_000)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        mirror = {event.subject: event.facts for event in events}
        assert mirror == {thing: known.facts for thing, known in outbox.known().items() if not known.gone}
        outbox.close()

"""A receiver that starts late converges by a snapshot."""

from __future__ import annotations

from pathlib import Path

from hooks.events import filters
from hooks.events.changes import difference
from hooks.events.epoch import RIGHT, Epoch
from hooks.events.facts import Facts, Object
from hooks.events.outbox import Outbox
from onext.settings.events import EventSink


def apply(mirror: dict[str, object], events: object) -> dict[str, object]:
    """Apply events by the documented rules of receivers."""
    held: set[str] | None = None
    for event in events:  # type: ignore[attr-defined]
        name, verb = str(event.subject), event.type.rpartition(".")[2]
        if event.type.endswith("snapshot.begin"):
            held = set()
        elif event.type.endswith("snapshot.end"):
            for gone in set(mirror) - (held or set()):
                del mirror[gone]
            held = None
        elif verb == "deleted":
            mirror.pop(name, None)
        else:
            mirror[name] = dict(event.facts)
            if held is not None:
                held.add(name)
    return mirror


def test_a_receiver_with_a_wrong_state_converges(tmp_path: Path) -> None:
    """After a change of leader receivers hold what the former leader sent, and miss what it did not."""
    outbox = Outbox(tmp_path / "events.db")
    state: dict[Object, Facts] = {Object("vm", n): {"state": "A", "cluster": 1} for n in range(5)}
    everything = filters.accepts(EventSink(name="one"))
    outbox.append(difference(outbox.known(), state), {"one": everything}, 1.0)
    outbox.snapshot("one", everything, "e2", 2.0)
    state[Object("vm", 9)] = {"state": "B", "cluster": 1}
    outbox.append(difference(outbox.known(), state), {"one": everything}, 3.0)
    events = outbox.pending("one", 1000)
    assert [event.number for event in events] == list(range(events[0].number, events[0].number + len(events)))
    mirror = apply({"vm/77": {"state": "X"}, "vm/1": {"state": "old"}}, events)
    assert mirror == {str(thing): dict(values) for thing, values in state.items()}
    outbox.close()


def test_filters_choose_by_type_and_cluster(tmp_path: Path) -> None:
    """A tenant's receiver must not get what it was not meant to get."""
    (change,) = difference({}, {Object("vm", 1): {"state": "A", "cluster": 100}})
    assert filters.accepts(EventSink(name="a", types=("vm.*",), clusters=(100,)))(change)
    assert not filters.accepts(EventSink(name="a", types=("host.*",)))(change)
    assert not filters.accepts(EventSink(name="a", types=("vm.state",)))(change)
    assert not filters.accepts(EventSink(name="a", clusters=(101,)))(change)


def test_the_right_to_send_ends_without_a_write() -> None:
    """A leader that is cut off must stop sending before its successor begins."""
    clock = [0.0]
    epoch = Epoch(lambda: clock[0])
    assert not epoch.may_send
    epoch._until = RIGHT
    assert epoch.may_send
    clock[0] = RIGHT
    assert not epoch.may_send

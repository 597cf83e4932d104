"""What waits, what is in work, and when a failure is tried again."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from onext.part import Key
from onext.worker.queue import LONGEST_DELAY, Queue

ONE = Key("geolocation", "host", 1)


def test_an_event_during_work_means_once_more() -> None:
    """What changed while we looked must be looked at again."""
    queue = Queue()
    queue.add(ONE, 0)
    queue.start(ONE)
    queue.add(ONE, 1)
    assert queue.due(2) == []
    queue.done(ONE)
    assert queue.due(2) == [ONE]


def test_failures_wait_longer_and_longer_but_not_for_ever() -> None:
    """A dead host must not be asked every second, nor forgotten."""
    queue, delays = Queue(), []
    queue.add(ONE, 0)
    for _ in range(20):
        queue.start(ONE)
        delays.append(queue.failed(ONE, 0))
    assert delays == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, *[600.0] * 11]
    assert (queue.due(599.9), queue.due(600.0), queue.next_due()) == ([], [ONE], 600.0)


def test_an_event_ends_the_waiting() -> None:
    """A host that came back is looked at now, not in ten minutes."""
    queue = Queue()
    queue.add(ONE, 0)
    queue.start(ONE)
    queue.failed(ONE, 0)
    assert queue.due(0) == []
    queue.add(ONE, 0)
    assert queue.due(0) == [ONE]
    queue.add(ONE, 9)
    assert queue.due(0) == [ONE], "a queue that does not let events settle delays none"


def test_events_settle_but_not_for_long() -> None:
    """A pass for each of a hundred events, or none while VMs start all day, would both be wrong."""
    queue = Queue(settle=1.0, longest=5.0)
    queue.add(ONE, 0.0)
    assert queue.due(0.9) == []
    queue.add(ONE, 0.9)
    assert queue.due(1.5) == []
    assert queue.due(1.9) == [ONE]
    for tenth in range(10, 60):
        queue.add(ONE, tenth / 10)
    assert queue.due(4.9) == []
    assert queue.due(5.0) == [ONE]


def test_a_failure_that_waits_is_tried_when_events_settle() -> None:
    """An event during a long back-off is answered within a second or two."""
    queue = Queue(settle=1.0, longest=5.0)
    queue.add(ONE, 0.0)
    queue.start(ONE)
    for _ in range(9):
        queue.failed(ONE, 10.0)
        queue.start(ONE)
    queue.failed(ONE, 10.0)
    queue.add(ONE, 20.0)
    assert queue.due(21.0) == [ONE]


def test_a_sweep_does_not_end_the_waiting() -> None:
    """Else every round would ask all dead hosts."""
    queue = Queue()
    queue.add(ONE, 0)
    queue.start(ONE)
    queue.failed(ONE, 0)
    queue.offer([ONE], 0)
    assert queue.due(0) == []


TWO = Key("geolocation", "host", 2)


def test_a_success_ends_the_row_of_failures() -> None:
    """A host that failed last week would be tried again after ten minutes instead of two seconds."""
    queue = Queue()
    queue.add(ONE, 0)
    for _ in range(3):
        queue.start(ONE)
        queue.failed(ONE, 0)
    queue.start(ONE)
    queue.done(ONE)
    queue.add(ONE, 0)
    queue.start(ONE)
    assert queue.failed(ONE, 0) == 2.0


def test_what_could_not_be_begun_has_not_failed() -> None:
    """A round that finds another one under way would wait longer and longer, or be tried without a pause."""
    queue = Queue()
    queue.add(ONE, 0)
    queue.start(ONE)
    queue.failed(ONE, 0)
    queue.start(ONE)
    queue.busy(ONE, 7.0)
    assert (queue.due(6.9), queue.due(7.0), queue.in_work(ONE)) == ([], [ONE], False)
    queue.start(ONE)
    assert queue.failed(ONE, 0) == 4.0
    queue.start(ONE)
    queue.add(ONE, 1.0)
    queue.busy(ONE, 7.0)
    assert queue.due(1.0) == [ONE], "an event that came meanwhile is answered at once"


def test_what_waits_and_what_is_in_work_is_counted_once() -> None:
    """`status` would show a queue that grows, or the worker sleep while something is due."""
    queue = Queue()
    assert (len(queue), queue.next_due()) == (0, None)
    queue.later(ONE, 5.0)
    queue.later(ONE, 3.0)
    queue.later(TWO, 4.0)
    assert (len(queue), queue.next_due(), queue.waits(ONE)) == (2, 4.0, True)
    queue.start(TWO)
    queue.later(TWO, 1.0)
    assert (len(queue), queue.next_due(), queue.in_work(TWO)) == (2, 5.0, True)
    queue.offer([TWO], 0.0)
    queue.done(TWO)
    assert (queue.due(1.0), queue.in_work(TWO), queue.waits(TWO)) == ([TWO], False, True)
    queue.start(TWO)
    queue.offer([TWO], 0.0)
    queue.done(TWO)
    assert not queue.waits(TWO), "what is in work is not offered once more"


class AnyOrder(RuleBasedStateMachine):
    """Events, starts and ends in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.now = 0.0
        self.owed: set[Key] = set()  # keys with an event that no success that began later has answered
        self.working: set[Key] = set()
        self.again: set[Key] = set()

    @rule(number=st.integers(0, 3))
    def event(self, number: int) -> None:
        key = Key("p", "host", number)
        self.queue.add(key, self.now)
        self.owed.add(key)
        if key in self.working:
            self.again.add(key)

    @rule(seconds=st.floats(0, 1000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.queue.due(self.now))
    @rule()
    def start(self) -> None:
        key = self.queue.due(self.now)[0]
        assert key not in self.working
        self.queue.start(key)
        self.working.add(key)

    @precondition(lambda self: self.working)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        key = self.working.pop()
        if fails:
            self.queue.failed(key, self.now)
        else:
            self.queue.done(key)
            if key not in self.again:
                self.owed.discard(key)
        self.again.discard(key)

    @invariant()
    def nothing_owed_is_forgotten(self) -> None:
        later = set(self.queue.due(self.now + LONGEST_DELAY))
        assert self.owed <= later | self.working


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

"""Accounting records as arrivals."""

from hooks.power.history import accounting, known
from hooks.power.simulate.weeks import Arrival
from onext.hosts.placement.problem import Size
from onext.xml import parse

RECORD = (
    "<HISTORY><OID>{vm}</OID><CID>{cluster}</CID><STIME>{start}</STIME><ETIME>{end}</ETIME>"
    "<VM><TEMPLATE><CPU>0.5</CPU><MEMORY>512</MEMORY></TEMPLATE></VM></HISTORY>"
)


def test_a_vm_that_moved_comes_once() -> None:
    """Each migration would count as one more VM, and the savings would be wrong."""
    rows = [
        (1, 100, 1000, 1500),
        (1, 100, 1500, 2000),
        (2, 101, 1000, 2000),
        (3, 100, 500, 0),
        (4, 100, 900, 950),
    ]
    text = "".join(RECORD.format(vm=v, cluster=c, start=s, end=e) for v, c, s, e in rows)
    found = accounting(parse(f"<HISTORY_RECORDS>{text}</HISTORY_RECORDS>"), 100, 1000.0, 3600.0)
    assert sorted((a.at, a.stays) for a in found) == [(0, 1000), (0, 3600)]
    assert found[0].size == Size(50, 512)


def test_the_time_before_the_first_vm_is_no_past() -> None:
    """A cluster of a week would be praised for three weeks in which it was not there."""
    arrivals = [Arrival(100.0, Size(1, 1), 50.0), Arrival(40.0, Size(1, 1), 5.0)]
    moved, seconds = known(arrivals, 1000.0)
    assert ([arrival.at for arrival in moved], seconds) == ([60.0, 0.0], 960.0)
    assert known([], 1000.0) == ([], 1000.0)

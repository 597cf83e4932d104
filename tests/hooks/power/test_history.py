"""Accounting records as arrivals."""

from hooks.power.history import accounting
from hooks.power.planner.problem import Size
from onext.xml import parse

RECORD = (
    "<HISTORY><OID>{vm}</OID><CID>{cluster}</CID><STIME>{start}</STIME><ETIME>{end}</ETIME>"
    "<VM><TEMPLATE><CPU>0.5</CPU><MEMORY>512</MEMORY></TEMPLATE></VM></HISTORY>"
)


def test_a_guest_that_moved_comes_once() -> None:
    """Each migration would count as one more guest, and the savings would be wrong."""
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

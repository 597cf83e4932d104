"""What hub and nodes are told of packet sizes."""

from __future__ import annotations

import pytest

from edge import answer, sizes
from hooks.edge import answers, hub_list
from onext.settings.edge import Edge
from tests.edge.test_program import told
from tests.hooks.edge.test_introductions import ZONE, nodes


@pytest.mark.parametrize(
    ("settings", "small", "most"),
    [
        (Edge(), 1280, 1420),
        (Edge(mtu_most=1280), 1280, 1280),
        (Edge(mtu=1400, mtu_most=1300), 1400, 1400),
        (Edge(mtu=1400), 1400, 1420),
    ],
)
def test_the_hub_answers_the_largest_echo_in_full_size(settings: Edge, small: int, most: int) -> None:
    """A hub with a smaller MTU cuts its answers into pieces: a way would pass for larger than it is."""
    known = nodes(100)
    state = answers.state(ZONE, {}, known, 0, settings)
    assert (state["mtu"], sizes.largest(state)) == (small, most)
    assert hub_list.document(ZONE, known, 0, settings)["mtu"] == most


def test_a_front_end_without_sizes_fixes_one() -> None:
    """Nodes are updated before their front-ends, or after."""
    assert sizes.largest(answer.checked(told(mtu=1300))) == 1300
    assert sizes.largest(answer.checked(told(mtu=1300, mtu_most=1400))) == 1400
    assert sizes.largest({"mtu": 1280}) == 1280, "a state file of an older program"

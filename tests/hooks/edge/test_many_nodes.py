"""A rack of nodes that is switched on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from edge import messages, word
from edge.errors import Refused
from hooks.edge import requests
from hooks.edge.office import Office
from tests.hooks.edge.front_end import FrontEnd, Machine

pytestmark = pytest.mark.process


def test_200_nodes_join_at_once(front_end: FrontEnd) -> None:
    """A rack that is switched on joins in one minute, and no address is given twice."""
    token = front_end.token("--uses", "200")
    offices = Office(lambda: front_end.context)
    key = word.read(token).key

    def join(number: int) -> str:
        asked = Machine(f"edge-{number}").join(token)
        return str(messages.opened(asked, key, offices.handle(requests.read(asked.data)))["address"])

    with ThreadPoolExecutor(8) as pool:
        addresses = list(pool.map(join, range(200)))
    assert len(set(addresses)) == 200
    assert len(front_end.hub()["peers"]) == 200
    with pytest.raises(Refused, match="used 200 of 200"):
        front_end.join(Machine("edge-200"), token)

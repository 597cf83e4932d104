"""What keeps a node joined: a process that follows hubs, peers and changes until the node has left."""

import os
import time
from typing import Any, Callable, Dict, Tuple

from edge import bell, direct, membership, sizes, system_files, tunnel, ways
from edge.errors import EdgeError
from edge.places import Places

SYNC = 120.0  # seconds between two questions
AGAIN = 30.0  # seconds until a question is repeated that no front-end answered
LOOK = 15.0  # seconds between two checks of the tunnel
STEP = 2.0  # seconds between two checks of direct peers
Say = Callable[[str], None]


def run(places: Places, say: Say, probe: float = ways.PROBE) -> None:
    """Keep the tunnel up until the node has left; what fails is tried again."""
    measured = sizes.Sizes(say)
    measured.begin()
    try:
        _run(places, say, probe, measured)
    finally:
        measured.end()


def _run(places: Places, say: Say, probe: float, measured: sizes.Sizes) -> None:
    state, primary, due, said, looked = membership.joined(places), 0, 0.0, "", -LOOK
    sources: Dict[str, str] = {}
    written = state
    peers, rung, over = direct.Direct(say), bell.Bell(), ways.Ways(say, probe=probe)
    while _stays(places):
        try:
            if time.monotonic() - looked >= LOOK:
                looked = time.monotonic()
                primary, moved = _look(places, state, primary, sources, over)
                if moved:
                    measured.forget()
                measured.follow(state)
                if moved or time.monotonic() > due:
                    due = time.monotonic() + AGAIN
                    state = membership.refresh(places, state, primary)
                    # nodes that started together spread
                    due = time.monotonic() + SYNC + os.getpid() % 100 * SYNC / 1000
                said = ""
            elif over.busy and over.step(state):
                measured.forget()
                looked, due = -LOOK, 0.0
            peers.step(state)
            if state != written and _stays(places):
                membership.settle(places, state)  # last: a full disk must not keep a revoked node as a peer
                written = state
        except (EdgeError, OSError) as error:
            if str(error) != said:
                said = str(error)
                say(said)
        if rung.wait(STEP, state):
            looked, due = -LOOK, 0.0


def _stays(places: Places) -> bool:
    state = places.state()
    return state is not None and not state.get("left")


def _look(
    places: Places, state: Dict[str, Any], primary: int, sources: Dict[str, str], over: ways.Ways
) -> Tuple[int, bool]:
    """Keep the interface up and follow the hubs; return the one for the pool, and whether a way changed."""
    lost = not tunnel.present()
    if lost:
        tunnel.up(places, state, primary)
        system_files.apply(places, state)
    before = dict(sources)
    tunnel.touch(state)
    primary = tunnel.follow(places, state, primary, sources)
    moved = bool(before) and before != sources
    if moved:
        over.close()
    return primary, over.step(state) or moved or lost

"""SIGKILL of the worker at every effect of a request, then the same request again, in a sandbox."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onext.oned import documents
from onext.oned.client import Oned
from tests.hooks.edge.front_end import FrontEnd, Machine
from tests.hooks.edge.killed import Kills

pytestmark = pytest.mark.process
WRITES = (".allocate", ".update", ".lock", ".unlock", ".chmod", ".status", ".delete")


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Kills:
    """Return kills at each write to oned, and at each file that takes its place."""
    made = Kills()
    call, replace = Oned.call, Path.replace

    def written(oned: Oned, method: str, *arguments: object) -> Any:
        done = made.around(call) if method.endswith(WRITES) else call
        return done(oned, method, *arguments)

    monkeypatch.setattr(Oned, "call", written)
    monkeypatch.setattr(Path, "replace", made.around(replace))
    monkeypatch.setattr(documents, "STALE_LOCK", -1.0)  # a minute otherwise
    return made


def join(front_end: FrontEnd, key: str, machine: Machine, token: str) -> dict[str, Any]:
    """Let a machine join and become a host."""
    front_end.join(machine, token)
    return front_end.answer(machine.ask("ready"), key)


def joined(front_end: FrontEnd, key: str, effect: int) -> Machine:
    """Return a node that joined."""
    machine = Machine(f"edge-{effect}")
    join(front_end, key, machine, front_end.token("--name", machine.name))
    return machine


def test_a_worker_that_is_killed_at_any_effect_completes_the_join(
    front_end: FrontEnd, key: str, kills: Kills
) -> None:
    """A front-end loses power while a site joins: two hosts or a used-up token would need a person."""
    for effect in kills:
        machine = Machine(f"edge-{effect}")
        token = front_end.token("--name", machine.name)
        kills.kill(partial(join, front_end, key, machine, token))
        ready = join(front_end, key, machine, token)
        assert [h.id for h in front_end.context.oned.hosts() if h.name == machine.name] == [ready["host"]]
        row = json.loads(front_end.onext("list", "--tokens", "--json"))[-1]
        assert (row["used"], row["state"]) == (1, "used up")
        rows = front_end.listed()
        assert len(rows) == effect
        assert rows[machine.name]["state"] == "active"
    assert kills.points >= 30
    assert len(front_end.hub()["peers"]) == kills.points + 1, "the hub lets each of them in once"


def test_a_worker_that_is_killed_at_any_effect_of_a_leave_completes_it(
    front_end: FrontEnd, key: str, kills: Kills
) -> None:
    """A host that stays in maintenance, or a node that is neither in nor out, would need a person."""
    for effect in kills:
        machine = joined(front_end, key, effect)
        leave = partial(front_end.answer, machine.ask("leave"), key)
        kills.kill(leave)
        assert leave()["left"]
        assert machine.name not in {host.name for host in front_end.context.oned.hosts()}
        assert front_end.listed()[machine.name]["state"] == "left"
        assert "onext.maintenance." not in front_end.sandbox.call("documentpool.info", -2, -1, -1, 20_411)
    assert kills.points >= 10
    assert front_end.hub()["peers"] == []


def test_a_worker_that_is_killed_at_any_effect_of_a_revocation_admits_no_node(
    front_end: FrontEnd, key: str, kills: Kills
) -> None:
    """The hub would admit a node whose revocation was begun and not completed."""
    for effect in kills:
        machine = joined(front_end, key, effect)
        revoke = partial(front_end.onext, "revoke", machine.name)
        kills.kill(revoke)
        revoke()
        assert front_end.listed()[machine.name]["state"] == "revoked"
        assert machine.wireguard not in {peer["key"] for peer in front_end.hub()["peers"]}
    assert kills.points >= 5

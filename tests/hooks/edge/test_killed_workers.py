"""SIGKILL of the worker at every effect of a join, then the same requests again, in a sandbox."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onext.oned import documents
from onext.oned.client import Oned
from tests.hooks.edge.front_end import FrontEnd, Machine

pytestmark = pytest.mark.process
WRITES = (".allocate", ".update", ".lock", ".unlock", ".chmod", ".status", ".delete")


class Effects:
    """Counts before and after each write to oned and each file that is put in place, and kills the process at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        call, replace = Oned.call, Path.replace

        def written(oned: Oned, method: str, *arguments: object) -> Any:
            if not method.endswith(WRITES):
                return call(oned, method, *arguments)
            return self._around(lambda: call(oned, method, *arguments))

        monkeypatch.setattr(Oned, "call", written)
        monkeypatch.setattr(Path, "replace", lambda path, to: self._around(lambda: replace(path, to)))
        monkeypatch.setattr(documents, "STALE_LOCK", -1.0)  # a minute otherwise

    def _around(self, effect: Callable[[], Any]) -> Any:
        self._count()
        found = effect()
        self._count()
        return found

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def killed(self, work: Callable[[], object], effect: int) -> bool:
        """Do something in a process that is killed at an effect; return whether it was."""
        child = os.fork()
        if child == 0:
            try:
                self.left = effect
                work()
            finally:
                os._exit(0)
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_worker_that_is_killed_at_any_effect_completes_the_join(
    front_end: FrontEnd, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A front-end loses power while a site joins: two hosts or a used-up token would need a person."""
    effects, points = Effects(monkeypatch), 0
    for effect in range(1, 80):
        machine = Machine(f"edge-{effect}")
        token = front_end.token("--name", machine.name)

        def join(machine: Machine = machine, token: str = token) -> dict[str, Any]:
            front_end.join(machine, token)
            return front_end.answer(machine.ask("ready"), key)

        killed = effects.killed(join, effect)
        ready = join()
        assert [h.id for h in front_end.context.oned.hosts() if h.name == machine.name] == [ready["host"]]
        row = json.loads(front_end.onext("list", "--tokens", "--json"))[-1]
        assert (row["used"], row["state"]) == (1, "used up")
        rows = front_end.listed()
        assert len(rows) == effect
        assert rows[machine.name]["state"] == "active"
        if not killed:
            break
        points += 1
    assert points >= 30
    assert len(front_end.hub()["peers"]) == points + 1, "the hub lets each of them in once"


def test_a_worker_that_is_killed_at_any_effect_of_a_revocation_admits_no_node(
    front_end: FrontEnd, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub would admit a node whose revocation was begun and not completed."""
    effects, points = Effects(monkeypatch), 0
    for effect in range(1, 40):
        machine = Machine(f"edge-{effect}")
        front_end.join(machine, front_end.token("--name", machine.name))
        front_end.answer(machine.ask("ready"), key)
        killed = effects.killed(partial(front_end.onext, "revoke", machine.name), effect)
        front_end.onext("revoke", machine.name)
        assert front_end.listed()[machine.name]["state"] == "revoked"
        assert machine.wireguard not in {peer["key"] for peer in front_end.hub()["peers"]}
        if not killed:
            break
        points += 1
    assert points >= 5

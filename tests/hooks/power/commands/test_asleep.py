"""Hosts that an uninstall wakes."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from hooks.power import manual_orders, part
from hooks.power.commands import asleep
from onext.oned.errors import OnedError
from onext.oned.objects import HostState
from onext.part import Context


def context(state: HostState | None) -> Context:
    """Return a front-end whose oned knows one host in a state, or does not answer."""

    def host(_: int) -> SimpleNamespace:
        if state is None:
            raise OnedError("oned does not answer")
        return SimpleNamespace(state=state)

    return cast("Context", SimpleNamespace(oned=SimpleNamespace(host=host)))


@pytest.mark.parametrize(
    ("state", "listed", "woken"),
    [
        (HostState.MONITORED, False, True),
        (HostState.MONITORING_MONITORED, False, True),
        (HostState.MONITORED, True, False),
        (HostState.OFFLINE, False, False),
        (HostState.ERROR, False, False),
        (None, False, False),
    ],
)
def test_A5_a_host_that_the_worker_woke_meanwhile_is_awake(
    monkeypatch: pytest.MonkeyPatch, state: HostState | None, listed: bool, woken: bool
) -> None:
    """An uninstall would refuse because of a host that is back; one that is off must never pass for awake."""

    def refuse(*_: object, **__: object) -> manual_orders.Order:
        raise manual_orders.Refused("node-1: onext did not power it off")

    monkeypatch.setattr(part, "alone", lambda *_, **__: nullcontext())
    monkeypatch.setattr(manual_orders.Order, "of", refuse)
    monkeypatch.setattr(asleep, "away", lambda _: [{"id": 3}] if listed else [{"id": 4}])
    reason = "" if woken else "node-1: onext did not power it off"
    assert asleep._step(context(state), "3", {}) == (True, reason)

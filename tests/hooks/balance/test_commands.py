"""`onext balance` against a simulated front-end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def test_a_round_runs_only_where_a_person_enabled_it(sandboxes: Callable[..., Sandbox]) -> None:
    """An upgrade must not begin to move VMs by itself; and a round must read a front-end to its end."""
    sandbox = sandboxes("--hosts", "3", "--vms", "6")
    bundle = Bundle(sandbox)
    assert "nothing is done" in bundle.onext("balance", "run").stdout
    bundle.settings("balance: {clusters: [100]}\n")
    assert "nothing moves" in bundle.onext("balance", "run", "--dry-run").stdout
    assert "onext.balance.100" not in sandbox.call("documentpool.info", -2, -1, -1, 20_411)
    assert "nothing moves" in bundle.onext("balance", "run").stdout
    assert "onext.balance.100" in sandbox.call("documentpool.info", -2, -1, -1, 20_411)
    assert bundle.onext("balance", "plan", "100", "--json").stdout.strip() == "[]"

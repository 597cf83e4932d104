"""`onext balance` against a simulated front-end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def test_a_round_runs_only_where_a_person_enabled_it(sandboxes: Callable[..., Sandbox]) -> None:
    """An upgrade must not begin to move VMs by itself; and a round must read a front-end to its end."""
    bundle = Bundle(sandboxes("--hosts", "3", "--vms", "6"))
    assert "nothing is done" in bundle.onext("balance", "run").stdout
    bundle.settings("balance: {clusters: [100]}\n")
    assert "nothing moves" in bundle.onext("balance", "run", "--dry-run").stdout
    assert not (bundle.var / "state/balance.100.json").exists()
    assert "nothing moves" in bundle.onext("balance", "run").stdout
    assert (bundle.var / "state/balance.100.json").exists()
    assert bundle.onext("balance", "plan", "100", "--json").stdout.strip() == "[]"

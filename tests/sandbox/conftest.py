"""A sandbox for tests that only ask, or are refused: one for all of them, since each start costs a moment."""

from collections.abc import Iterator

import pytest

from tests.fixtures_sandbox import Sandbox


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Return a sandbox with one monitored host and one VM on hold, which no test changes."""
    running = Sandbox(tmp_path_factory.mktemp("quiet") / "one", "--step", "0.02", "--monitor", "3600")
    try:
        running.call("host.allocate", "node-a1", "kvm", "kvm", 0)
        running.until(lambda: "<STATE>2</STATE>" in running.call("host.info", 0))
        running.call("vm.allocate", "CPU=1 MEMORY=64", True)
        yield running
    finally:
        running.stop()

"""Our client on whichever pyone is installed: it uses parts of it that pyone calls its own."""

import importlib.metadata
from collections.abc import Callable

import pytest

from onext.oned.client import Oned
from onext.oned.errors import NotFound, TimedOut, Unauthenticated
from tests.fixtures_sandbox import Sandbox

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


@pytest.fixture
def oned(sandboxes: Callable[..., Sandbox]) -> tuple[Sandbox, Oned]:
    """Return a sandbox with two hosts and a VM on each, and our client."""
    sandbox = sandboxes("--hosts", "2", "--vms", "2", "--monitor", "3600")
    return sandbox, Oned(sandbox.endpoint, sandbox.session, timeout=2)


@pytest.mark.parametrize("protocol", [None, "grpc"], ids=["no protocol", "ONEAPI_PROTOCOL=grpc"])
def test_calls_errors_and_deadlines(
    oned: tuple[Sandbox, Oned], monkeypatch: pytest.MonkeyPatch, protocol: str | None
) -> None:
    """Another pyone than the one we lock, or its variable for gRPC, would break every part at once."""
    if protocol:
        monkeypatch.setenv("ONEAPI_PROTOCOL", protocol)
    sandbox, _ = oned
    ours = Oned(sandbox.endpoint, sandbox.session, timeout=2)
    assert ours.version() == "7.4.0"
    assert len(ours.hosts()) == len(ours.vms()) == 2
    ours.update_host(0, {"RACK": 'r"1'})
    assert ours.host(0).template["RACK"] == 'r"1'
    with pytest.raises(NotFound):
        ours.host(99)
    with pytest.raises(Unauthenticated):
        Oned(sandbox.endpoint, "oneadmin:wrong", timeout=2).version()
    sandbox.control("trouble", False, 5.0, "one.host")
    with pytest.raises(TimedOut):
        ours.host(0)
    assert importlib.metadata.version("pyone")

"""The worker's thread against a running oned, and a daemon on loopback: the whole way of a grant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hooks.availability.lease.grants import GRANTS, ZONE
from hooks.availability.lease.onext_lease import daemon as node_daemon
from hooks.availability.lease.onext_lease.lease import Lease
from hooks.availability.lease.service import Service
from onext.oned.documents import Documents
from onext.part import Context
from onext.paths import Paths
from tests.ending import end_at_next_call
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox
from tests.hooks.availability.lease.counting_node import CountingNode, serve
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
SETTINGS = """availability:
  lease_port: {port}
  lease_seconds: 20
geolocation:
  ssh_config: {location}/ssh_config
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is how they end
def test_a_host_is_armed_granted_and_disarmed(
    sandboxes: Callable[..., Sandbox],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Each piece alone may work while no host ever gets a grant."""
    sandbox = sandboxes("--hosts", "2")
    bundle = Bundle(sandbox)
    channel = node_daemon.listen(0)
    request.addfinalizer(channel.close)
    bundle.settings(SETTINGS.format(location=sandbox.location, port=channel.getsockname()[1]))
    sandbox.control("node", "node-0000", {"addresses": ["10.0.0.1"]})
    script = tmp_path / "arm.sh"
    bundle.onext("ha", "arm", "0", "--output", str(script))
    found = re.search(r'"key": "([0-9a-f]{64})"', script.read_text())
    assert found is not None
    lease = Lease(0, bytes.fromhex(found[1]), os.urandom(16).hex(), "b" * 36)
    node = CountingNode()
    daemon = serve(node, lease, channel, request)
    for key, value in sandbox.env.items():
        monkeypatch.setenv(key, value)
    context = Context(Paths.find())
    service = Service()
    service.ensure(context)
    assert service._thread is not None
    request.addfinalizer(partial(end_at_next_call, service._thread, service, "_round"))
    until(lambda: service.granter.armed() == {0}, "the host to be armed")
    until(lambda: node.fed > 3, "the watchdog to be fed")
    status = service.status(context, 0, float("inf"))
    assert status is not None
    assert status.answers
    stored = Documents(context.oned, GRANTS).get(ZONE)
    assert stored is not None
    assert stored.value is not None
    assert stored.value.hosts[0].held
    bundle.onext("ha", "disarm", "0", "--wait", "60")
    until(lambda: daemon.lease.disarmed, "the daemon to be disarmed")
    assert node.ends == 0

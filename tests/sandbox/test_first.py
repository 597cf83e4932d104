"""The main way through the sandbox: a host, a hook, a template, a session."""

import base64
from collections.abc import Callable

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process


def test_a_host_is_monitored_and_its_hook_gets_it(sandbox: Sandbox) -> None:
    """Without it no part of the bundle could be tried on a machine without OpenNebula."""
    out = sandbox.location / "payload"
    sandbox.remote("hooks/onext/x", f"#!/bin/sh\ncat > {out}.new; mv {out}.new {out}\n")
    sandbox.call(
        "hook.allocate",
        'NAME=x TYPE=state RESOURCE=HOST STATE=MONITORED COMMAND="onext/x" ARGUMENTS=$TEMPLATE ARGUMENTS_STDIN=yes',
    )
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    payload = sandbox.until(out.read_bytes)
    assert base64.b64decode(payload, validate=True).startswith(
        b"<HOST>\n  <ID>0</ID>\n  <NAME>node-a1</NAME>"
    )
    assert b"<STATE>2</STATE>" in sandbox.call("host.info", 0).encode()


def test_two_sandboxes_know_nothing_of_each_other(sandboxes: Callable[..., Sandbox]) -> None:
    """Otherwise tests that run side by side would disturb each other."""
    one, other = sandboxes(), sandboxes()
    one.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    assert other.call("hostpool.info") == "<HOST_POOL></HOST_POOL>"
    assert other.answer("one.host.info", 0)[2] == 0x0400

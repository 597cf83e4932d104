"""Hosts: what each state does, as it was measured on OpenNebula 7.0.2."""

import re

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
ENABLE, DISABLE, OFFLINE = range(3)


def value(sandbox: Sandbox, tag: str, oid: int = 0) -> str | None:
    """Return the first element of this name in a host's document, without CDATA."""
    found = re.search(rf"<{tag}>(?:<!\[CDATA\[)?(.*?)(?:\]\]>)?</{tag}>", sandbox.call("host.info", oid))
    return found[1] if found else None


@pytest.fixture
def host(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox with one monitored host, 0."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.until(lambda: value(sandbox, "STATE") == "2")
    return sandbox


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=x", "a;b", "a b", "a", "a$(id)", "x" * 64, "node.", ".node", "a/b", "ä-node", ""]
)
def test_names_that_oned_refuses(quiet: Sandbox, name: str) -> None:
    """A test could make hosts that no real front-end has, and prove nothing with them."""
    answered = quiet.answer("one.host.allocate", name, "kvm", "kvm", 0)
    assert answered[0] is False
    assert answered[1].startswith("[one.host.allocate] Invalid HOSTNAME")
    assert answered[2] == 0x2000


def test_offline_erases_the_capacity_and_disabled_does_not(host: Sandbox) -> None:
    """The power part would not learn that it has to keep the capacity somewhere."""
    host.call("host.status", 0, DISABLE)
    assert (value(host, "STATE"), value(host, "TOTAL_CPU"), value(host, "TOTALCPU")) == ("4", "800", "800")
    host.call("host.status", 0, OFFLINE)
    assert (value(host, "STATE"), value(host, "TOTAL_CPU"), value(host, "MAX_MEM")) == ("8", "0", "0")
    assert value(host, "TOTALCPU") is None
    assert value(host, "TOTALMEMORY") is None
    host.control("monitor")
    assert value(host, "STATE") == "8"


def test_enable(host: Sandbox) -> None:
    """Enabling a disabled host proves nothing; from OFFLINE it takes monitoring."""
    host.call("host.status", 0, DISABLE)
    host.call("host.status", 0, ENABLE)
    assert value(host, "STATE") == "2"
    host.control("host.machine", 0, {"alive": False})
    host.call("host.status", 0, OFFLINE)
    host.control("step", 5.0)
    host.call("host.status", 0, ENABLE)
    assert value(host, "STATE") == "0"
    host.until(lambda: value(host, "STATE") == "3")
    host.control("step", 0.02)
    host.control("host.machine", 0, {"alive": True})
    host.call("host.status", 0, ENABLE)
    host.until(lambda: value(host, "STATE") == "2")


def test_from_offline_over_disabled(host: Sandbox) -> None:
    """The way on which a host is woken: disabled, monitored with its capacity, then enabled."""
    host.call("host.status", 0, OFFLINE)
    host.control("step", 3600.0)
    host.call("host.status", 0, DISABLE)
    assert value(host, "TOTAL_CPU") == "0"
    host.control("monitor")
    assert value(host, "TOTAL_CPU") == "800"
    assert value(host, "STATE") == "4"
    host.call("host.status", 0, ENABLE)
    assert value(host, "STATE") == "2"


def test_monitoring_is_newer_each_time(host: Sandbox) -> None:
    """`Fresh monitoring since the wake` could not be seen."""
    host.control("host.machine", 0, {"measured": {"POWER": 123}})
    host.control("monitor")
    assert "<POWER><![CDATA[123]]></POWER>" in host.call("host.info", 0)
    assert host.call("host.monitoring", 0).count("<MONITORING>") >= 2
    assert host.call("hostpool.monitoring", 0).count("<MONITORING>") == 1


def test_the_template_table(host: Sandbox) -> None:
    """Every write of the bundle rests on these rules."""
    host.call("host.update", 0, 'geo="a" V=[a=1,b=2]', 1)
    assert "<GEO><![CDATA[a]]></GEO>" in host.call("host.info", 0)
    host.call("host.update", 0, 'GEO="" V=[A=1]', 1)
    document = host.call("host.info", 0)
    assert "<GEO><![CDATA[]]></GEO>" in document
    assert "<V><A><![CDATA[1]]></A></V>" in document
    host.call("host.update", 0, "GEO=[ ] V=[ ]", 1)
    document = host.call("host.info", 0)
    assert "<GEO>" not in document
    assert "<V>" not in document
    assert "<HYPERVISOR>" in document


def test_replacing_deletes_what_monitoring_wrote(host: Sandbox) -> None:
    """Whoever calls update with append = 0 must see what that destroys."""
    host.call("host.update", 0, "A=1", 0)
    document = host.call("host.info", 0)
    for lost in ("HYPERVISOR", "ARCH", "TOTALCPU", "KVM_CPU_MODELS", "HOSTNAME", "RESERVED_CPU"):
        assert f"<{lost}>" not in document
    assert "<IM_MAD><![CDATA[kvm]]></IM_MAD>" in document


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (("host.info", 99), 0x0400, "[one.host.info] Error getting host [99]."),
        (("host.update", 0, "A=1", 7), 0x1000, "[one.host.update] Wrong update type"),
        (("host.status", 0, 9), 0x2000, "[one.host.status] Wrong status code"),
        (
            ("host.allocate", "node-a1", "kvm", "kvm", 0),
            0x2000,
            "[one.host.allocate] NAME is already taken by HOST 0.",
        ),
        (
            ("host.allocate", "node-a2", "kvm", "kvm", 77),
            0x0400,
            "[one.host.allocate] Error getting cluster [77].",
        ),
    ],
)
def test_refusals(quiet: Sandbox, call: tuple[object, ...], code: int, message: str) -> None:
    """Typed errors of the client are made from these codes and messages."""
    method, *arguments = call
    answered = quiet.answer(f"one.{method}", *arguments)
    assert (answered[0], answered[1], answered[2]) == (False, message, code)


def test_a_template_that_does_not_parse(quiet: Sandbox) -> None:
    """An unescaped value must fail as loudly as on a real front-end."""
    answered = quiet.answer("one.host.update", 0, "KEY=a b", 1)
    assert answered[1].startswith(
        "[one.host.update] Cannot update template. Parse error: syntax error at line 1"
    )
    assert answered[2] == 0x2000


def test_reservations(host: Sandbox) -> None:
    """Planners read MAX_CPU, which is the total less what host or cluster reserve."""
    host.call("cluster.update", 0, 'RESERVED_CPU="10%" RESERVED_MEM="777216"', 1)
    assert (value(host, "MAX_CPU"), value(host, "MAX_MEM")) == ("720", "16000000")
    host.call("host.update", 0, 'RESERVED_CPU="-200"', 1)
    assert (value(host, "MAX_CPU"), value(host, "TOTAL_CPU")) == ("1000", "800")


def test_a_host_that_falls_silent(sandbox: Sandbox) -> None:
    """ERROR is what the fence waits for."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.until(lambda: value(sandbox, "STATE") == "2")
    sandbox.control("host.state", 0, "ERROR")
    assert value(sandbox, "STATE") == "3"
    sandbox.control("host.machine", 0, {"alive": True})
    sandbox.control("monitor")
    assert value(sandbox, "STATE") == "2"


def test_clusters(host: Sandbox) -> None:
    """Hosts move between clusters, silently for hooks."""
    cluster = host.call("cluster.allocate", "alpha")
    assert cluster == 100
    host.call("cluster.addhost", cluster, 0)
    assert value(host, "CLUSTER") == "alpha"
    host.call("cluster.rename", cluster, "beta")
    assert value(host, "CLUSTER") == "beta"
    assert "<HOSTS><ID>0</ID></HOSTS>" in host.call("cluster.info", cluster)
    assert host.answer("one.cluster.delete", cluster)[0] is False
    host.call("cluster.delhost", cluster, 0)
    host.call("host.delete", 0)
    assert host.answer("one.host.info", 0)[2] == 0x0400

"""Safety rules of the decision beyond those that one cluster shows: spare, turns, failures, silence, windows."""

from dataclasses import replace

import pytest

from hooks.power.decide import Leave, Memory, PowerOff, Wake, decide
from hooks.power.policy import Mode, Policy
from hooks.power.window import Window
from onext.hosts.model import Bmc, Claim, Phase, Record
from tests.hooks.power.test_decide import AUTO, NOW, RIPE, cluster, host, of, vm


def test_the_largest_host_may_fail_after_the_action_too() -> None:
    """High availability would find no room for its VMs once the others sleep."""
    hosts = [host(n) for n in range(3)]
    vms = [vm(n, n % 3) for n in range(9)]
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    assert of(decide(cluster(hosts, vms[:6]), policy, NOW, RIPE), PowerOff)
    assert not of(decide(cluster(hosts, vms), replace(policy, spare_host=True), NOW, RIPE), PowerOff)


def test_hosts_take_turns() -> None:
    """One host would be switched each day until its disks fail."""
    tired = Record(proven=NOW - 86_400, on_since=NOW - 86_400, offs=(NOW - 50_000, NOW - 40_000))
    for number in range(3):
        hosts = [replace(host(n), record=tired) if n == number else host(n) for n in range(3)]
        assert number not in of(decide(cluster(hosts), AUTO, NOW, RIPE), PowerOff)


def test_a_wake_that_failed_lets_the_next_host_come_at_once() -> None:
    """A VM would wait for a broken host to be repaired."""
    failed = Claim(Phase.WAKING, NOW - 700, asked=NOW - 10, failures=1)
    hosts = [host(0), host(1, Phase.WAKING, claim=failed), host(2, Phase.OFF)]
    here = cluster(hosts, [*(vm(n, 0) for n in range(8)), vm(9)])
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    assert of(decide(here, policy, NOW, Memory()), Wake) == [2]
    hosts[1] = host(1, Phase.WAKING)
    assert not of(decide(replace(here, hosts=tuple(hosts)), policy, NOW, Memory()), Wake)


@pytest.mark.parametrize("said", [Bmc.SILENT, Bmc.NONE])
def test_silence_is_neither_on_nor_off(said: Bmc) -> None:
    """A BMC that does not answer would be a person at the button, or a host that sleeps."""
    asleep = decide(cluster([host(0), host(1), host(2, Phase.OFF, bmc=said)]), AUTO, NOW, RIPE)
    assert not of(asleep, Leave)
    awake = decide(cluster([host(0), host(1), host(2, bmc=said)]), AUTO, NOW, RIPE)
    assert 2 not in of(awake, PowerOff)


def test_a_quarantined_host_is_nobodys_but_a_persons() -> None:
    """A host that does not wake would be woken again and again, and counted on."""
    hosts = [host(0), host(1), host(2, Phase.QUARANTINED)]
    here = cluster(hosts, [vm(n, n % 2) for n in range(16)] + [vm(20)])
    assert not decide(here, AUTO, NOW, RIPE).actions


def test_nothing_happens_by_default() -> None:
    """Installing it would switch hosts off."""
    assert Policy().mode is Mode.OFF
    assert not decide(cluster([host(n) for n in range(6)]), Policy(), NOW, RIPE).actions


def test_a_window_closes_shrinking_and_never_waking() -> None:
    """Hosts would go by day, when people look for them; or VMs wait for the night."""
    night = replace(AUTO, window=Window.parse("* 3 1 1 0"), min_hosts=2)
    assert not of(decide(cluster([host(n) for n in range(6)]), night, NOW, RIPE), PowerOff)
    assert of(decide(cluster([host(0), host(1, Phase.OFF)]), night, NOW, RIPE), Wake) == [1]

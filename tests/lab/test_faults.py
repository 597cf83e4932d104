"""Every fault of the reference's tunnel, as a test that passes now."""

import re

from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Laboratory, Network
from tests.lab.scenario import finish, leftovers, migrate, runs_on, start, ticking
from tests.lab.vm import VM


def test_a_failed_migration_says_so(lab: Laboratory, vm: VM) -> None:
    """Exit code lost: an unknown domain, host or host key was recorded as a success."""
    unknown = lab.vm("one-404")
    assert migrate(unknown, lab.a, lab.b).done.exit_code == 1
    assert migrate(vm, lab.a, lab.b, name="no-such-host").done.exit_code == 1
    (lab.a.folder / "home/.ssh/known_hosts").rename(lab.a.folder / "home/.ssh/kept")
    try:
        stranger = migrate(vm, lab.a, lab.b)
    finally:
        (lab.a.folder / "home/.ssh/kept").rename(lab.a.folder / "home/.ssh/known_hosts")
    assert stranger.done.exit_code == 1
    assert runs_on(lab, vm) == ["lab-a"]
    assert leftovers(lab) == []


def test_no_host_key_is_ever_asked_for_a_tunnel_address(lab: Laboratory, vm: VM) -> None:
    """One tunnel address for all hosts: the second host behind it had another key, and was refused without an end."""
    assert migrate(vm, lab.a, lab.b).done.exit_code == 0
    known = (lab.a.folder / "home/.ssh/known_hosts").read_text()
    assert "fe80" not in known
    assert "169.254" not in known
    # The same tunnel, but behind it another machine: its key is checked under its own name, and has changed there too
    back = migrate(vm, lab.b, lab.a)
    assert back.done.exit_code == 0
    assert "IDENTIFICATION HAS CHANGED" not in back.log


def test_two_at_once_share_a_tunnel(lab: Laboratory, vm: VM) -> None:
    """Two at once: the second deleted the tunnel under the first."""
    other = lab.vm("one-2")
    lab.boot(other, lab.a)
    running = [start(one, lab.a, lab.b) for one in (vm, other)]
    results = [finish(process) for process in running]
    assert [one.done.exit_code for one in results] == [0, 0], results
    assert runs_on(lab, vm) == runs_on(lab, other) == ["lab-b"]
    names = {re.findall(r"tunnel (oxt\w+)", one.log)[0] for one in results}
    assert len(names) == 1
    assert leftovers(lab) == []


def test_two_at_once_in_opposite_directions(lab: Laboratory, vm: VM) -> None:
    """The same tunnel carries both ways; neither end may be taken away while the other direction needs it."""
    other = lab.vm("one-2")
    lab.boot(other, lab.b)
    running = [start(vm, lab.a, lab.b), start(other, lab.b, lab.a)]
    results = [finish(process) for process in running]
    assert [one.done.exit_code for one in results] == [0, 0], results
    assert runs_on(lab, vm) == ["lab-b"]
    assert runs_on(lab, other) == ["lab-a"]
    assert leftovers(lab) == []


def test_own_name_on_loopback(lab: Laboratory, vm: VM) -> None:
    """Debian's 127.0.1.1: the far end got it as its remote."""
    assert f"127.0.1.1 {lab.a.name}" in (lab.a.folder / "etc/hosts").read_text()
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0
    assert "without a tunnel" not in result.log


def test_mtu_that_is_not_announced(use_lab: OpenLab) -> None:
    """With a fixed MTU ssh's banner passed a smaller path, and the bulk stream stalled."""
    lab = use_lab(Network())
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    lab.shrink(1400)  # on the way only: the nodes' devices still say 1500, and no ICMP corrects them
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        lab.shrink(1500)
    assert result.done.exit_code == 0, result.log
    assert "the way takes packets of" in result.log
    assert runs_on(lab, vm) == ["lab-b"]
    assert leftovers(lab) == []


def test_stock_sudoers_are_enough(lab: Laboratory, vm: VM) -> None:
    """`ip address` needed another sudoers entry on every node."""
    refused = lab.a.run(
        "sudo", "-n", "ip", "address", "add", "192.0.2.1/32", "dev", "lo", user="oneadmin", check=False
    )
    assert refused.exit_code != 0
    assert migrate(vm, lab.a, lab.b).done.exit_code == 0


def test_kvmrc_does_not_lead_around_the_tunnel(lab: Laboratory, vm: VM) -> None:
    """An active MIGRATE_OPTIONS line in kvmrc overwrote the environment, and it went unnoticed."""
    for node in lab.nodes:
        node.configure(kvmrc='MIGRATE_OPTIONS="--unsafe --migrateuri tcp://lab-b:49200"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "went through the tunnel" in result.log
    assert "BYPASS" not in result.log


def test_a_bypass_is_an_error_in_the_log(lab: Laboratory, vm: VM) -> None:
    """A migration beside the tunnel must never look like one through it."""
    # A script that calls virsh by its path is beyond our reach, and must not be beyond our sight
    lab.a.call_virsh_by_path()
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert re.search(r"ERROR: migrate: BYPASS: \d+\.\d MB", result.log)


def test_the_truth_beats_the_exit_code(lab: Laboratory, vm: VM) -> None:
    """OpenNebula's own migrate returns 1 after a success when its time synchronisation fails."""
    with lab.a.stock.open("a") as file:
        file.write("\nexit 1\n")  # both Ruby and a shell
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0
    assert "though OpenNebula's own migrate ended with 1" in result.log
    assert runs_on(lab, vm) == ["lab-b"]


def test_ten_in_a_row(lab: Laboratory, vm: VM) -> None:
    """What one migration leaves behind would stop one of the next."""
    here, there = lab.a, lab.b
    for _ in range(10):
        result = migrate(vm, here, there)
        assert result.done.exit_code == 0, result.log
        here, there = there, here
    assert runs_on(lab, vm) == ["lab-a"]
    assert ticking(vm)
    assert leftovers(lab) == []


def test_a_bypass_cannot_hide_behind_another_migration(lab: Laboratory, vm: VM) -> None:
    """Two share a tunnel, one goes beside it: the tunnel's one counter is enough for one of them only."""
    other = lab.vm("one-2")
    lab.boot(other, lab.a)
    for node in lab.nodes:
        node.configure(conf='BANDWIDTH="40"\n')
    lab.a.call_virsh_by_path("one-2")
    running = [start(one, lab.a, lab.b) for one in (vm, other)]
    results = [finish(process) for process in running]
    assert [one.done.exit_code for one in results] == [0, 0], results
    assert any("BYPASS" in one.log for one in results), results
    assert leftovers(lab) == []

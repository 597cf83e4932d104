"""`onext tunnel` with a stand-in for ssh: what is asked of nodes, and what is made of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from onext import process, ssh
from onext.oned import client
from onext.oned.errors import Unreachable
from onext.oned.objects import Host, HostState
from onext.part import Context
from onext.paths import Paths
from onext.tunnel import drivers
from onext.tunnel.commands import tunnel

Answers = dict[str, process.Completed]
Run = Callable[..., Result]


class Oned:
    """Answers one question, or does not."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.known: Sequence[Host] | None = hosts

    def hosts(self) -> list[Host]:
        """Return the hosts."""
        if self.known is None:
            raise Unreachable("oned is down")
        return list(self.known)


def host(
    number: int, name: str, cluster: int, state: HostState = HostState.MONITORED, kind: str = "kvm"
) -> Host:
    """Return a host."""
    return Host(number, name, state, cluster, f"c{cluster}", (), {"HYPERVISOR": kind})


@pytest.fixture
def oned() -> Oned:
    """Return a oned with two KVM hosts, one of them OFFLINE later, and one LXC host."""
    return Oned([host(1, "node-b", 101), host(0, "node-a", 100), host(2, "box", 100, kind="lxc")])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Return what was asked of nodes; the answers are in `ANSWERS`."""
    seen: list[tuple[str, list[str]]] = []

    def run(name: str, words: Sequence[str], **_: object) -> process.Completed:
        seen.append((name, list(words)))
        code, out, err = ANSWERS.get((name, words[2]), ANSWERS.get(("*", words[2]), (0, {}, "")))
        if code < 0:
            raise process.CommandError(["ssh"], "still running after 30 s", None, b"")
        return process.Completed(("ssh",), code, json.dumps(out).encode(), err.encode())

    monkeypatch.setattr(ssh, "run", run)
    ANSWERS.clear()
    return seen


ANSWERS: dict[tuple[str, str], tuple[int, dict[str, object], str]] = {}


@pytest.fixture
def run(tmp_path: Path, oned: Oned, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return the function that runs a command on a self-contained front-end."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/oned.conf").write_text("SCRIPTS_REMOTE_DIR=/var/tmp/elsewhere # here\n")

    monkeypatch.setattr(client.Oned, "connect", lambda *_: oned)

    def call(*words: str) -> Result:
        context = Context(paths=Paths.self_contained(tmp_path))
        return CliRunner().invoke(tunnel, list(words), obj=context)

    return call


def test_the_driver_is_asked_where_opennebula_puts_it(run: Run, asked: list[tuple[str, list[str]]]) -> None:
    """A site with another SCRIPTS_REMOTE_DIR would be told that no node has the driver."""
    run("list")
    assert sorted(asked) == [
        (name, ["sh", "/var/tmp/elsewhere/vmm/kvm/onext_migrate/run", "list"])
        for name in ("node-a", "node-b")
    ]


def test_list_shows_tunnels_and_what_is_wrong(
    run: Run, asked: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    """A node with an old driver must not look like a node without tunnels."""
    one = {
        "name": "oxt0",
        "datapath": "ovs",
        "mtu": 1450,
        "remote": "10.0.0.2",
        "used": True,
        "sent_bytes": 5,
    }
    want = drivers.wanted(tmp_path / "var/remotes")
    ANSWERS[("node-a", "list")] = (0, {"off": False, "missing": [], "tunnels": [one], "driver": want}, "")
    ANSWERS[("node-b", "list")] = (127, {}, "sh: 0: cannot open run: No such file")
    said = run("list")
    assert said.exit_code == 1
    head, first, second = said.output.splitlines()
    assert head.split() == ["HOST", "TUNNELS", "TUNNEL", "DATAPATH", "MTU", "REMOTE", "USED", "PROBLEM"]
    assert first.split() == ["node-a", "on", "oxt0", "ovs", "1450", "10.0.0.2", "yes", "-"]
    assert "onehost sync --force node-b" in second
    rows = json.loads(run("list", "--json", "node-a").output)
    assert rows[0]["sent_bytes"] == 5
    ANSWERS[("node-a", "list")] = (0, {"off": False, "missing": [], "tunnels": [one], "driver": "older"}, "")
    said = run("list", "node-a")
    assert said.exit_code == 1
    assert "node-a: an old driver or old settings: onehost sync --force node-a" in said.output


def test_offline_hosts_are_named_and_not_asked(
    run: Run, oned: Oned, asked: list[tuple[str, list[str]]]
) -> None:
    """A powered-off host would cost a time-out each time."""
    assert oned.known is not None
    oned.known = [host(0, "node-a", 100), host(1, "node-b", 101, HostState.OFFLINE)]
    said = run("reap")
    assert [name for name, _ in asked] == ["node-a"]
    assert "node-b: OFFLINE" in said.output


def test_off_works_with_oned_down(run: Run, oned: Oned, asked: list[tuple[str, list[str]]]) -> None:
    """An administrator in trouble switches off what makes trouble, whatever else is broken."""
    run("list")
    oned.known = None
    asked.clear()
    ANSWERS[("node-b", "off")] = (-1, {}, "")
    said = run("off")
    assert sorted(name for name, _ in asked) == ["node-a", "node-b"]
    assert "nodes as last known" in said.output
    assert "tunnels are off on 1 of 2 hosts" in said.output
    assert "node-b: not reached" in said.output
    assert said.exit_code == 1


def test_off_with_nothing_known(run: Run, oned: Oned, asked: list[tuple[str, list[str]]]) -> None:
    """Without oned and without memory nothing can be done, and that is said."""
    oned.known = None
    said = run("off")
    assert isinstance(said.exception, Unreachable)
    assert asked == []


def test_sync_writes_the_map_and_says_what_is_due(run: Run, tmp_path: Path) -> None:
    """The driver would tunnel, or not tunnel, by an old map."""
    said = run("sync")
    assert "onehost sync --force" in said.output
    text = (tmp_path / "var/remotes/etc/vmm/kvm/onext-clusters.conf").read_text()
    assert text.splitlines()[1:] == ["node-a 100", "node-b 101"]
    assert "up to date" in run("sync").output


def test_check_says_what_a_trial_showed(run: Run, asked: list[tuple[str, list[str]]]) -> None:
    """Before the first migration an administrator wants to know whether it will work."""
    ANSWERS[("node-a", "check")] = (
        0,
        {
            "tunnel": "oxt0",
            "datapath": "kernel",
            "mtu": 1430,
            "round_trip_ms": 20.4,
            "mbit_s": 93.1,
            "up_ms": 700,
        },
        "",
    )
    ANSWERS[("node-b", "list")] = (0, {"missing": ["virsh"]}, "")
    said = run("check", "node-a", "node-b")
    assert said.exit_code == 0
    assert "node-a -> node-b: kernel VXLAN works: MTU 1430, round trip 20.4 ms, 93.1 Mbit/s" in said.output
    assert "node-b: virsh is missing" in said.output
    ANSWERS[("node-a", "check")] = (
        1,
        {},
        "INFO: migrate: x\nERROR: migrate: is UDP port 4790 open between the hosts?",
    )
    said = run("check", "node-a", "node-b")
    assert said.exit_code == 1
    assert "no tunnel: is UDP port 4790 open" in said.output


def test_unknown_hosts_are_refused(run: Run, asked: list[tuple[str, list[str]]]) -> None:
    """Nothing is run with a name that OpenNebula does not know."""
    for name in ("nobody", "-oProxyCommand=x", "box"):
        assert run("reap", "--", name).exit_code == 2
    assert asked == []

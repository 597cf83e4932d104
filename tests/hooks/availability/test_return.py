"""A host that comes back: what is destroyed on it, and what it would start by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from hooks.availability import boot_starts, check, effects, returned_host
from hooks.availability.model import Vm
from hooks.availability.timeline import Timeline
from hooks.availability.world import Failed
from onext import process, ssh
from tests.hooks.availability.test_effects import FrontEnd, world

RUNNING, UNKNOWN = (3, 3), (3, 16)


class Node:
    """A node that is asked over ssh: which domains run there, and which start at boot."""

    def __init__(self, *domains: str, autostart: str = "", guests: str = "disabled") -> None:
        self.domains, self.autostart, self.guests = list(domains), autostart, guests
        self.asked = 0

    def run(self, _host: str, words: Sequence[str], **_: object) -> process.Completed:
        """Answer virsh and the survey."""
        if words[0] == "sh":
            return _done(words, f"{self.autostart}\n==\n{self.guests}\n")
        if "destroy" in words:
            self.domains.remove(words[-1])
            return _done(words, "")
        self.asked += 1
        return _done(words, "\n".join(self.domains))


def _done(words: Sequence[str], text: str) -> process.Completed:
    return process.Completed(tuple(words), 0, text.encode(), b"")


@pytest.fixture
def vms(monkeypatch: pytest.MonkeyPatch) -> dict[int, Vm]:
    """Return the VMs that oned knows, which the test fills; nothing is waited for or synced."""
    known: dict[int, Vm] = {}
    monkeypatch.setattr(effects.Effects, "vm", lambda _, number: known.get(number))
    monkeypatch.setattr(returned_host.Returned, "_sync", lambda _: None)
    monkeypatch.setattr(returned_host, "PAUSE", 0.0)
    return known


def cleaned(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let host 0 be cleaned once."""
    monkeypatch.setattr(ssh, "run", node.run)
    return world(FrontEnd(), tmp_path).clean(0)


def test_only_vms_that_run_elsewhere_are_destroyed(
    vms: dict[int, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only instance of a VM would be destroyed, or one that runs twice go on writing."""
    vms[1] = Vm(1, "elsewhere", 5, 2, *RUNNING)
    vms[2] = Vm(2, "here", 0, 2, *UNKNOWN)
    node = Node("one-1", "one-2", "one-3", "one-x", "one-", "database", "one-99999999999")
    assert not cleaned(node, tmp_path, monkeypatch)
    assert node.domains == ["one-2", "one-3", "one-x", "one-", "database", "one-99999999999"]
    assert cleaned(node, tmp_path, monkeypatch)
    assert node.asked == 3, "twice before the host serves"


@pytest.mark.parametrize("state", [UNKNOWN, (3, 2), (8, 0)])
def test_a_vm_that_is_not_running_elsewhere_is_left_to_a_person(
    state: tuple[int, int], vms: dict[int, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its only living instance may be this one."""
    vms[1] = Vm(1, "elsewhere", 5, 2, *state)
    node = Node("one-1")
    with pytest.raises(Failed, match="not RUNNING"):
        cleaned(node, tmp_path, monkeypatch)
    assert node.domains == ["one-1"]


def test_a_vm_that_moved_to_the_host_meanwhile_is_not_destroyed(
    vms: dict[int, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was paused between the look and the order would end the only instance of a VM."""
    there, here = Vm(1, "elsewhere", 5, 2, *RUNNING), Vm(1, "back", 0, 3, *RUNNING)
    assert vms == {}
    seen = iter([there, here])
    monkeypatch.setattr(effects.Effects, "vm", lambda *_: next(seen))
    node = Node("one-1")
    with pytest.raises(Failed, match="moved"):
        cleaned(node, tmp_path, monkeypatch)
    clock = iter([0.0, 31.0])
    monkeypatch.setattr(effects.Effects, "vm", lambda *_: there)
    monkeypatch.setattr(effects.Effects, "monotonic", lambda _: next(clock))
    with pytest.raises(Failed, match="too long ago"):
        cleaned(node, tmp_path, monkeypatch)
    assert node.domains == ["one-1"]


def test_a_host_whose_libvirt_does_not_answer_is_not_clean(
    vms: dict[int, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would serve although what runs there is unknown."""
    assert vms == {}

    def broken(*_: object, **__: object) -> process.Completed:
        raise process.CommandError(["ssh"], "no answer", 255, b"")

    node = Node()
    monkeypatch.setattr(node, "run", broken)
    with pytest.raises(Failed, match="did not answer"):
        cleaned(node, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node(), []),
        (Node(guests="static"), []),
        (Node(guests=""), []),
        (Node(autostart="web01\nenabled"), ["libvirt starts web01, enabled at boot"]),
        (Node(guests="enabled"), ["libvirt-guests is enabled"]),
        (Node(autostart="a\n==\nb", guests="enabled-runtime"), ["libvirt starts a, ==, b", "libvirt-guests"]),
        (Node(autostart="\n".join("x" * 99 for _ in range(25))), ["and 5 more"]),
    ],
)
def test_what_a_host_starts_at_boot_is_found(
    node: Node, words: list[str], vms: dict[int, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A VM that was restarted elsewhere runs twice as soon as its old host has power again."""
    assert vms == {}
    monkeypatch.setattr(ssh, "run", node.run)
    found = boot_starts.survey({1: "node-1"}, None)[1]
    assert len(found) == len(words)
    for text, word in zip(found, words, strict=True):
        assert word in text
        assert len(text) < 60 * 25
    assert cleaned(node, tmp_path, monkeypatch)
    told = [entry["lines"] for entry in Timeline(tmp_path).entries(0) if entry["what"] == "boot"]
    assert told == [[text[:400]] for text in found]


def test_a_host_that_cannot_be_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer would read as "nothing starts there"."""

    def broken(*_: object, **__: object) -> process.Completed:
        raise process.CommandError(["ssh", "-oBatchMode=yes"], "exit code 255", 255, b"no route to host\n")

    monkeypatch.setattr(ssh, "run", broken)
    found = boot_starts.survey({1: "node-1", 2: "-oProxyCommand=x"}, None)
    assert found[1] == ["its libvirt did not answer: exit code 255: no route to host"], (
        "a line, not a command"
    )
    assert found[2] == ["its name is not a host name"]


def test_the_check_of_hosts_is_offered() -> None:
    """Nobody would know how to ask."""
    assert "--hosts" in CliRunner().invoke(check.check, ["--help"]).output

"""Which hosts have the driver of remotes/: what hosts say, against what is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drivers.vmm.migrate.onext_migrate.version import digest
from onext import process, ssh
from onext.oned import client
from onext.oned.objects import Host, HostState
from onext.part import Context
from onext.paths import Paths
from onext.tunnel import drivers, validation
from onext.tunnel.commands import tunnel


class Oned:
    """Knows four KVM hosts, one of them OFFLINE from the second question on."""

    def __init__(self) -> None:
        self.off = False

    def hosts(self) -> list[Host]:
        """Return the hosts."""
        away = HostState.OFFLINE if self.off else HostState.MONITORED
        states = {"n0": HostState.MONITORED, "n1": away, "n2": HostState.MONITORED, "n3": HostState.ERROR}
        return [
            Host(number, name, state, 0, "default", (), {"HYPERVISOR": "kvm"})
            for number, (name, state) in enumerate(states.items())
        ]


@pytest.fixture
def remotes(tmp_path: Path) -> Path:
    """Return a remotes/ with a driver, its settings, and byte code that does not count."""
    remotes = tmp_path / "var/remotes"
    texts = {
        "vmm/kvm/migrate": "#!/bin/sh\n",
        "vmm/kvm/migrate_default": "OpenNebula's own\n",
        "vmm/kvm/onext_migrate/run": "run\n",
        "vmm/kvm/onext_migrate/bin/virsh": "virsh\n",
        "vmm/kvm/onext_migrate/__pycache__/x.pyc": "changes by itself\n",
        "etc/vmm/kvm/onext-migrate.conf": 'TUNNEL="never"\n',
    }
    for name, text in texts.items():
        (remotes / name).parent.mkdir(parents=True, exist_ok=True)
        (remotes / name).write_text(text)
    return remotes


@pytest.fixture(autouse=True)
def valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have settings that are valid: this driver is none (test_validation.py)."""
    monkeypatch.setattr(validation, "problem", lambda _: "")


@pytest.fixture
def context(tmp_path: Path, remotes: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a self-contained front-end with four hosts."""
    (tmp_path / "etc").mkdir()
    assert remotes.is_dir()
    oned = Oned()
    monkeypatch.setattr(client.Oned, "connect", lambda *_: oned)
    return Context(paths=Paths.self_contained(tmp_path))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Return what hosts say of their driver: a digest, None for no driver, "" for a host that is down."""
    answers: dict[str, object] = {}

    def run(name: str, words: Sequence[str], **_: object) -> process.Completed:
        answer = answers[name]
        if answer == "":
            raise process.CommandError(["ssh"], "still running after 15 s", None, b"")
        if answer is None:
            return process.Completed(("ssh",), 127, b"", b"sh: 0: cannot open run: No such file")
        return process.Completed(("ssh",), 0, json.dumps({"driver": answer, "missing": []}).encode(), b"")

    monkeypatch.setattr(ssh, "run", run)
    return answers


def call(context: Context, *words: str) -> Result:
    return CliRunner().invoke(tunnel, ["drivers", *words], obj=context)


def test_both_ends_count_alike(remotes: Path) -> None:
    """Every host would be called old without an end, or an old one current."""
    first = drivers.wanted(remotes)
    assert digest(str(remotes)) == first
    (remotes / "vmm/kvm/onext_migrate/__pycache__/x.pyc").write_text("otherwise\n")
    (remotes / "vmm/kvm/migrate_default").write_text("renewed by a package\n")
    assert drivers.wanted(remotes) == digest(str(remotes)) == first
    (remotes / "etc/vmm/kvm/onext-migrate.conf").write_text('TUNNEL="always"\n')
    second = drivers.wanted(remotes)
    assert digest(str(remotes)) == second != first
    (remotes / "vmm/kvm/onext_migrate/run").rename(remotes / "vmm/kvm/onext_migrate/bin/run")
    assert digest(str(remotes)) == drivers.wanted(remotes) != second


def test_hosts_with_an_old_driver_are_named(context: Context, remotes: Path, said: dict[str, object]) -> None:
    """A host that was never synced migrates without a tunnel, and it is unknown which."""
    current = drivers.wanted(remotes)
    said.update(n0=current, n1="0123456789abcdef", n2=None, n3="")
    shown = call(context)
    assert shown.exit_code == 1
    assert "old driver or settings on 2 hosts: n1, n2" in shown.output
    assert "not reached: 1 host: n3 (" in shown.output
    assert "the one of remotes/ on 1 host" in shown.output
    said.update(n1=current, n2=current, n3=current)
    shown = call(context, "--json")
    assert shown.exit_code == 0
    assert [row["state"] for row in json.loads(shown.output)] == ["ok"]


def test_offline_hosts_are_named_by_what_they_said_last(
    context: Context, remotes: Path, said: dict[str, object]
) -> None:
    """A host that sleeps is skipped by `onehost sync`, and wakes with its old driver; it is not woken to ask."""
    current = drivers.wanted(remotes)
    said.update(n0=current, n1=current, n2=current, n3=current)
    assert call(context).exit_code == 0
    context.oned.off = True  # type: ignore[attr-defined]
    del said["n1"]
    assert call(context).exit_code == 0
    (remotes / "vmm/kvm/migrate").write_text("#!/bin/sh\n# newer\n")
    newer = drivers.wanted(remotes)
    said.update(n0=newer, n2=newer, n3=newer)
    shown = call(context)
    assert shown.exit_code == 1
    assert "OFFLINE, not checked, old as last seen or never seen: 1 host: n1" in shown.output


def test_sync_runs_opennebulas_own(context: Context, remotes: Path, said: dict[str, object]) -> None:
    """`install.sh --sync` must do what a person would, and then look whether it helped."""
    said.update(n0=None, n1=None, n2=None, n3=None)
    assert call(context).exit_code == 1
    current = drivers.wanted(remotes)
    asked: list[Sequence[str]] = []

    def run(argv: Sequence[str], **_: object) -> process.Completed:
        asked.append(argv)
        said.update(n0=current, n1=current, n2=current, n3=current)
        return process.Completed(tuple(argv), 0, b"All hosts updated successfully.\n", b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "run", run)
        shown = call(context, "--sync")
    assert asked == [["onehost", "sync", "--force"]]
    assert shown.output.startswith("All hosts updated successfully.")
    assert shown.exit_code == 0


def test_without_a_driver_here_nobody_is_asked(context: Context, remotes: Path) -> None:
    """A front-end without KVM's drivers would ask its hosts for what it has not."""
    (remotes / "vmm/kvm/onext_migrate").rename(remotes / "vmm/kvm/away")
    assert list(drivers.checks(context)) == []

"""An uninstall while hosts have a lease."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from onext.install import hosts_armed, registration
from onext.install.front_end import FrontEnd, InstallError
from onext.oned.errors import OnedError
from tests.onext.hosts.document_pool import DocumentPool

from .conftest import self_contained, write

HOSTS = [SimpleNamespace(id=3, name="edge-c")]


class Oned(DocumentPool):
    """A server of the zone with one host."""

    def __init__(self, *, acts: bool = True) -> None:
        super().__init__()
        self.acts = acts

    def raft(self) -> Oned:
        """Return its state."""
        return self

    def hosts(self) -> list[SimpleNamespace]:
        """Return the host."""
        return HOSTS


@pytest.fixture
def front_end(tmp_path: Path) -> FrontEnd:
    """Return a front-end."""
    return self_contained(tmp_path / "one")


def served(monkeypatch: pytest.MonkeyPatch, oned: Oned, *, armed: bool) -> None:
    """Let the front-end have this oned, with a record of an armed host or one of another part."""
    name = "onext.lease.3" if armed else "onext.power.3"
    oned.documents[7] = (name, {"VERSION": "1", "STATE": "armed"})
    monkeypatch.setattr(registration, "connect", lambda _: oned)


def test_A5_nothing_is_removed_while_a_host_is_armed(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every armed host would reset with all its VMs minutes after a harmless looking uninstall."""
    served(monkeypatch, Oned(), armed=True)
    with pytest.raises(InstallError, match=r"3 edge-c; `onext ha disarm HOST`"):
        hosts_armed.require_disarmed(front_end, leave=False)
    assert hosts_armed.require_disarmed(front_end, leave=True) == [
        "3 edge-c stays armed and resets: root removes its daemon there"
    ]
    assert hosts_armed.summary(front_end) == "refuses while hosts are armed: 3 edge-c"


@pytest.mark.parametrize(("acts", "armed"), [(True, False), (False, True)])
def test_an_uninstall_continues_without_armed_hosts_or_beside_a_leader(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch, acts: bool, armed: bool
) -> None:
    """Other records, and a server that grants nothing, are no reason to refuse."""
    served(monkeypatch, Oned(acts=acts), armed=armed)
    assert hosts_armed.require_disarmed(front_end, leave=False) == []
    assert hosts_armed.summary(front_end) == ""


def test_what_is_not_known_is_refused_where_a_host_was_ever_armed(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While oned is down the armed hosts are still there."""

    def down(_: FrontEnd) -> Oned:
        raise OnedError("oned does not answer")

    monkeypatch.setattr(registration, "connect", down)
    assert hosts_armed.require_disarmed(front_end, leave=False) == []
    write(front_end.paths.var / hosts_armed.KEY, "")
    with pytest.raises(InstallError, match="is not known: oned does not answer"):
        hosts_armed.require_disarmed(front_end, leave=False)
    assert hosts_armed.require_disarmed(front_end, leave=True) == []
    assert "not known" in hosts_armed.summary(front_end)


def test_the_file_is_where_availability_keeps_it() -> None:
    """Under another name, an uninstall while oned is down would continue."""
    from hooks.availability.lease import grants, keys

    assert hosts_armed.KEY == keys.FILE
    assert hosts_armed._ARMED.name == grants.ARMED.name

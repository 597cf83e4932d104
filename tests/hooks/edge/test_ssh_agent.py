"""oneadmin's certificate in a real ssh agent."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.edge import part, ssh_agent
from hooks.edge.office import publish
from hooks.edge.records import Book
from hooks.edge.secrets import USER, Secrets
from hooks.edge.ssh_agent import AgentError
from onext.part import Key
from tests.hooks.edge.front_end import FrontEnd, Machine
from tests.waiting import until

pytestmark = pytest.mark.process
KEY = Key("edge", "pool", 0)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the socket of an agent that the environment names."""
    with tempfile.TemporaryDirectory(prefix="oxa") as folder:  # a socket's path has 107 bytes
        place = Path(folder) / "agent"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL)
        until(place.exists, "the agent")
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        yield place
        process.kill()
        process.wait()


def held(place: Path) -> list[str]:
    """Return the kinds of what the agent holds."""
    environment = {**os.environ, "SSH_AUTH_SOCK": str(place)}
    done = subprocess.run(["ssh-add", "-L"], env=environment, capture_output=True, text=True, check=False)
    return sorted(line.split()[0] for line in done.stdout.splitlines() if line.startswith("ssh-"))


BOTH = ["ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"]


def level(front_end: FrontEnd) -> str:
    """Return what doctor finds of the agent, empty where it is not asked."""
    return {check.name: check.level for check in part.checks(front_end.context)}.get("ssh agent", "")


def test_the_worker_keeps_the_certificate_in_the_agent(front_end: FrontEnd, agent: Path) -> None:
    """VMs no longer migrated between nodes a week after somebody had added the certificate by hand."""
    part.reconcile(front_end.context, [KEY])
    assert held(agent) == [], "without nodes there is nothing to reach"
    assert level(front_end) == "warn"
    front_end.join(Machine("edge-1"), front_end.token())
    assert part.reconcile(front_end.context, [KEY]) == "1 nodes"
    assert held(agent) == BOTH
    assert level(front_end) == "ok"
    subprocess.run(
        ["ssh-add", "-q", "-D"], check=True, stderr=subprocess.DEVNULL
    )  # as the agent's restart does
    part.reconcile(front_end.context, [KEY])
    assert held(agent) == BOTH
    part._close()


def test_a_renewed_certificate_follows(front_end: FrontEnd, agent: Path) -> None:
    """The agent would offer one that has expired."""
    kept = Secrets.of(front_end.paths)
    assert ssh_agent.keep(kept, agent, 7)
    assert not ssh_agent.keep(kept, agent, 7), "once"
    certificate = kept.file(f"{USER}-cert.pub")
    first = certificate.read_text()
    later = front_end.context.now() + 4 * 86_400
    publish(replace(front_end.context, now=lambda: later), Book.of(front_end.context.oned))
    assert certificate.read_text() != first
    assert not ssh_agent.holds(kept, agent)
    assert ssh_agent.keep(kept, agent, 7)
    assert ssh_agent.holds(kept, agent)


def test_an_agent_that_does_not_work_stops_nothing(
    front_end: FrontEnd, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hub and ssh files must follow the records, whatever the agent does."""
    front_end.join(Machine("edge-1"), front_end.token())
    dead = agent.with_name("dead")
    with socket.socket(socket.AF_UNIX) as listens_no_more:
        listens_no_more.bind(str(dead))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(dead))
        assert part.reconcile(front_end.context, [KEY]).startswith("1 nodes, ssh agent: ")
        assert level(front_end) == "warn"
        with pytest.raises(AgentError):
            ssh_agent.holds(Secrets.of(front_end.paths), dead)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.with_name("missing")))
    assert part.reconcile(front_end.context, [KEY]) == "1 nodes"
    assert level(front_end) == "warn"
    part._close()


def test_it_can_be_switched_off(front_end: FrontEnd, agent: Path) -> None:
    """A site that forwards no agent to its nodes."""
    file = front_end.paths.settings
    file.write_text(file.read_text().replace("edge:\n", "edge:\n  ssh_agent: false\n"))
    front_end.context = front_end._context()
    front_end.join(Machine("edge-1"), front_end.token())
    part.reconcile(front_end.context, [KEY])
    assert held(agent) == []
    assert level(front_end) == ""
    part._close()

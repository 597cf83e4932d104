"""`onext ha confirm`: a person's word, which releases the VMs of a host."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hooks.availability import collect_evidence
from hooks.availability.commands import ha
from hooks.availability.evidence import Evidence, Finding, Source
from hooks.availability.model import Incident, Phase
from hooks.availability.records import CONFIRMATION, INCIDENT
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.oned.documents import Documents
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from tests.onext.hosts.document_pool import DocumentPool

SILENT = Evidence(Source.SSH, Finding.SILENT)
POWERED = Evidence(Source.BMC, Finding.POWERED, readings=2)


class Played(Context):
    """A front-end with one host in ERROR."""

    def cloud(self, max_age: float = 60.0) -> Cloud:  # noqa: ARG002
        """Return it."""
        return Cloud.of([Host(0, "node-0", 3, cluster_id=100)])


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a front-end with an open incident of host 0."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr("hooks.availability.commands.subject", lambda *_: None)
    made = Played(Paths.find(), Settings())
    pool = DocumentPool()
    monkeypatch.setattr(Context, "oned", pool)  # a command replaces its context
    Documents(pool, INCIDENT).put(0, Incident(0, "node-0", 100, Phase.HELD, 5.0, 6.0), None)  # type: ignore[arg-type]
    return made


def confirm(context: Context, found: list[Evidence], *words: str, patch: pytest.MonkeyPatch) -> Result:
    """Run the command while this is the evidence."""
    patch.setattr(collect_evidence, "collect", lambda *_: found)
    return CliRunner().invoke(ha, ["confirm", "0", *words], obj=context)


def orders(context: Context) -> set[int]:
    """Return the hosts that are confirmed."""
    return set(Documents(context.oned, CONFIRMATION).all())


def test_a_host_that_shows_life_or_has_another_name_is_not_confirmed(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who confirms the wrong host starts its VMs twice."""
    alive = [Evidence(Source.SSH, Finding.ALIVE)]
    assert "shows life" in confirm(context, alive, "--name", "node-0", patch=monkeypatch).output
    assert "is named node-0" in confirm(context, [SILENT], "--name", "node-9", patch=monkeypatch).output
    assert orders(context) == set()


def test_a_dry_run_confirms_nothing(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tries the command must not release VMs by that."""
    done = confirm(context, [SILENT], "--name", "node-0", "--dry-run", patch=monkeypatch)
    assert done.output == (
        "node-0: would be confirmed; its VMs start elsewhere in the next round (`onext ha status`)\n"
    )
    assert orders(context) == set()


def test_the_answer_names_what_follows(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a controller that reports power the VMs do not start: the person would wait without a reason."""
    done = confirm(context, [SILENT, POWERED], "--name", "node-0", patch=monkeypatch)
    assert "only when its BMC or fence agent, which reports power now, reports off" in done.output
    assert orders(context) == {0}

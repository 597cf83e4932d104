"""`onext ha drill`, and what `pause`, `arm` and `disarm` write: commands that a person gives on purpose."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hooks.availability import collect_evidence, drill
from hooks.availability.commands import ha
from hooks.availability.evidence import Evidence, Finding, Source
from hooks.availability.lease.grants import ARMED, Armed, Arming
from hooks.availability.model import Entry, Incident, Phase, Stage
from hooks.availability.records import INCIDENT, PAUSE
from onext.cloud.model import Cluster, Datastore, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.orders import Order
from onext.oned.documents import Documents
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.availability import Availability
from onext.xml import parse
from tests.onext.hosts.document_pool import DocumentPool

WELL = [
    Evidence(Source.MONITORING, Finding.ALIVE),
    Evidence(Source.SSH, Finding.ALIVE),
    Evidence(Source.BMC, Finding.POWERED, readings=2),
]
STAY = Stay(0, 0, "node-0", 100, 100, "kvm", "shared", 0.0, 0.0, 0)


class Played(Context):
    """Two hosts, one VM on the first."""

    def cloud(self, max_age: float = 60.0) -> Cloud:  # noqa: ARG002
        """Return it."""
        free = SPACE["gib"] << 20
        return Cloud.of(
            [
                Host(0, "node-0", 2, cluster_id=100, max_cpu=800, max_memory=64 << 20),
                Host(1, "node-1", 2, cluster_id=100, max_cpu=800, max_memory=free),
            ],
            vms=[Vm(5, "db", state=3, lcm_state=3, cpu=1.0, memory=4096, stay=STAY)],
            clusters=[Cluster(100, "edge", template={"ONEXT_HA": {"MODE": SPACE["mode"]}})],
            datastores=[Datastore(100, "system", 1, "shared", template={"SHARED": SPACE["shared"]})],
            documents={"vmgrouppool.info": parse("<P/>"), "system.config": parse("<C/>")},
        )


SPACE: dict[str, Any] = {}


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a front-end where all is well."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    SPACE.update(gib=64, mode="auto", shared="YES")
    monkeypatch.setattr(drill, "subject", lambda *_: None)
    monkeypatch.setattr(drill, "bmc_config", lambda _: BmcConfig(tmp_path / "bmc.yaml"))
    monkeypatch.setattr("hooks.availability.forecast.bmc_config", lambda _: BmcConfig(tmp_path / "bmc.yaml"))
    monkeypatch.setattr(collect_evidence, "collect", lambda *_: WELL)
    made = Played(Paths.find(), Settings(availability=Availability(clusters=(100,), highest_mode="auto")))
    made.paths.var.mkdir(parents=True)
    monkeypatch.setattr(Context, "oned", DocumentPool())
    return made


def run(context: Context, *words: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(ha, list(words), obj=context)


def test_a_drill_shows_first_what_would_happen(context: Context) -> None:
    """Whoever tries the command must not cut the power of a host by that."""
    done = run(context, "drill", "0", "--name", "node-0", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "5 db" in done.output


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "advise"}, "MODE = auto"),
        ({"gib": 2}, "no host has room for VMs 5"),
        ({"shared": "NO"}, "disks on it"),
    ],
)
def test_a_drill_that_would_lose_vms_is_refused(
    context: Context, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], reason: str
) -> None:
    """A drill must not be an outage."""
    monkeypatch.setattr(drill, "_cut", lambda *_: pytest.fail("the power was cut"))
    SPACE.update(change)
    done = run(context, "drill", "0", "--name", "node-0")
    assert done.exit_code == 1
    assert reason in done.output


def test_a_drill_beside_an_incident_or_with_another_name_is_refused(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hosts down at once hold everything."""
    monkeypatch.setattr(drill, "_cut", lambda *_: pytest.fail("the power was cut"))
    assert "is named node-0" in run(context, "drill", "0", "--name", "node-1").output
    monkeypatch.setattr(collect_evidence, "collect", lambda *_: WELL[:2])
    assert "does not report power" in run(context, "drill", "0", "--name", "node-0").output
    Documents(context.oned, INCIDENT).put(1, Incident(1, "node-1", 100, Phase.HELD, 5.0, 6.0), None)
    assert "incidents already" in run(context, "drill", "0", "--name", "node-0").output


def test_a_drill_prints_each_step_and_fails_with_a_vm_that_did_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are what the drill is for."""
    monkeypatch.setattr(drill, "_PAUSE", 0.0)
    entry = Entry(5, 0, 5, Stage.STARTED, target=1)
    incident = Incident(0, "node-0", 100, Phase.EVACUATING, 1.0, 1.0, reason="proven dead", entries=(entry,))
    done = Incident(
        0,
        "node-0",
        100,
        Phase.DONE,
        1.0,
        2.0,
        reason="settled",
        entries=(Entry(5, 0, 5, Stage.RUNNING, target=1),),
    )
    answers = iter([None, SimpleNamespace(value=incident), SimpleNamespace(value=done)])
    drill.follow(Host(0, "node-0"), lambda _: next(answers))
    printed = capsys.readouterr().out
    assert "evacuating: proven dead" in printed
    assert "VM 5: running on host 1" in printed
    failed = Incident(0, "node-0", 100, Phase.DONE, 1.0, 2.0, entries=(Entry(5, 0, 5, Stage.FAILED),))
    with pytest.raises(Exception, match=r"VMs \[5\] did not start"):
        drill.follow(Host(0, "node-0"), lambda _: SimpleNamespace(value=failed))
    with pytest.raises(Exception, match="not done"):
        drill.follow(Host(0, "node-0"), lambda _: None, longest=0.0)


def test_pause_and_resume_can_be_tried(context: Context) -> None:
    """A dry run must not hold a cluster, or release it."""
    assert "would be paused" in run(context, "pause", "100", "--dry-run").output
    assert Documents(context.oned, PAUSE).all() == {}
    Documents(context.oned, PAUSE).put(100, Order("admin", 1.0), None)
    assert "would be resumed" in run(context, "resume", "100", "--dry-run").output
    assert set(Documents(context.oned, PAUSE).all()) == {100}


def test_arming_writes_a_script_that_only_its_owner_reads_and_a_record(
    context: Context, tmp_path: Path
) -> None:
    """The script holds the key with which a host can be kept running."""
    done = run(context, "arm", "0")
    assert done.exit_code == 0, done.output
    script = tmp_path / "onext-lease-0.sh"
    assert script.stat().st_mode & 0o777 == 0o600
    stored = Documents(context.oned, ARMED).all()[0].value
    assert stored is not None
    assert stored.state is Arming.ARMING
    assert "File exists" in run(context, "arm", "0").output
    assert Documents(context.oned, ARMED).all()[0].value == stored
    assert "record is removed" in run(context, "disarm", "0").output
    assert "is not armed" in run(context, "disarm", "0").output


def test_an_armed_host_is_no_proof_from_the_moment_of_its_disarming(context: Context) -> None:
    """The daemon may obey at any time afterwards, and run on without grants."""
    armed = Armed(Arming.ARMED, "node-0", "salt", "key", 4129, 1.0)
    Documents(context.oned, ARMED).put(0, armed, None)
    assert "disarm` first" in run(context, "arm", "0").output
    done = run(context, "disarm", "0", "--wait", "0")
    assert "has not acknowledged" in done.output
    stored = Documents(context.oned, ARMED).all()[0].value
    assert stored is not None
    assert stored.state is Arming.DISARMING

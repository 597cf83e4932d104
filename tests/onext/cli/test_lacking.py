"""What a release does not have is named with the release that has it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hooks.balance.commands import FORECASTS
from onext.cli.lacking import lacking
from onext.cloud.model import Cluster, Vm
from onext.cloud.snapshot import Cloud
from onext.command import explain_lack
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.balance import Balance

CLOUD = Cloud.of(
    clusters=[Cluster(100, "alpha", template={"EVC_MODE": "EPYC", "ONE_DRS": {"AUTOMATION": "manual"}})],
    vms=[Vm(7, template={"FEATURES": {"MIGRATE_AUTO_CONVERGE": "20,10"}})],
)
SETTINGS = Settings(balance=Balance(clusters=(100,)))


@pytest.mark.parametrize(
    ("release", "named"),
    [
        ("7.4.0", []),
        ("7.10.1", []),
        ("7.2.0", ["EVC_MODE of cluster alpha", "MIGRATE_AUTO_CONVERGE of VM 7"]),
        ("6.10.5", ["ONE_DRS", "`balance: clusters:`", "EVC_MODE", "MIGRATE_AUTO_CONVERGE"]),
        ("unknown", []),
    ],
)
def test_what_a_release_lacks_is_named(release: str, named: list[str]) -> None:
    """A setting without effect looks like one that works until somebody needs it."""
    found = list(lacking(release, SETTINGS, CLOUD))
    assert len(found) == len(named)
    for check, text in zip(found, named, strict=True):
        assert text in check.message
        assert f"this is {release}" in check.message
        assert "needs OpenNebula 7." in check.message
    assert not list(lacking(release, Settings(), Cloud.of()))


@pytest.mark.parametrize(
    ("release", "lines"), [("7.4.0", 0), ("7.0.2", 0), ("6.10.5", 1), ("6.9.80", 1), ("x", 0)]
)
def test_a_command_states_what_the_release_lacks(
    release: str, lines: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that works with less than it was written for looks as if it had all of it."""
    context = Context(Paths.self_contained(tmp_path))
    context.__dict__["oned"] = SimpleNamespace(version=lambda: release)
    explain_lack(context, *FORECASTS)
    found = capsys.readouterr().err.splitlines()
    assert len(found) == lines
    for line in found:
        assert line == (
            f"a forecast of use needs OpenNebula 7.0, this is {release}: "
            "hosts and VMs are judged by what they use now"
        )

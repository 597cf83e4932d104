"""What a release does not have is named with the release that has it."""

from __future__ import annotations

import pytest

from onext.cli.lacking import lacking
from onext.cloud.model import Cluster, Vm
from onext.cloud.snapshot import Cloud
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

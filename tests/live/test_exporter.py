"""The exporter on a real OpenNebula, as the user that the README has made for it: one who may only USE."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from onext.process import run
from tests.exporter.monitoring import exporter, get
from tests.live.front_end import FrontEnd
from tests.live.scene import Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
NO_POWER = "exporter: {power: {sources: []}}\n"
IDENTITIES = re.compile(r"^(opennebula_(?:host|vm|datastore)_\w+\{[^}]*\})", re.MULTILINE)


@pytest.fixture
def user(front_end: FrontEnd, scene: Scene, tmp_path: Path) -> Iterator[str]:
    """Return name and password of a user who may USE hosts, VMs and datastores, and nothing else."""
    name, password = scene.name("exporter"), secrets.token_hex(12)
    (tmp_path / "password").write_text(password)
    ours = front_end.paths.bin
    made = run([str(ours / "oneuser"), "create", name, str(tmp_path / "password"), "--read-file"], timeout=60)
    number = made.stdout.decode().rpartition(":")[2].strip()
    rule = run([str(ours / "oneacl"), "create", f"#{number} HOST+VM+DATASTORE/* USE *"], timeout=60)
    yield f"{name}:{password}"
    run([str(ours / "oneacl"), "delete", rule.stdout.decode().rpartition(":")[2].strip()], timeout=60)
    run([str(ours / "oneuser"), "delete", number], timeout=60)


def metrics(front_end: FrontEnd, folder: Path, login: str) -> str:
    """Return the page that the exporter serves with these credentials."""
    with exporter(front_end.oned.endpoint, folder, NO_POWER, login=login) as listen:
        status, page, _ = get(f"http://{listen}/metrics")
    assert status == 200
    return page.decode()


def test_who_may_only_use_sees_all(front_end: FrontEnd, scene: Scene, user: str, tmp_path: Path) -> None:
    """With oneadmin's password in a service that the network can ask, the cloud is the prize of its first fault."""
    host, guest, datastore = scene.host(), scene.guest(), scene.system_datastore()
    theirs = metrics(front_end, tmp_path / "use", user)
    ours = metrics(front_end, tmp_path / "admin", front_end.oned.source.session)
    assert "opennebula_up 1" in theirs
    assert not re.search(r"^opennebula_scrape_errors_total\{[^}]*\} [1-9]", theirs, re.MULTILINE)
    for what, number in (("host", host), ("vm", guest), ("datastore", datastore)):
        assert re.search(rf'^opennebula_{what}_\w+\{{[^}}]*one_{what}_id="{number}"', theirs, re.MULTILINE)
    assert set(IDENTITIES.findall(theirs)) == set(IDENTITIES.findall(ours))

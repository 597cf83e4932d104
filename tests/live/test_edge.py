"""Edge nodes on a real OpenNebula: hosts, documents, VMs and monitoring are oned's; the node's WireGuard is played.

Endpoint and worker are those that install.sh placed. tests/lab has the real tunnel, without a real OpenNebula.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge import build
from onext.oned.objects import HostState
from onext.process import Completed, run
from sandbox.ports import free_port
from tests.fixtures_bundle import make_database
from tests.live.front_end import wait_until
from tests.live.installation import ROOT, Installation
from tests.live.scene import Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
SETTINGS = """\
geolocation:
  database: {database}
edge:
  enabled: true
  endpoint: 127.0.0.1:{port}
  hub: 127.0.0.1:51820
  im_mad: dummy
  vm_mad: dummy
"""
PLACES = {"193.0.6.139": "52.3735,4.8951", "130.237.28.40": "59.25,18.0833"}
WORKER = 150.0  # seconds: it looks at edge nodes once a minute
POOL = "10.77.0.0/22"


class Site:
    """The zone's edge part, and machines that join it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation, self.folder, self.oned = installation, folder, installation.oned
        self.program = folder / "onext-edge.pyz"
        build.write(str(self.program))

    def edge(self, *words: str) -> str:
        """Return what `onext edge WORDS` prints."""
        return self.installation.onext("edge", *words).stdout.decode()

    def listed(self, name: str) -> dict[str, object]:
        """Return a node as `onext edge list` has it."""
        rows: list[dict[str, object]] = json.loads(self.edge("list", "--json"))
        return [row for row in rows if row["name"] == name][-1]

    def token(self, cluster: int, name: str) -> str:
        """Make a token for one node."""
        return self.edge("token", "--cluster", str(cluster), "--name", name).strip()

    def on(self, name: str, *words: str, check: bool = True) -> Completed:
        """Run the node program on a machine."""
        root = self.folder / name
        (root / "etc/ssh").mkdir(parents=True, exist_ok=True)
        (root / "etc/ssh/sshd_config").write_text(f"HostKey {root}/etc/ssh/ssh_host_ed25519_key\n")
        played = [sys.executable, "-I", str(ROOT / "sandbox/tour/played_node.py"), str(self.program)]
        return run([*played, "--root", str(root), *words], timeout=WORKER + 60, check=check)

    def join(self, cluster: int, name: str) -> int:
        """Let a machine join, and return its host."""
        done = self.on(name, "join", "--name", name, "--wait", str(WORKER), self.token(cluster, name))
        assert b"the host is MONITORED" in done.stdout
        host = self.listed(name)["host"]
        assert isinstance(host, int)
        return host


@pytest.fixture(scope="module")
def site(installation: Installation) -> Iterator[Site]:
    """Install, start the endpoint as its unit does, and make the zone's keys."""
    with ExitStack() as stack:
        folder, port, paths = Scene(installation.front_end, stack).folder(), free_port(), installation.paths
        database = make_database(folder / "city.mmdb")
        database.chmod(0o644)
        stack.callback(paths.settings.unlink)
        installation.write_settings(SETTINGS.format(database=database, port=port))
        stack.enter_context(installation.for_a_while())
        publish, state = paths.run / "edge-endpoint", folder / "endpoint"
        for made in (publish, state):
            made.mkdir(parents=True)
        words = ["--state", str(state), "--publish", str(publish / "certificate.pem")]
        words += ["--listen", f"127.0.0.1:{port}", "--worker", str(paths.run / "edge/join.sock")]
        current = paths.lib / "current"
        command = [str(current / "venv/bin/python3"), "-m", "hooks.edge.endpoint", *words]
        process = subprocess.Popen(command, cwd=current / "parts", env={**os.environ, "PYTHONPATH": "."})
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until("the endpoint has its certificate", (publish / "certificate.pem").exists)
        wait_until("the worker listens", (paths.run / "edge/join.sock").exists, seconds=WORKER)
        found = Site(installation, folder)
        assert "record the zone" in found.edge("init", "--pool", POOL)
        stack.callback(_forget, found)
        yield found


def _forget(site: Site) -> None:
    """Remove the documents, which an uninstall keeps: a node's keys stay revoked."""
    pool = site.oned.document("documentpool.info", -2, -1, -1, 1337)
    for item in pool.iterfind("DOCUMENT"):
        if item.findtext("NAME", "").startswith("onext.edge"):
            site.oned.call("document.delete", int(item.findtext("ID", "")))


def test_a_machine_becomes_a_host_with_a_place_and_leaves_without_its_vms(site: Site, scene: Scene) -> None:
    """What a token promises, with OpenNebula's own hosts, documents, monitoring and live migration."""
    cluster, datastore = scene.cluster(), scene.system_datastore()
    scene.oned.call("cluster.adddatastore", cluster, datastore)
    (other,) = scene.hosts(1, cluster)
    name = scene.name("edge")
    host = site.join(cluster, name)
    assert scene.oned.host(host).cluster_id == cluster
    _is_located(site, scene, host)
    guest = scene.guest()
    scene.oned.call("vm.deploy", guest, host, False, datastore)
    scene.wait_for_running(guest)
    left = site.on(name, "leave", "--wait", "300")
    assert left.stdout.endswith(b"left\n")
    assert scene.oned.vm(guest).host_id == other
    assert scene.wait_for_running(guest).running
    assert host not in {found.id for found in scene.oned.hosts()}
    assert site.listed(name)["state"] == "left"


def _is_located(site: Site, scene: Scene, host: int) -> None:
    """Write from where the node dials in, as the hub does: its host gets the place, and the next one when it moves."""
    keys = [
        peer["key"]
        for peer in json.loads((site.installation.paths.run / "edge/hub.json").read_text())["peers"]
    ]
    for address, place in PLACES.items():
        text = json.dumps(dict.fromkeys(keys, f"{address}:51820"))
        file = site.installation.paths.run / "edge/endpoints.json"
        file.write_text(text)
        wait_until(
            f"host {host} is at {place}",
            lambda place=place: scene.oned.host(host).text("GEOLOCATION") == place,  # type: ignore[misc]
            seconds=WORKER,
        )


def test_a_reinstalled_machine_keeps_its_host_until_it_is_revoked(site: Site, scene: Scene) -> None:
    """A new disk must not cost the host's id, its quotas and its history; a stolen machine must lose the host."""
    cluster, name = scene.cluster(), scene.name("edge")
    host = site.join(cluster, name)
    (site.folder / name).rename(site.folder / f"{name}.old")
    assert site.join(cluster, name) == host
    (site.folder / name).rename(site.folder / f"{name}.new")
    (site.folder / f"{name}.old").rename(site.folder / name)
    refused = site.on(name, "rejoin", "--wait", "1", check=False)
    assert refused.exit_code == 1
    assert b"not known" in refused.stderr
    site.edge("revoke", name)
    scene.wait_for_host(host, HostState.DISABLED)
    (site.folder / name).rename(site.folder / f"{name}.old")
    (site.folder / f"{name}.new").rename(site.folder / name)
    assert b"this node is revoked" in site.on(name, "rejoin", "--wait", "1", check=False).stderr
    scene.oned.call("host.delete", host)


def test_two_machines_with_one_name_and_one_in_the_way(site: Site, scene: Scene) -> None:
    """A name is a host's identity in OpenNebula: neither a second machine nor a host that was there is replaced."""
    cluster = scene.cluster()
    taken = scene.oned.host(scene.host()).name
    refused = site.on(taken, "join", "--name", taken, site.token(cluster, taken), check=False)
    assert b"already, which did not join by a token" in refused.stderr
    name = scene.name("edge")
    host = site.join(cluster, name)
    pattern = site.edge("token", "--cluster", str(cluster), "--name", name[:-1] + "*").strip()
    twin = site.on("twin", "join", "--name", name, pattern, check=False)
    assert b"is there already" in twin.stderr
    assert site.listed(name)["host"] == host
    assert site.on(name, "leave").stdout.endswith(b"left\n")

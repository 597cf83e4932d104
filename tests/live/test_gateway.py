"""The gateway and events before a real OpenNebula: what its own users and commands see, and what a hook tells."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyone
import pytest
from biscuit_auth import KeyPair

from gateway import part
from gateway.actions.orders import Flush, Locate, Off
from gateway.actions.rights import Rights
from gateway.credentials import of_session
from gateway.refusals import Forbidden
from onext import published
from onext.biscuit import keys, scoped, tokens
from onext.oned.objects import HostState
from onext.part import Context
from onext.paths import Paths
from onext.process import Completed, run
from onext.settings import OnedAccess, Settings
from onext.settings.gateway import Gateway as GatewaySettings
from tests.live.front_end import wait_until
from tests.live.installation import ROOT, Installation
from tests.live.scene import HostStatus, Scene

pytestmark = [pytest.mark.live, pytest.mark.timeout(1200)]
_TIMEOUT = 60.0


@dataclass
class Site:
    """A gateway, two tenants with a VM each, and the keys of one of them."""

    installation: Installation
    scene: Scene
    folder: Path
    port: int
    key: KeyPair
    user: KeyPair
    names: tuple[str, str]
    vms: tuple[int, int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The first tenant's credential: a token of the biscuit driver."""
        return f"{self.names[0]}:{tokens.mint(self.user.private_key, self.names[0], None).to_base64()}"

    @property
    def password(self) -> str:
        """The second tenant's credential."""
        return f"{self.names[1]}:secret"

    def scoped(self, operation: str, resource: str) -> str:
        """Return the first tenant's token, narrowed."""
        made = tokens.mint(self.user.private_key, self.names[0], None)
        check = scoped.check([operation], [resource], self.key.public_key)
        return f"{self.names[0]}:{tokens.attenuate(made, None, [check]).to_base64()}"

    def get(self, path: str, session: str) -> tuple[int, Any]:
        """Ask the API; return status and answer."""
        header = {"Authorization": f"Basic {b64encode(session.encode()).decode()}"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.url + path, headers=header), timeout=60
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def ids(self, name: str, session: str) -> set[int]:
        """Return the ids of a list of the API."""
        status, found = self.get(f"/v1/{name}?limit=1000", session)
        assert status == 200, found
        return {one["id"] for one in found["items"]}

    def command(self, program: str, *words: str, session: str, endpoint: str) -> Completed:
        """Run one of OpenNebula's own commands as a user of the API."""
        auth = self.folder / "auth"
        auth.write_text(session)
        auth.chmod(0o644)
        found = shutil.which(program)
        assert found is not None, f"{program} is not on PATH"
        environment = ("env", f"ONE_AUTH={auth}", f"ONE_XMLRPC={endpoint}")
        return run(
            [*self.installation.becoming_owner(), *environment, found, *words], timeout=_TIMEOUT, check=False
        )


@pytest.fixture(scope="module")
def settings(installation: Installation) -> Iterator[Path]:
    """Write onext.yaml with a file for events."""
    with ExitStack() as stack:
        folder = Scene(installation.front_end, stack).folder()
        folder.chmod(0o777)
        stack.callback(installation.paths.settings.unlink)
        sink = f"  - name: file\n    kind: file\n    path: {folder}/events.jsonl\n"
        installation.write_settings(f"events:\n  sinks:\n{sink}")
        yield folder / "events.jsonl"


@pytest.fixture(scope="module")
def site(installed: Installation) -> Iterator[Site]:
    """Start a gateway of this checkout before the real oned, with tenants."""
    installed.front_end.require_biscuit()
    with ExitStack() as stack:
        scene = Scene(installed.front_end, stack)
        folder, key, user = scene.folder(), KeyPair(), KeyPair()
        names = scene.name("tenant"), scene.name("tenant")
        stored = [(names[0], keys.stored(user.public_key), "biscuit"), (names[1], "secret", "core")]
        for name, password, driver in stored:
            number = int(scene.oned.call("user.allocate", name, password, driver, []))
            stack.callback(scene.oned.call, "user.delete", number)
        found = Site(installed, scene, folder, _free_port(), key, user, names, (0, 0))
        found.vms = (_vm(scene, stack, found.token), _vm(scene, stack, found.password))
        with _started(found):
            yield found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _vm(scene: Scene, stack: ExitStack, session: str) -> int:
    one = pyone.OneServer(scene.oned.endpoint, session=session)
    number = int(one.vm.allocate(f'NAME="{scene.name("vm")}"\nCPU=1\nMEMORY=64', True))
    stack.callback(scene.oned.call, "vm.action", "terminate-hard", number)
    return number


class _started:  # noqa: N801 - used as a function
    """The gateway's process."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __enter__(self) -> None:
        folder, endpoint = self._site.folder, self._site.scene.oned.endpoint
        (folder / "gateway.key").write_text(str(self._site.key.private_key))
        lines = f"  listen: 127.0.0.1:{self._site.port}\n  scoped_key: {folder}/gateway.key\n  rpc: true\n  requests: 10000\n"
        (folder / "gateway.yaml").write_text(
            f"gateway:\n  enabled: true\n{lines}oned:\n  endpoint: {endpoint}\n"
        )
        own = Paths.self_contained(folder)
        own.state.mkdir(parents=True)
        _context = Context(
            own, Settings(oned=OnedAccess(endpoint=endpoint), gateway=GatewaySettings(enabled=True))
        )
        part.reconcile(_context, [])
        places = ["--published", str(published.folder(own)), "--targets", str(folder / "targets")]
        arguments = [sys.executable, "-m", "gateway", "--settings", str(folder / "gateway.yaml"), *places]
        with (folder / "gateway.log").open("w") as log:
            self._process = subprocess.Popen(arguments, cwd=ROOT, stderr=log)
        wait_until("the gateway answers", self._healthy)

    def _healthy(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self._site.url}/-/healthy", timeout=10) as answer:
            return bool(answer.status == 200)
        return False

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def test_a_tenant_sees_what_onevm_list_shows(site: Site) -> None:
    """The API would show VMs of others, or hide those of the caller."""
    for number, session in enumerate((site.token, site.password)):
        listed = site.command(
            "onevm", "list", "--csv", "--list", "ID", session=session, endpoint=site.scene.oned.endpoint
        )
        assert listed.exit_code == 0, listed.stderr
        expected = {int(line) for line in listed.stdout.decode().split() if line.isdecimal()}
        assert site.ids("vms", session) == expected
        assert site.vms[number] in expected
        assert site.vms[1 - number] not in expected
        assert site.get(f"/v1/vms/{site.vms[1 - number]}", session)[0] == 403


def test_a_tenant_sees_nothing_of_ours_about_others(site: Site) -> None:
    """Plans and incidents would tell a tenant which VMs others run, and why hosts fail."""
    own = Paths.self_contained(site.folder)
    host = site.scene.host()
    entry = {"vm_id": site.vms[1], "stage": "waits", "target_id": host, "reason": "secret of the other"}
    incident = {"id": host, "name": "h", "cluster_id": 0, "phase": "fenced", "first": 1.0, "since": 1.0, "reason": "r", "proof": "p", "vms": [entry], "timeline": []}  # fmt: skip
    published.write(own, "availability", {"incidents": [incident]})
    administrator = (site.scene.oned.session, site.password, site.token)
    seen = [site.get("/v1/ha", session)[1]["items"] for session in administrator]
    assert [len(one) for one in seen] == [1, len(seen[1]), 0]
    assert "secret of the other" in json.dumps(seen[0])
    assert "secret of the other" not in json.dumps(seen[1:])
    assert site.get("/v1/energy", site.token)[1]["items"] == []


def test_a_scoped_token_does_what_it_names(site: Site) -> None:
    """A token for one call would do others at a real oned, or not even that one."""
    mine, other = site.vms
    session = site.scoped("vm:info", f"vm:{mine}")
    assert site.get(f"/v1/vms/{mine}", session)[1]["id"] == mine
    assert site.get(f"/v1/vms/{other}", session)[0] == 403
    assert site.get("/v1/vms", session)[0] == 403
    guarded = pyone.OneServer(f"{site.url}/RPC2", session=session)
    assert mine == guarded.vm.info(mine).ID
    with pytest.raises(pyone.OneException):
        guarded.vm.action("terminate-hard", mine)
    with pytest.raises(pyone.OneException):  # at oned itself
        pyone.OneServer(site.scene.oned.endpoint, session=session).vm.info(mine)


def test_pyone_and_onevm_work_through_the_gateway(site: Site) -> None:
    """People would have to choose between the gateway and their tools."""
    endpoint, mine = f"{site.url}/RPC2", site.vms[0]
    guarded = pyone.OneServer(endpoint, session=site.token)
    direct = pyone.OneServer(site.scene.oned.endpoint, session=site.token)
    assert guarded.system.version() == direct.system.version()
    assert [vm.ID for vm in guarded.vmpool.info(-2, -1, -1, -1).VM] == [mine]
    with pytest.raises(pyone.OneNoExistsException):
        guarded.vm.info(10**6)
    guarded.vm.rename(mine, "renamed")
    assert direct.vm.info(mine).NAME == "renamed"
    for words in (("list",), ("show", str(mine))):
        found = site.command("onevm", *words, session=site.token, endpoint=endpoint)
        assert (found.exit_code, b"renamed" in found.stdout) == (0, True), found.stderr
    shown = site.command(
        "onevm", "show", str(mine), session=site.scoped("vm:info", f"vm:{mine}"), endpoint=endpoint
    )
    assert (shown.exit_code, b"renamed" in shown.stdout) == (0, True), shown.stderr
    refused = site.command("onevm", "list", session=site.scoped("vm:info", f"vm:{mine}"), endpoint=endpoint)
    assert refused.exit_code != 0


def test_oned_decides_who_may_order(site: Site) -> None:
    """A tenant could switch hosts off, or asking would change the host."""
    host, rights = site.scene.host(), Rights(site.scene.oned)
    tenant = rights.caller(of_session(site.password))
    with pytest.raises(Forbidden):
        rights.demand(tenant, Off(host=host))
    rule = int(
        site.scene.oned.call("acl.addrule", f"{0x100000000 | tenant.id:x}", f"{0x2100000000 | host:x}", "4")
    )
    try:
        rights.demand(tenant, Flush(host=host))
    finally:
        site.scene.oned.call("acl.delrule", rule)
    rights.demand(rights.caller(of_session(site.scene.oned.session)), Off(host=host))
    assert site.scene.oned.host(host).state is HostState.MONITORED
    with pytest.raises(Forbidden):
        rights.demand(tenant, Off(host=host))


def test_the_rules_of_a_real_oned_are_read(site: Site) -> None:
    """Nobody could locate hosts, because the real rules are written in another way."""
    host, rights = site.scene.host(), Rights(site.scene.oned)
    tenant = rights.caller(of_session(site.password))
    rule = int(
        site.scene.oned.call("acl.addrule", f"{0x100000000 | tenant.id:x}", f"{0x2100000000 | host:x}", "2")
    )
    try:
        rights.demand(tenant, Locate(host=host))
    finally:
        site.scene.oned.call("acl.delrule", rule)


def test_a_hook_reaches_a_file(installed: Installation, settings: Path, scene: Scene) -> None:
    """A receiver would hear of a change of state only with the next round, or never."""
    host = scene.host()

    def states() -> list[str]:
        lines = settings.read_text().splitlines() if settings.exists() else []
        events = [json.loads(line) for line in lines]
        return [
            one["data"].get("state", "")
            for one in events
            if one.get("subject") == f"host/{host}" and one["type"].endswith(".host.state")
        ]

    wait_until("the host is known", lambda: settings.exists() and f'"host/{host}"' in settings.read_text())
    scene.switch(host, HostStatus.DISABLED, until=HostState.DISABLED)
    wait_until("its state reached the file", lambda: "DISABLED" in states())
    wait_until("its hook has ended", lambda: scene.hook_codes("onext-host-disabled")[-1:] == [0])
    assert settings.stat().st_mode & 0o007 == 0
    assert scene.oned.session.partition(":")[2] not in settings.read_text()

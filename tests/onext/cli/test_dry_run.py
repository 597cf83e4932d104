"""`--dry-run` of every command on a cloud with BMCs: it states what would be done, and nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures_bundle import make_database
from tests.fixtures_sandbox import Sandbox
from tests.hooks.power.test_sandbox import POLICY, SETTINGS, Cloud

from .test_every_command import COMMANDS, READING

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
# Words, exit code, a part of the output. Host 3 is empty and awake, host 2 asleep, cluster 100 is that of power.
TABLE = {
    "balance run": ("", 0, "cluster 100:"),
    "edge init": ("", 1, "set `edge: endpoint:`"),
    "edge reset": ("", 0, "nothing to do"),
    "edge revoke": ("1", 2, "no node 1"),
    "edge rotate": ("token", 1, "edge init"),
    "edge token": ("--cluster 100", 1, "edge init"),
    "ha drill": ("3 --name node-0003", 1, "is not drilled: "),
    "host flush": ("node-0003", 0, ""),
    "events dead drop": ("file", 0, "would delete 0 events"),
    "events dead retry": ("file", 0, "would queue 0 events again"),
    "events replay": ("file --from 1", 0, "would send 0 events again"),
    "events resume": ("file", 0, "would resume (it is not stopped)"),
    "events snapshot": ("file", 0, "would queue a snapshot of at most 0 objects"),
    "geo update": ("node-0003", 0, "would write: "),
    "ha arm": ("node-0003", 0, "node-0003: would be recorded"),
    "ha disarm": ("3", 0, "is not armed"),
    "ha confirm": ("3 --name node-0003", 1, "has no incident"),
    "ha pause": ("100", 0, "would be paused"),
    "ha resume": ("100", 0, "was not paused"),
    "power enroll": ("node-0003", 0, "would be powered off by its BMC, and on again"),
    "power fence": ("3", 1, "only a host in ERROR is fenced"),
    "power off": ("node-0003 --evacuate", 0, "disable the host, and power it off"),
    "power on": ("2", 0, "node-0002: would be powered on and enabled"),
    "power run": ("", 0, "would "),
    "power set": ("100 MODE=advise", 0, "would be set to "),
    "power wake": ("--all", 0, "node-0002"),
    "start": ("power", 0, "would resume nothing"),
    "stop": ("power", 0, "would stop power"),
    "sync": ("", 0, "objects to bring up to date"),
    "targets sync": ("", 0, "would write "),
    "tunnel drivers": ("--sync", 0, "would run: onehost sync --force"),
    "tunnel off": ("", 0, "would turn tunnels off on no host"),
    "tunnel on": ("", 0, "would turn tunnels on on no host"),
    "tunnel reap": ("", 0, "would remove 0 on 0 hosts"),
    "tunnel sync": ("", 0, "would be written (0 hosts)"),
}
ON_A_WORKSTATION = {"biscuit keygen", "biscuit login", "biscuit revoke"}  # tests/onext/biscuit


def test_the_table_is_complete() -> None:
    """A new command's preview would never be tried."""
    assert COMMANDS.keys() - READING - ON_A_WORKSTATION == TABLE.keys()


def seen(cloud: Cloud) -> dict[str, object]:
    """Return what commands can change: templates, states, documents, power, files."""
    folders = [cloud.sandbox.location / name for name in ("etc", "var/remotes", "var/onext/stopped")]
    folders += [cloud.bundle.var / "spool/incoming", cloud.bundle.var / "targets"]
    return {
        "hosts": [cloud.state(host) for host in range(4)],
        "templates": [cloud.bundle.template(host) for host in range(4)],
        "cluster": cloud.sandbox.call("cluster.info", 100),
        "documents": cloud.records.all(),
        "power": [cloud.ipmitool(host) for host in range(4)],
        "files": {path: path.read_bytes() for one in folders for path in one.rglob("*") if path.is_file()},
    }


def test_nothing_changes(sandboxes: Callable[..., Sandbox], tmp_path: Path) -> None:
    """An administrator who asks what a command would do must not have it done."""
    cloud = Cloud(
        sandboxes("--step", "0.02", "--monitor", "1", "--boot", "1", "--hosts", "4", "--vms", "0"), "ipmi"
    )
    database = make_database(tmp_path / "cities.mmdb")
    config = f"oned:\n  timeout: 5\ngeolocation:\n  database: {database}\n  ssh_config: {cloud.sandbox.location}/ssh_config\n"
    sink = f"events:\n  sinks:\n  - name: file\n    kind: file\n    path: {tmp_path}/events.json\n"
    cloud.bundle.settings(
        SETTINGS + config + sink + "availability:\n  clusters: [100]\nbalance:\n  clusters: [100]\n"
    )
    cloud.sandbox.call("host.update", 3, 'GEOLOCATION_IP="130.237.28.40"', 1)
    cloud.proven()
    cloud.power("set", "100", *POLICY)
    cloud.power("off", "2", "--evacuate")
    before = seen(cloud)
    wrong = []
    for command, (words, code, fragment) in TABLE.items():
        done = cloud.bundle.onext(*command.split(), *words.split(), "--dry-run", check=False)
        output = done.stdout + done.stderr
        if (done.returncode, fragment in output) != (code, True):
            wrong.append(f"onext {command} {words}: {done.returncode}: {output}")
    assert not wrong, "\n".join(wrong)
    assert seen(cloud) == before

"""Arming a host: the script for its node, the records, and real datagrams between granter and daemon."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.availability.lease import challenges, keys
from hooks.availability.lease.exchange import Exchange, Names, Peer
from hooks.availability.lease.grants import ARMED, GRANTS, Armed, Arming, Granted, Grants
from hooks.availability.lease.installer import script
from hooks.availability.lease.onext_lease import daemon as node_daemon
from hooks.availability.lease.onext_lease.lease import Lease
from onext.paths import Paths
from tests.hooks.availability.lease.counting_node import CountingNode, serve

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[4]


def test_the_script_holds_the_daemon_and_the_key_and_is_valid_shell(tmp_path: Path) -> None:
    """A script with an error leaves a node half armed."""
    text = script(12, b"k" * 32, 4129)
    file = tmp_path / "arm.sh"
    file.write_text(text)
    subprocess.run(["sh", "-n", str(file)], check=True)
    assert json.loads(re.findall(r"^\{.*\}$", text, re.MULTILINE)[0])["host"] == 12
    assert "@" not in re.sub(r"base64 -d.*?\nEND", "", text, flags=re.DOTALL)
    unpack = re.findall(r"base64 -d .*?\nEND", text, re.DOTALL)
    (tmp_path / "onext_lease").mkdir()
    subprocess.run(["sh", "-c", f"library={tmp_path}\n" + "\n".join(unpack)], check=True)
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import onext_lease.daemon"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_the_daemon_runs_on_the_oldest_python_of_hypervisors() -> None:
    """AlmaLinux 8 has Python 3.6; a daemon that does not start there leaves the host without a lease."""
    files = sorted(map(str, (ROOT / "hooks/availability/lease/onext_lease").glob("*.py")))
    vermin = str(Path(sys.executable).parent / "vermin")
    done = subprocess.run(
        [vermin, "-t=3.6-", "--no-tips", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_secret_that_others_may_read_is_refused(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has it can keep hosts running that were taken for dead."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    paths = Paths.find()
    paths.var.mkdir(parents=True)
    made = keys.create(paths)
    assert keys.create(paths) == made
    assert made.key(1, "a") != made.key(2, "a")
    keys.path(paths).chmod(mode)
    with pytest.raises(keys.NoSecret, match="others"):
        keys.load(paths)


def test_records_survive_the_way_through_oned_and_nonsense_is_refused() -> None:
    """Another leader reads them; what it cannot read must authorise nothing."""
    grants = Grants(5, 0, 1, "w", 90.0, 1.5, {n: Granted(f"{n:036x}", True, 7.0) for n in range(500)})
    values = dict(GRANTS.encode(grants))
    assert GRANTS.decode(values) == grants
    assert all(len(text) < 16_384 for text in values.values())
    armed = Armed(Arming.ARMED, "node", "s", "k", 4129, 2.0)
    assert ARMED.decode(ARMED.encode(armed)) == armed
    for broken in ({"EPOCH": "x"}, {"BODY0": "?"}, {"BODY0": ""}, {"LONGEST": "nan"}):
        with pytest.raises((ValueError, KeyError)):
            GRANTS.decode({**values, **broken})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is how they end
def test_real_datagrams_reach_the_daemon_and_strangers_are_ignored(request: pytest.FixtureRequest) -> None:
    """The exchange has to work over a network, beside hosts that do not exist."""
    channel = node_daemon.listen(0)
    request.addfinalizer(channel.close)
    port = channel.getsockname()[1]
    daemon = serve(CountingNode(), Lease(12, b"key", "a" * 32, "b" * 36), channel, request)
    peers = {
        12: Peer(12, b"key", ("127.0.0.1", port)),
        13: Peer(13, b"key", ("127.0.0.1", port)),
        14: Peer(14, b"key", ("host.invalid", port)),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger, Exchange(Names()) as exchange:
        stranger.sendto(b"x" * 4000, ("127.0.0.1", port))
        answers = dict(exchange.ask(peers))
        assert set(answers) == {12}
        exchange.send(peers[12], challenges.grant(b"key", 12, answers[12], 1, 60.0))
        until = time.monotonic() + 20
        while not daemon.lease.held and time.monotonic() < until:
            time.sleep(0.05)
        held = dict(exchange.ask({12: peers[12]}))[12]
    assert held.held
    assert replace(held, sent=0, held=False, watchdog=0.0, reason="") == replace(
        answers[12], sent=0, reason=""
    )
    assert daemon.lease.feeds(node_daemon.now())

"""Fence agents: real ones against simulated BMCs, and a played one that lies, hangs or prints too much."""

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onext.hosts.bmc import fence_agent
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import InvalidAnswer, Refused, TimedOut, UnsafeFile
from onext.hosts.bmc.fence_agent import FenceAgent
from onext.hosts.bmc.job import Job, Wish, fulfil
from onext.hosts.bmc.protocol import Power
from tests.fixtures_bmc import PASSWORD, IpmiPeer, RedfishPeer, confirmed, without
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
# It keeps its power in the file that the option `plug` names, and does what the option `ip` says besides.
PLAYED = """#!{python}
import sys, time, os
given = dict(line.rstrip("\\n").split("=", 1) for line in sys.stdin)
with open(given["plug"] + ".seen", "a") as seen:
    print(sorted(given.items()), sys.argv[1:], sorted(os.environ), file=seen)
mode, action, state = given["ip"], given["action"], open(given["plug"]).read().strip()
if mode == "hangs":
    time.sleep(600)
if mode == "endless":
    while True:
        sys.stdout.write("x" * 65536)
if mode == "unknown":
    print("WARNING:root:Parse error: Ignoring unknown option 'ip=" + mode + "'", file=sys.stderr)
if action == "status":
    if mode == "both":
        print("Status: ON")
    if mode == "mute":
        sys.exit(2)
    print("Status: " + state)
    sys.exit(0 if state == "ON" or mode == "zero" else 2)
if mode == "fails":
    sys.exit("Failed: " + given.get("password", "") + " rejected, secret-community")
if mode not in ("lies",):
    open(given["plug"], "w").write(action.upper())
print("Success: Powered " + action.upper())
sys.exit(1 if mode == "done-but-1" else 0)
"""


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FenceAgent]:
    """Give a function that plays an agent in a mode, with the power in the file `plug`."""
    program = tmp_path / "fence_played"
    program.write_text(PLAYED.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(fence_agent, "_verified", lambda _: program)
    monkeypatch.setattr(fence_agent, "_ENVIRONMENT", {"PATH": os.environ["PATH"]})

    def play(mode: str, state: str = "ON", seconds: float = 30.0) -> FenceAgent:
        (tmp_path / "plug").write_text(state)
        options = {"ip": mode, "plug": str(tmp_path / "plug"), "community": "secret-community"}
        ends = time.monotonic() + seconds
        job = Job(
            7, "power", "agent", "", 0, password=PASSWORD, agent="fence_played", options=options, ends=ends
        )
        return FenceAgent(job)

    return play


def test_an_agent_is_judged_by_the_state_afterwards(agent: Callable[..., FenceAgent], tmp_path: Path) -> None:
    """An agent that prints Success and does nothing would start VMs twice."""
    assert agent("obeys").power() == "on"
    agent("obeys").order("hard")
    assert (tmp_path / "plug").read_text() == "OFF"
    agent("done-but-1").order("hard")
    with pytest.raises(Refused, match="was ordered off without effect: Success: Powered OFF"):
        agent("lies").order("hard")
    with pytest.raises(Refused, match="shutdown: ssh"):
        agent("obeys").order("soft")


def test_secrets_go_through_standard_input_and_reach_no_message(
    agent: Callable[..., FenceAgent], tmp_path: Path
) -> None:
    """Every user of the front-end can read arguments and, of oneadmin's processes, environments."""
    with pytest.raises(Refused, match="rejected") as caught:
        agent("fails").order("hard")
    assert "secret-community" not in str(caught.value)
    seen = (tmp_path / "plug.seen").read_text()
    assert f"('password', '{PASSWORD}')" in seen
    assert "[] [" in seen, "no arguments"


@pytest.mark.parametrize("mode", ["both", "mute", "zero"])
@pytest.mark.parametrize("state", ["OFF", "Off", "OFFLINE", "", "ON OFF"])
def test_an_unclear_status_is_never_off(agent: Callable[..., FenceAgent], mode: str, state: str) -> None:
    """Text and exit code that contradict each other would be taken for the wished one."""
    with pytest.raises(InvalidAnswer, match="no clear status"):
        agent(mode, state).power()


@pytest.mark.parametrize("state", ["Off", "OFFLINE", "", "ERROR", "ON OFF"])
def test_a_status_of_other_words_is_unknown(agent: Callable[..., FenceAgent], state: str) -> None:
    """A word of a new version would be taken for off."""
    with pytest.raises(InvalidAnswer):
        agent("obeys", state).power()


def test_an_option_that_the_agent_ignores_is_refused(agent: Callable[..., FenceAgent]) -> None:
    """A typing error in `plug` would switch the agent's default outlet: another machine."""
    with pytest.raises(Refused, match=r"does not know an option of bmc.yaml"):
        agent("unknown").power()


@pytest.mark.parametrize("mode", ["hangs", "endless"])
def test_time_and_output_are_bounded(agent: Callable[..., FenceAgent], mode: str) -> None:
    """An agent that hangs would hold up a worker, and its children would stay."""
    with pytest.raises(TimedOut):
        agent(mode, seconds=3.0).power()
    running = [_read(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not any(b"fence_played" in line for line in running)
    with pytest.raises(TimedOut, match="no time is left"):
        agent("obeys", seconds=0.2).power()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_only_root_s_programs_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can write the agent, or a folder above it, would learn the passwords."""
    found = {
        "/": (0, 0o40755),
        "/usr": (0, 0o40755),
        "/usr/sbin": (0, 0o40755),
        "/usr/sbin/fence_x": (0, 0o100755),
    }

    def lstat(path: Path) -> os.stat_result:
        owner, mode = found[str(path)]
        return os.stat_result((mode, 1, 1, 1, owner, 0, 1, 0, 0, 0))

    monkeypatch.setattr(os, "lstat", lstat)
    program = Path("/usr/sbin/fence_x")
    assert fence_agent._verified(program) == program
    found["/usr/sbin"] = (0, 0o120777)  # a link of root's, as on Fedora
    assert fence_agent._verified(program) == program
    found["/usr/sbin"] = (0, 0o40755)
    for place, wrong in [
        ("/usr/sbin/fence_x", (1000, 0o100755)),
        ("/usr/sbin/fence_x", (0, 0o100775)),
        ("/usr/sbin/fence_x", (0, 0o100757)),
        ("/usr/sbin/fence_x", (0, 0o120777)),
        ("/usr/sbin/fence_x", (0, 0o40755)),
        ("/usr/sbin", (1000, 0o40755)),
        ("/usr", (0, 0o40777)),
    ]:
        right, found[place] = found[place], wrong
        with pytest.raises(UnsafeFile, match="not a program that only root can change"):
            fence_agent._verified(program)
        found[place] = right
    monkeypatch.undo()
    with pytest.raises(Refused, match="install the package fence-agents"):
        fence_agent._verified(Path("/usr/sbin/fence_there_is_none"))


def real(name: str) -> str:
    """Return the name of an agent that is installed; skip, or fail in CI, without it."""
    if not shutil.which(name, path="/usr/sbin"):
        without(f"{name} is missing: install the package fence-agents")
    return name


def test_a_real_agent_switches_a_simulated_machine(ipmi: IpmiPeer, bmc_config: Books) -> None:
    """The protocol above would be what we believe of agents."""
    options = {"ip": "127.0.0.1", "ipport": ipmi.port, "username": "admin", "lanplus": True, "cipher": 3}
    entry = {"kind": "agent", "agent": real("fence_ipmilan"), "password": PASSWORD, "options": options}
    bmc = bmc_config({7: entry}).bmc(7, timeout=45.0)
    assert bmc.power().power is Power.ON
    bmc.hard_off()
    assert ipmi.power == "off"
    assert bmc.power().power is Power.OFF
    bmc.switch_on()
    assert ipmi.ipmitool("power", "status").endswith("on")
    ipmi.fault("idle")
    with pytest.raises((Refused, TimedOut)):
        bmc_config({7: entry}).bmc(7, timeout=12.0).hard_off()
    assert bmc.power().power is Power.ON
    wrong = bmc_config({7: {**entry, "password": "not-this-one"}}).bmc(7, timeout=45.0).power()
    assert wrong.power is Power.UNKNOWN
    assert "not-this-one" not in wrong.reason


def test_a_real_agent_for_redfish(redfish: RedfishPeer, bmc_config: Books) -> None:
    """Agents in Python with requests start slowly, and print warnings beside their answer."""
    system = redfish.entry()["system"]
    options = {
        "ip": "127.0.0.1",
        "ipport": redfish.port,
        "username": "admin",
        "ssl_insecure": 1,
        "systems_uri": system,
    }
    entry = {"kind": "agent", "agent": real("fence_redfish"), "password": PASSWORD, "options": options}
    bmc = bmc_config({7: entry}).bmc(7, timeout=60.0)
    assert bmc.power().power is Power.ON
    bmc.hard_off()
    assert confirmed(bmc, Power.OFF, within=PATIENCE).power is Power.OFF


def test_a_job_for_an_agent_needs_no_identity(agent: Callable[..., FenceAgent]) -> None:
    """An agent cannot tell whose power it switches: the entry has to be right."""
    session = agent("obeys")
    wish: Wish = "identity"
    found: dict[str, Any] = fulfil(Job(7, wish, "agent", "", 0), session)
    assert found == {"uuid": "", "serial": ""}
    assert stat.S_ISREG(Path(session._program).stat().st_mode)

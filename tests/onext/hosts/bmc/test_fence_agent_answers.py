"""What a fence agent is given and what its answers mean, with the program played by one function."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onext import process
from onext.hosts.bmc import fence_agent
from onext.hosts.bmc.errors import InvalidAnswer, Refused, TimedOut
from onext.hosts.bmc.fence_agent import FenceAgent
from onext.hosts.bmc.job import Job

NOW = 1000.0
OPTIONS = {"ip": "192.0.2.15", "plug": "7", "community": "tellers"}
Done = process.Completed
Play = Callable[..., FenceAgent]


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, runs: list[dict[str, Any]]) -> Play:
    """Give a function that makes an agent whose runs have these results, the last one for ever."""

    def made(*results: tuple[int, str, str] | Exception, left: float = 30.0, **changes: Any) -> FenceAgent:
        waiting = list(results)

        def run(argv: list[str], **how: Any) -> Done:
            runs.append({"argv": argv, **how})
            found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(found, Exception):
                raise found
            code, output, error = found
            return Done(tuple(argv), code, output.encode(), error.encode())

        monkeypatch.setattr(process, "run", run)
        monkeypatch.setattr(time, "monotonic", lambda: NOW)
        monkeypatch.setattr(fence_agent, "_verified", lambda _: Path("/usr/sbin/fence_x"))
        usual = {"password": "secret", "agent": "fence_x", "options": OPTIONS, "ends": NOW + left}
        return FenceAgent(Job(7, "power", "agent", "", 0, **{**usual, **changes}))

    return made


@pytest.mark.parametrize(
    ("code", "output", "state"),
    [
        (0, "Status: ON\n", "on"),
        (2, "Status: OFF\n", "off"),
        (2, "warning\n  Status: OFF  \nmore", "off"),
        (2, "Status: ON\n", None),
        (0, "Status: OFF\n", None),
        (1, "Status: OFF\n", None),
        (2, "Status: OFF\nStatus: OFF\n", None),
        (2, "", None),
    ],
)
def test_text_and_exit_code_must_agree(play: Play, code: int, output: str, state: str | None) -> None:
    """An agent that contradicts itself would be taken for off."""
    agent = play((code, output, ""))
    if state:
        assert agent.power() == state
    else:
        with pytest.raises(InvalidAnswer, match=f"fence_x reports no clear status: .*exit code {code}"):
            agent.power()


@pytest.mark.parametrize(
    ("left", "limit", "timeout", "seconds"),
    [
        (30.0, "29.5", 29.75, "28"),
        (60.5, "60.0", 60.25, "59"),
        (300.0, "60.0", 60.25, "59"),
        (2.0, "1.5", 1.75, "1"),
        (3.5, "3.0", 3.25, "2"),
        (0.6, "0.1", 0.35, "1"),
    ],
)
def test_an_agent_ends_before_its_session_does(
    play: Play, runs: list[dict[str, Any]], left: float, limit: str, timeout: float, seconds: str
) -> None:
    """Its answer would come when nobody listens, or it would hold up a worker."""
    play((0, "Status: ON", ""), left=left).power()
    (run,) = runs
    assert run["argv"] == ["timeout", "--signal=KILL", limit, "/usr/sbin/fence_x"]
    assert run["timeout"] == pytest.approx(timeout)
    lines = dict(line.split("=", 1) for line in run["input"].decode().splitlines())
    assert lines == {
        **OPTIONS,
        "login_timeout": seconds,
        "shell_timeout": seconds,
        "power_timeout": seconds,
        "password": "secret",
        "action": "status",
    }


def test_without_time_nothing_is_started(play: Play, runs: list[dict[str, Any]]) -> None:
    """An order would be given whose result nobody reads."""
    with pytest.raises(TimedOut, match="no time is left"):
        play((0, "Status: ON", ""), left=0.5).power()
    assert runs == []


def test_without_a_password_none_is_sent(play: Play, runs: list[dict[str, Any]]) -> None:
    """An agent that takes a key would try an empty password first, and be locked out."""
    play((0, "Status: ON", ""), password="").power()
    assert b"password" not in runs[0]["input"]


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        ((124, "", ""), TimedOut, "fence_x did not end within 30 s"),
        ((137, "", ""), TimedOut, "did not end within"),
        ((-9, "", ""), TimedOut, "did not end within"),
        (
            process.CommandError(["x"], "failed", None, b""),
            TimedOut,
            "did not end in time or printed too much",
        ),
        (
            (0, "Status: ON", "Ignoring unknown option 'plug=7'"),
            Refused,
            "does not know an option of bmc.yaml",
        ),
        ((0, "Status: ON", "Unknown option 'ip=x'"), Refused, "does not know an option of bmc.yaml"),
    ],
)
def test_a_run_that_proves_nothing_is_an_error(
    play: Play, result: tuple[int, str, str] | Exception, kind: type[Exception], said: str
) -> None:
    """The agent's default outlet is another machine's."""
    with pytest.raises(kind, match=said):
        play(result).power()


def test_a_warning_about_another_option_is_none(play: Play) -> None:
    """Agents warn of options that onext does not set."""
    assert play((0, "Status: ON", "unknown option 'colour=red'")).power() == "on"


@pytest.mark.parametrize(
    ("order", "actions", "after", "raises"),
    [("on", ["on", "status"], "ON", False), ("hard", ["off", "status"], "OFF", False),
     ("hard", ["off", "status"], "ON", True), ("on", ["on", "status"], "OFF", True)],
)  # fmt: skip
def test_the_state_after_an_order_decides(
    play: Play, runs: list[dict[str, Any]], order: Any, actions: list[str], after: str, raises: bool
) -> None:
    """Success is printed where nothing happened."""
    agent = play((0, "Success", ""), (0 if after == "ON" else 2, f"Status: {after}", ""))
    if raises:
        with pytest.raises(Refused, match=r"was ordered (on|off) without effect: Success"):
            agent.order(order)
    else:
        agent.order(order)
    assert [run["input"].decode().splitlines()[-1] for run in runs] == [f"action={one}" for one in actions]


@pytest.mark.parametrize(
    ("output", "error", "shown"),
    [
        ("one\ntwo\n", "", "two (exit code 1)"),
        ("one", "three\nfour\n", "four (exit code 1)"),
        ("", "", "it printed nothing (exit code 1)"),
        ("tellers at 192.0.2.15, plug 7", "", "*** at ***, plug 7 (exit code 1)"),
    ],
)
def test_messages_show_the_last_line_and_no_value_of_bmc_yaml(
    play: Play, output: str, error: str, shown: str
) -> None:
    """SNMP's community is a password; a short value such as a plug's number is none."""
    with pytest.raises(InvalidAnswer) as caught:
        play((1, output, error)).power()
    assert str(caught.value) == f"fence_x reports no clear status: {shown}"


@pytest.mark.parametrize(
    ("uuid", "serial", "found"),
    [(None, None, ("", ())), ("u", None, ("u", ())), (None, "s", ("", ("s",))), ("u", "s", ("u", ("s",)))],
)
def test_the_identity_is_that_of_the_entry(
    play: Play, uuid: str | None, serial: str | None, found: tuple[str, tuple[str, ...]]
) -> None:
    """A shutdown over ssh would be refused for a machine that bmc.yaml names."""
    reported = play((0, "", ""), uuid=uuid, serial=serial).identity()
    assert (reported.uuid, reported.serials) == found

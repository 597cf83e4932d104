"""The check of BMCs: each cause at its own step, nothing switched, nothing secret."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onext.hosts.bmc import client
from onext.hosts.bmc.check import STEPS, _steps, check_all, findings
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.entry import Suspend
from onext.hosts.bmc.job import Job
from tests.fixtures_bmc import PASSWORD, IpmiPeer, RedfishPeer
from tests.onext.hosts.actions.cloud_model import entry

Books = Callable[[Mapping[int, Mapping[str, object]]], BmcConfig]
CAUSES: dict[int, tuple[dict[str, Any], str]] = {
    1: ({"error": "Unreachable", "reason": "it does not answer"}, "reach"),
    2: ({"error": "WrongCertificate", "reason": "another"}, "certificate"),
    3: ({"error": "TlsFailed", "reason": "old"}, "certificate"),
    4: ({"error": "WrongPassword", "reason": "rejected"}, "login"),
    5: ({"error": "WrongMachine", "reason": "another", "step": "identity"}, "identity"),
    6: ({"error": "MissingPrivilege", "reason": "reader", "step": "privilege"}, "privilege"),
    7: ({"error": "InvalidAnswer", "reason": "PoweringOn", "step": "power", "privilege": True}, "power"),
    8: ({"error": "TimedOut", "reason": "slow"}, "reach"),
    9: ({"power": "on", "privilege": None, "watts": 187.5, "source": "Power"}, ""),
}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> BmcConfig:
    """Give a configuration whose BMCs answer as CAUSES has it."""

    def ask(jobs: list[Job], _deadline: float) -> dict[int, client.Answer]:
        assert all(job.wish == "check" for job in jobs)
        return {job.id: {"seconds": 0.25, **CAUSES[job.id][0]} for job in jobs}

    monkeypatch.setattr(client, "ask", ask)
    return BmcConfig(Path("bmc.yaml"), {host: entry(host) for host in CAUSES})


def test_E1_each_cause_is_reported_at_its_step(played: BmcConfig) -> None:
    """All problems would look like a BMC that does not answer."""
    results = {result.host: result for result in check_all(played)}
    for host, (_, step) in CAUSES.items():
        states = results[host].steps
        assert [name for name, state in states.items() if state == "failed"] == ([step] if step else [])
        after = STEPS[STEPS.index(step) + 1 :] if step else ()
        assert all(states[name] == "-" for name in after)
    assert results[9].steps["privilege"] == "unknown"
    assert (results[9].watts, results[9].failed, results[4].failed) == (187.5, False, True)
    assert [result.host for result in check_all(played, {4, 9})] == [4, 9]


def test_E1_doctor_has_a_line_for_each_bmc_that_cannot_be_used(played: BmcConfig) -> None:
    """`doctor` said ok while no host of the cluster could be switched."""
    checks = list(findings(played))
    assert (checks[0].level, checks[0].message) == ("warn", "1 of 9 BMCs can be used")
    assert [check.level for check in checks[1:]] == ["fail"] * 8
    assert "login: rejected" in {check.message for check in checks}
    assert list(findings(BmcConfig(Path("bmc.yaml")))) == []


def test_E1_doctor_is_bounded_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that failed would fill the screen with 500 lines."""
    silent = {"seconds": 1.0, "error": "Unreachable", "reason": "it does not answer"}
    monkeypatch.setattr(client, "ask", lambda jobs, _: {job.id: silent for job in jobs})
    checks = list(findings(BmcConfig(Path("bmc.yaml"), {host: entry(host) for host in range(40)})))
    assert len(checks) == 12
    assert checks[-1].message == "30 more BMCs cannot be used"


@pytest.mark.process
def test_E1_real_bmcs_are_checked(
    ipmi_peers: Callable[..., IpmiPeer], redfish: RedfishPeer, bmc_config: Books
) -> None:
    """What is played above is not what real BMCs answer."""
    good, rejecting, another = (ipmi_peers() for _ in range(3))
    entries = [
        good.entry(),
        rejecting.entry(password="not-this-one"),
        another.entry(uuid="11111111-2222-3333-4444-555555555555"),
        redfish.entry(0),
        redfish.entry(1, certificate="0" * 64),
        redfish.entry(
            1,
            password="not-this-one",
            port=redfish.port,
            system=redfish.entry(0)["system"],
            uuid=None,
            serial="x1",
        ),
    ]
    entries[5]["system"] = f"{entries[5]['system']}/"
    results = check_all(bmc_config(dict(enumerate(entries))), deadline=60.0)
    failed = [[name for name, state in one.steps.items() if state == "failed"] for one in results]
    assert failed == [[], ["login"], ["identity"], [], ["certificate"], ["login"]]
    assert results[0].steps["certificate"] == "-", "IPMI has none"
    assert (results[0].power, results[3].uuid) == ("on", redfish.systems[0])
    assert another.uuid in results[2].reason
    assert "11111111-2222" in results[2].reason
    assert "Reset" not in redfish.log
    assert not any(word in repr(results) for word in (PASSWORD, "not-this-one"))


@pytest.mark.parametrize(
    ("kind", "answer", "steps"),
    [
        ("ipmi", {"power": "on", "privilege": True}, "ok - ok ok ok ok"),
        ("redfish", {"power": "on", "privilege": True}, "ok ok ok ok ok ok"),
        ("redfish", {"power": "on"}, "ok ok ok ok unknown ok"),
        ("suspend", {"power": "on"}, "ok - - - unknown ok"),
        ("agent", {"power": "on"}, "ok - ok - unknown ok"),
        ("ipmi", {"error": "TimedOut"}, "failed - - - - -"),
        ("redfish", {"error": "WrongPassword"}, "ok ok failed - - -"),
        ("ipmi", {"error": "Refused"}, "ok - ok failed - -"),
        ("ipmi", {"error": "Refused", "step": "power", "privilege": True}, "ok - ok ok ok failed"),
        ("redfish", {"error": "Refused", "step": "another"}, "ok ok ok ok unknown ok"),
    ],
)
def test_E1_steps_that_a_kind_does_not_have_are_not_reported_as_good(
    kind: str, answer: dict[str, Any], steps: str
) -> None:
    """A certificate that IPMI does not have would be reported as checked."""
    assert " ".join(_steps(answer, kind).values()) == steps


@pytest.mark.parametrize(
    ("kind", "error", "failed"),
    [
        ("suspend", "", False),
        ("suspend", "Unreachable", False),
        ("suspend", "TimedOut", False),
        ("suspend", "WrongMachine", True),
        ("ipmi", "Unreachable", True),
        ("ipmi", "", False),
    ],
)
def test_E1_a_host_that_may_be_asleep_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, kind: str, error: str, failed: bool
) -> None:
    """`doctor` would report each host that sleeps, or be silent about a BMC without its cable."""
    suspended = Suspend(kind="suspend", address="192.0.2.14", mac="02:00:00:00:00:0e", interface="eth1")
    config = BmcConfig(Path("bmc.yaml"), {7: suspended if kind == "suspend" else entry(7)})
    answer = {"seconds": 1.2345, **({"error": error, "reason": "x"} if error else {})}
    monkeypatch.setattr(client, "ask", lambda jobs, _: {job.id: answer for job in jobs})
    (result,) = check_all(config)
    assert (result.failed, result.seconds) == (failed, 1.23)
    assert result.power == ("asleep or unreachable" if kind == "suspend" else "")
    found = list(findings(config))
    assert [check.level for check in found] == (["warn", "fail"] if failed else ["ok"])
    assert found[0].message == f"{0 if failed else 1} of 1 BMCs can be used"


@pytest.mark.parametrize(("count", "lines"), [(10, 11), (11, 12)])
def test_E1_ten_bmcs_have_a_line_each(monkeypatch: pytest.MonkeyPatch, count: int, lines: int) -> None:
    """`0 more BMCs` would be read as a fault."""
    silent = {"seconds": 1.0, "error": "Unreachable", "reason": "x"}
    monkeypatch.setattr(client, "ask", lambda jobs, _: {job.id: silent for job in jobs})
    checks = list(findings(BmcConfig(Path("bmc.yaml"), {host: entry(host) for host in range(count)})))
    assert len(checks) == lines

"""`onext power bmc check` and `onext doctor`: which steps work with each BMC, and why others fail."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.controller import job
from onext.hosts.bmc.entry import Suspend
from onext.part import Check

STEPS = ("reach", "certificate", "login", "identity", "privilege", "power")
DEADLINE = 20.0  # seconds for all of them together
_FAILED_AT: Mapping[str, str] = {
    "Unreachable": "reach",
    "TimedOut": "reach",
    "TlsFailed": "certificate",
    "WrongCertificate": "certificate",
    "WrongPassword": "login",
    "MissingPrivilege": "privilege",
    "WrongMachine": "identity",
}
_NAMED = 10  # BMCs that get a separate line in doctor


@dataclass(frozen=True)
class Result:
    """What a check found.

    `steps` are `ok`, `failed`, `unknown` (the BMC does not report it) or `-` (not tried).
    """

    host: int
    kind: str
    steps: Mapping[str, str]
    reason: str
    error: str
    power: str
    watts: float | None
    source: str
    implausible: tuple[str, ...]
    uuid: str
    serial: str
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether this BMC cannot be used; a suspended host may only be asleep."""
        return bool(self.error) and not (self.kind == "suspend" and self.error in ("Unreachable", "TimedOut"))


def check_all(
    config: BmcConfig, hosts: Collection[int] | None = None, deadline: float = DEADLINE
) -> list[Result]:
    """Check the BMCs of these hosts (all without) at once; switches nothing."""
    jobs = [
        job(host, entry, "check") for host, entry in config.entries.items() if hosts is None or host in hosts
    ]
    answers = client.ask(jobs, deadline)
    return [_result(config, host, answers[host]) for host in sorted(answers)]


def findings(config: BmcConfig, deadline: float = DEADLINE) -> Iterator[Check]:
    """Report for doctor: one line for all that can be used, and one for each of the first that cannot."""
    results = check_all(config, deadline=deadline)
    failed = [result for result in results if result.failed]
    if results:
        good = len(results) - len(failed)
        yield Check("BMCs", "warn" if failed else "ok", f"{good} of {len(results)} BMCs can be used")
    for result in failed[:_NAMED]:
        step = next((name for name, state in result.steps.items() if state == "failed"), "answer")
        remedy = f"onext power bmc check {result.host}; docs/bmc.md"
        yield Check(f"BMC of host {result.host}", "fail", f"{step}: {result.reason}", remedy)
    if len(failed) > _NAMED:
        yield Check(
            "BMCs", "fail", f"{len(failed) - _NAMED} more BMCs cannot be used", "onext power bmc check"
        )


def _result(config: BmcConfig, host: int, answer: client.Answer) -> Result:
    entry = config.entries[host]
    return Result(
        host,
        entry.kind,
        _steps(answer, entry.kind),
        answer.get("reason", ""),
        answer.get("error", ""),
        answer.get("power", "") or ("asleep or unreachable" if isinstance(entry, Suspend) else ""),
        answer.get("watts"),
        answer.get("source", ""),
        tuple(answer.get("implausible", ())),
        answer.get("uuid", ""),
        answer.get("serial", ""),
        round(answer["seconds"], 2),
    )


def _steps(answer: client.Answer, kind: str) -> dict[str, str]:
    """Return the state of each step; all before the first that failed went well."""
    failed = ""
    if "error" in answer:
        failed = answer.get("step") or _FAILED_AT.get(answer["error"], "identity")
    reached = STEPS.index(failed) if failed in STEPS else len(STEPS)
    states = {
        step: "ok" if n < reached else "failed" if n == reached else "-" for n, step in enumerate(STEPS)
    }
    if states["privilege"] == "ok" and answer.get("privilege") is None:
        states["privilege"] = "unknown"
    untried = {"ipmi": ("certificate",), "agent": ("certificate", "identity"), "suspend": STEPS[1:5]}
    return states | {step: "-" for step in untried.get(kind, ()) if states[step] == "ok"}

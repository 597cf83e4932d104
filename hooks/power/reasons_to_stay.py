"""Why a host may not be switched off: one reason each, in words that a person understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hooks.power.needed_hosts import SICK
from hooks.power.policy import Method, Mode, Parked, Policy
from onext.hosts.model import GOING, Bmc, Cluster, Host, Kind, Phase, Vm
from onext.oned.objects import HostState

DAY = 86_400.0
SILENT_SHARE = 0.2  # of the BMCs that may be silent before nothing shrinks


@dataclass(frozen=True, slots=True)
class Case:
    """One host with its VMs, and the facts that decide about it."""

    host: Host
    vms: tuple[Vm, ...]
    policy: Policy
    now: float


def why_not(case: Case) -> str:
    """Return why this host stays as it is; empty when it may be emptied and switched off."""
    return next((reason for rule in RULES if (reason := rule(case))), "")


def why_hold(cluster: Cluster, policy: Policy, now: float) -> str:
    """Return why nothing at all may shrink now; empty when it may."""
    return next(_holds(cluster, policy, now), "")


def _holds(cluster: Cluster, policy: Policy, now: float) -> Iterator[str]:
    if policy.mode is Mode.OFF:
        yield "MODE is off"
    if policy.complaints:
        yield f"ONEXT_POWER cannot be used: {policy.complaints[0]}"
    if cluster.held:
        yield cluster.held
    if policy.window and not policy.window.contains(now):
        yield f"outside WINDOW ({policy.window.text})"
    sick = [host for host in cluster.hosts if host.state in SICK]
    if len(sick) > policy.max_down_hosts:
        yield f"{len(sick)} hosts are in ERROR, MAX_DOWN_HOSTS is {policy.max_down_hosts}"
    stale = [host for host in cluster.hosts if host.takes_vms and now - host.monitored > policy.stale_after]
    if stale:
        yield f"monitoring is stale: {_names(stale)}"
    known = [host for host in cluster.hosts if host.bmc is not Bmc.NONE]
    silent = [host for host in known if host.bmc is Bmc.SILENT]
    if len(silent) > max(1, SILENT_SHARE * len(known)):
        yield f"{len(silent)} of {len(known)} BMCs do not answer"


def _names(hosts: list[Host]) -> str:
    shown = ", ".join(host.name for host in hosts[:3])
    return shown if len(hosts) <= 3 else f"{shown} and {len(hosts) - 3} more"


def _not_ours(case: Case) -> str:
    host = case.host
    if host.phase is Phase.LEFT:
        return "its power was switched outside onext: not touched for a day"
    if host.phase is Phase.QUARANTINED:
        return "quarantined: it did not wake; see `onext power status`, then `onext power on`"
    if host.phase is Phase.HELD:
        return f"{host.claim.holder if host.claim else 'another part'} works on it"
    if host.phase in (Phase.DRAINING, Phase.CLOSING) or host.takes_vms:
        return ""
    if host.phase:
        return f"already {host.phase.value}"
    words = {HostState.DISABLED: "disabled by an operator", HostState.OFFLINE: "put offline by an operator"}
    return words.get(host.state, f"in state {host.state.name}")


def _excluded(case: Case) -> str:
    return case.host.excluded


def _bmc(case: Case) -> str:
    words = {
        Bmc.NONE: "no entry in bmc.yaml",
        Bmc.SILENT: f"its BMC cannot be used: {case.host.bmc_error or 'it does not answer'}",
        Bmc.OFF: "its BMC reports off, oned reports that it is in use",
    }
    return words.get(case.host.bmc, "")


def _method(case: Case) -> str:
    """Let METHOD = suspend take hosts that are suspended, and poweroff those with a BMC."""
    if case.host.sleeper is (case.policy.method is Method.SUSPEND):
        return ""
    kind = "suspend" if case.host.sleeper else "ipmi or redfish"
    return f"METHOD is {case.policy.method.value}, its entry in bmc.yaml is {kind}"


def _proven(case: Case) -> str:
    age = case.now - case.host.record.proven
    if not case.host.record.proven:
        return "not enrolled: `onext power enroll` proves that it wakes"
    return f"last proven to wake {age / DAY:.0f} days ago" if age > case.policy.proven_seconds else ""


def _turns(case: Case) -> str:
    on_for = case.now - case.host.record.on_since
    today = [when for when in case.host.record.offs if case.now - when < DAY]
    if on_for < case.policy.min_on_seconds:
        return f"on for {on_for / 60:.0f} minutes, MIN_ON_MINUTES is {case.policy.min_on_seconds / 60:.0f}"
    if case.host.phase is not Phase.DRAINING and len(today) >= case.policy.cycles_per_day:
        return f"was off {len(today)} times today, CYCLES_PER_DAY is {case.policy.cycles_per_day}"
    return ""


def _due(case: Case) -> str:
    left = case.host.due - case.now
    if left < case.host.curve.break_even(case.host.record.boot_seconds):
        return f"a scheduled action is due in {max(0.0, left) / 60:.0f} minutes: not worth the boot"
    return ""


def _wild(case: Case) -> str:
    return f"{case.host.wild} wild VMs run on it" if case.host.wild else ""


def _vms(case: Case) -> str:
    for vm in case.vms:
        name = f"VM {vm.id} ({vm.name})"
        if vm.fixed:
            return f"{name} cannot move: {vm.fixed}"
        if vm.kind is Kind.BUSY and case.host.takes_vms:
            return f"{name} is changing its state"
        if vm.kind is Kind.PARKED and case.policy.parked is Parked.BLOCK:
            return f"{name} is powered off or suspended here (PARKED_VMS = block)"
        if not case.policy.pack:
            return f"not empty ({len(case.vms)} VMs) and PACK is no"
    return ""


RULES: tuple[Callable[[Case], str], ...] = (
    _not_ours,
    _excluded,
    _bmc,
    _method,
    _proven,
    _turns,
    _due,
    _wild,
    _vms,
)


def going(cluster: Cluster) -> list[Host]:
    """Return the hosts that we are switching off."""
    return [host for host in cluster.hosts if host.phase in GOING]

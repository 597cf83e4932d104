"""The targets part of the worker: any event causes one pass over everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hooks.targets import answering_exporters, files, protected_addresses
from hooks.targets.answering_exporters import Answering
from hooks.targets.decide import Decision, decide
from hooks.targets.gather import gather
from hooks.targets.inventory import Inventory
from hooks.targets.log_limit import NewLines
from hooks.targets.policy import unknown
from hooks.targets.protected_addresses import Names, Routes
from onext import backup_state, log, metrics, readable
from onext.part import Check, Context, Key, Part, Retry

NAME = "targets"
LOCK = "targets.lock"  # in the state folder, which only oneadmin can enter
OVERDUE = 300.0  # seconds without a pass, of which one is due each minute
_log = log.get(NAME)
_new_lines = NewLines()
_names: dict[Path, Names] = {}
_exporters: dict[Path, Answering] = {}
_routes = Routes()


def folder(context: Context) -> Path:
    """Return where the files are."""
    return context.settings.targets.folder or context.paths.targets


def plan(context: Context) -> tuple[Inventory, Decision]:
    """Return the current state, and what should be scraped; raise an OnedError."""
    state = context.paths.state
    names = _names.setdefault(state, Names(state / protected_addresses.FILE))
    exporters = _exporters.setdefault(state, Answering(state / answering_exporters.FILE))
    found = gather(context, names, exporters)
    return found, decide(found, context.settings.targets, _routes)


def sync(context: Context) -> tuple[Decision, list[str]]:
    """Update the files; return the decision and the files that changed.

    Raises an OnedError, OSError, or files.Busy while another pass writes.
    """
    found, decision = plan(context)
    changed = files.write(folder(context), decision, context.paths.state / LOCK)
    lines = [unknown(found.unprotected)] if found.unprotected else []
    refused = (f"VM {one.vm} ({one.name}): refused: {one.reason}" for one in decision.refusals)
    for line in _new_lines.of((*lines, *refused), context.now()):
        _log.info("%s", line)
    metrics.write(context.paths.metrics, NAME, figures(found, decision, context.now()))
    backup_state.hand_on(context.paths.one_var, context.paths.metrics)
    return decision, changed


def figures(found: Inventory, decision: Decision, now: float) -> Sequence[metrics.Family]:
    """Return the figures of a pass that ended at `now`, a Unix time."""
    counts = Counter(target.job for target in decision.targets)
    given = [({"file": job}, float(counts[job])) for job in decision.jobs]
    return [
        metrics.Family("onext_targets", "gauge", "Targets that Prometheus was given.", given),
        _gauge(
            "onext_targets_refused",
            "Targets of VMs that were left out; see `onext targets list`.",
            len(decision.refusals),
        ),
        _gauge(
            "onext_targets_unreadable",
            "VMs, hosts and networks that could not be read and were left out.",
            found.unreadable,
        ),
        _gauge(
            "onext_targets_unprotected",
            "Front-ends and hosts with unknown addresses, for which all targets of VMs are refused.",
            len(found.unprotected),
        ),
        _gauge(
            "onext_targets_last_pass_timestamp_seconds", "When the last pass over all targets ended.", now
        ),
    ]


def _gauge(name: str, help_text: str, value: float) -> metrics.Family:
    return metrics.Family(name, "gauge", help_text, [({}, float(value))])


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means a full pass
    """Write the files; the keys do not matter."""
    try:
        decision, changed = sync(context)
    except (files.Busy, OSError) as error:
        raise Retry(str(error)) from error
    return f"{len(decision.targets)} targets, {len(decision.refusals)} refused, {len(changed)} files changed"


def sweep(context: Context) -> Iterable[Key]:  # noqa: ARG001
    """Pass over everything once a minute: updates of templates and moves between clusters raise no hook."""
    yield Key(NAME, "pool", 0)


def checks(context: Context) -> Iterator[Check]:
    """Report whether the files are there and up to date, and whether Prometheus can read them."""
    path, user = folder(context), context.settings.targets.prometheus_user
    yield _last_pass(context)
    if not (path / "vms.json").is_file():
        yield Check("targets", "warn", f"{path}/vms.json does not exist", "run `onext targets sync`")
    elif hidden := readable.hidden_from(path, user):
        yield Check("targets", "warn", f"{user}: {hidden}", "make the folder readable for that user")
    else:
        yield Check("targets", "ok", f"{path}, readable by {user}")


def _last_pass(context: Context) -> Check:
    """Report a pass that failed, is overdue, or refuses every VM."""
    last = context.last().get(str(Key(NAME, "pool", 0)))
    if last is None:
        return Check("last pass", "warn", "the worker has made no pass yet", "is the worker running?")
    age = context.now() - last.at - last.took
    if not last.ok:
        return Check("last pass", "fail", last.message, "the files contain the targets of an earlier pass")
    if age > OVERDUE:
        return Check("last pass", "fail", f"overdue: the last one ended {age:.0f} s ago", "see the log")
    return Check("last pass", "ok", f"{max(age, 0.0):.0f} s ago: {last.message}")


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True, leader_only=False)

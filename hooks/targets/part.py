"""Targets as the worker sees them: any event, one pass over the whole cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from hooks.targets import files, inventory, protected_addresses
from hooks.targets.decide import Decision, decide
from hooks.targets.networks import ONEADMIN, networks
from hooks.targets.user_template import Address
from onext import log, metrics, readable
from onext.oned import stream
from onext.oned.errors import Malformed
from onext.part import Check, Context, Key, Part

NAME = "prometheus"
_ALL_NETWORKS = (-2, -1, -1)
_log = log.get(NAME)
_names = protected_addresses.Names()


def look(context: Context) -> inventory.Inventory:
    """Return what is; raise an OnedError, also when a pool is cut."""
    source = stream.Source(context.oned.endpoint, context.oned.session)
    try:
        hosts = list(inventory.nodes(stream.pool(source, "hostpool.info", tag="HOST")))
        vms = stream.pool(source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM")
        guests = tuple(inventory.guests(vms, _unreadable))
    except (ValueError, KeyError) as error:
        raise Malformed(f"a host is not as oned writes it: {error!r}") from error
    members = context.oned.document("group.info", ONEADMIN)
    administrators = {int(member.text or -1) for member in members.iterfind("USERS/ID")}
    return inventory.Inventory(
        guests=guests,
        nodes=tuple(node for node, monitored in hosts if monitored),
        networks=tuple(networks(context.oned.document("vnpool.info", *_ALL_NETWORKS), administrators)),
        infrastructure=_infrastructure(context, [node.name for node, _ in hosts]) if guests else frozenset(),
    )


def _infrastructure(context: Context, hosts: Iterable[str]) -> frozenset[Address]:
    """Return the addresses of front-ends, hosts and BMCs, as far as they are known."""
    zones = context.oned.document("zonepool.info")
    servers = {urlsplit(end.text or "").hostname for end in zones.iter("ENDPOINT")}
    named = _names.addresses([*hosts, *(server for server in servers if server)])
    bmcs = protected_addresses.written(context.paths.own_etc / "bmc.yaml")
    return frozenset((*named, *protected_addresses.own(), *bmcs))


def _unreadable(element: bytes) -> None:
    _log.warning("a VM is not as oned writes it, and left out: %s", element[:80].decode("utf-8", "replace"))


def folder(context: Context) -> Path:
    """Return where the files are."""
    return context.settings.targets.folder or context.paths.targets


def plan(context: Context) -> Decision:
    """Return what should be scraped now."""
    return decide(look(context), context.settings.targets, protected_addresses.reaches)


def sync(context: Context) -> tuple[Decision, list[str]]:
    """Make the files what they should be; return the decision and the files that changed."""
    decision = plan(context)
    changed = files.write(folder(context), decision)
    for refusal in decision.refusals if changed else ():
        _log.info("VM %d (%s): left out: %s", refusal.vm, refusal.name, refusal.reason)
    metrics.write(context.paths.metrics, NAME, figures(decision))
    return decision, changed


def figures(decision: Decision) -> Sequence[metrics.Family]:
    """Return the figures of a decision."""
    counts = Counter(target.job for target in decision.targets)
    given = [({"file": job}, float(counts[job])) for job in decision.jobs]
    refused: list[tuple[Mapping[str, str], float]] = [({}, float(len(decision.refusals)))]
    help_text = "Targets of VMs that were left out; see `onext targets list`."
    return [
        metrics.Family("onext_targets", "gauge", "Targets that Prometheus was given.", given),
        metrics.Family("onext_targets_refused", "gauge", help_text, refused),
    ]


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means: look at everything
    """Write the files, whatever happened."""
    decision, changed = sync(context)
    return f"{len(decision.targets)} targets, {len(decision.refusals)} refused, {len(changed)} files changed"


def sweep(context: Context) -> Iterable[Key]:  # noqa: ARG001
    """Look at everything once a minute: updates of templates and moves between clusters raise no hook."""
    yield Key(NAME, "pool", 0)


def checks(context: Context) -> Iterable[Check]:
    """Say whether the files are there, and whether Prometheus can read them."""
    path, user = folder(context), context.settings.targets.prometheus_user
    if not (path / "vms.json").is_file():
        yield Check("targets", "warn", f"{path}/vms.json is not there", "run `onext targets sync`")
    elif hidden := readable.hidden_from(path, user):
        yield Check("targets", "warn", f"{user}: {hidden}", "Prometheus scrapes nothing that it cannot read")
    else:
        yield Check("targets", "ok", f"{path}, readable by {user}")


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True, leader_only=False)

"""Geolocation as the worker sees it: one host at a time, ssh only where it is due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hooks.geolocation.database import Latest, LookupFailed, NoDatabase
from hooks.geolocation.decide import OVERRIDE, Decision, decide, hands_off, has_value
from hooks.geolocation.discovery import Ask, NotFoundOut, by_dns, discover, ssh_asker
from onext import log
from onext.cloud.model import Host as CloudHost
from onext.oned.objects import Host, HostState
from onext.part import Check, Context, Key, Part, Retry

NAME = "geolocation"
_log = log.get(NAME)
_latest = Latest()
_SHOWN = 3  # hosts that a check names


def locate(
    context: Context,
    host_id: int,
    by_ssh: Ask | None = None,
    resolve: Ask = by_dns,
    *,
    write: bool = True,
) -> Decision:
    """Bring one host up to date, with `write`, and return what was decided; raise Retry or an OnedError."""
    settings = context.settings.geolocation
    host = context.oned.host(host_id)
    if idle := _not_due(host):
        return Decision({}, idle, looked=False)
    try:
        source = _latest.get(settings)
        found = discover(
            host.name, host.text(OVERRIDE), by_ssh or ssh_asker(settings), resolve, has_value=has_value(host)
        )
        places = [source.locate(address) for address in found.addresses]
    except (NoDatabase, LookupFailed, NotFoundOut) as error:
        raise Retry(f"host {host.id} ({host.name}) is not located: {error}") from error
    # ssh may have been slow: a value that a person wrote meanwhile is respected.
    decision = decide(context.oned.host(host_id), found, places, context.now())
    if decision.changes and write:
        context.oned.update_host(host_id, decision.changes)
        _log.info("host %d (%s): %s", host.id, host.name, decision.reason)
    return decision


def reconcile(context: Context, keys: Sequence[Key]) -> str:
    """Locate the hosts of `keys`; one that is not due now gets no result: the next round checks again."""
    decisions = [locate(context, key.id) for key in keys if key.resource == "host"]
    return "; ".join(decision.reason for decision in decisions if decision.looked)


def sweep(context: Context) -> Iterable[Key]:
    """Name the monitored hosts that were never located, or not for `refresh_hours`."""
    results = context.last()
    oldest = context.now() - context.settings.geolocation.refresh_hours * 3600
    for host in context.cloud().hosts.values():
        key = Key(NAME, "host", host.id)
        last = results.get(str(key))
        if not _not_due(host) and (last is None or not last.ok or last.at < oldest):
            yield key


def checks(context: Context) -> Iterable[Check]:
    """Report whether a database is available, and which hosts could not be located."""
    try:
        yield Check("database", "ok", _latest.get(context.settings.geolocation).name)
    except NoDatabase as error:
        yield Check("database", "fail", str(error), "hosts get no GEOLOCATION until one is installed")
    yield _hosts(context)


def _hosts(context: Context) -> Check:
    results = {key: last for key, last in context.last().items() if key.startswith(f"{NAME}.host.")}
    failed = {key: last.message for key, last in results.items() if not last.ok}
    if not failed:
        return Check("hosts", "ok", f"{len(results)} checked, none failed")
    shown = "; ".join(list(failed.values())[:_SHOWN])
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    message = f"{len(failed)} of {len(results)} could not be located: {shown}{more}"
    return Check("hosts", "fail", message, "the worker tries again; `onext geo update HOST` shows the reason")


def _not_due(host: Host | CloudHost) -> str:
    if host.state != HostState.MONITORED:
        return f"not changed: not monitored (state {int(host.state)})"
    reason = hands_off(host)
    return f"not changed: {reason}" if reason else ""


PART = Part(NAME, reconcile, sweep, checks, threads=16)

"""Backup jobs: when they ran, the state of their VMs, and for how long a scheduled run is overdue.

The pool names a job's scheduled actions by id only; their times are in the answer for the single job, which
is asked for once in a while. (Backups that are scheduled on a VM itself are in no pool.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from exporter.collected import Collected, plain, whole
from exporter.documents import whole_document
from onext.oned import stream
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed, OnedError

_MOST = 100  # jobs whose schedules are read
_EVERY = 60.0  # seconds between two checks of a job's schedule
_LARGEST = 4_000_000  # bytes of one job
_VMS = {
    "updated": b"UPDATED_VMS",
    "outdated": b"OUTDATED_VMS",
    "running": b"BACKING_UP_VMS",
    "error": b"ERROR_VMS",
}
_TIMES, _DATE = b"1", b"2"  # END_TYPE: so many times, until a date


class BackupJobs:
    """The jobs, and what is remembered of their schedules."""

    def __init__(self, source: stream.Source, now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._now = now
        self._due: dict[int, tuple[float, list[int]]] = {}  # when it was read, and times that are not done

    def collect(self) -> Collected:
        """Return the metrics of all backup jobs; raise an OnedError."""
        found, known = Collected(), self._due
        self._due = {}
        for element in stream.pool(self._source, "backupjobpool.info", -2, -1, -1, tag="BACKUPJOB"):
            try:
                self._job(element, known, found)
            except (ValueError, KeyError, Malformed):
                found.errors += 1
        return found

    def _job(self, element: bytes, known: dict[int, tuple[float, list[int]]], found: Collected) -> None:
        fields = dict(children(element[len("<BACKUPJOB>") : -len("</BACKUPJOB>")]))
        job = whole(fields[b"ID"])
        if job is None:
            raise Malformed("no id")
        labels: dict[str, str | int] = {
            "one_backupjob_id": job,
            "one_backupjob_name": text(fields.get(b"NAME", b"")),
        }
        add = found.samples.add
        for state, key in _VMS.items():
            add("opennebula_backupjob_vms", fields.get(key, b"").count(b"<ID>"), **labels, state=state)
        if last := whole(fields.get(b"LAST_BACKUP_TIME", b"")):
            add("opennebula_backupjob_last_timestamp", last, **labels)
        if b"<ID>" in fields.get(b"SCHED_ACTIONS", b"") and len(self._due) < _MOST:
            due = self._times(job, known.get(job))
            if due is not None:
                late = max([0.0, *(self._now() - at for at in due)])
                add("opennebula_backupjob_overdue_seconds", round(late), **labels)

    def _times(self, job: int, known: tuple[float, list[int]] | None) -> list[int] | None:
        """Return the times of a job's actions that are not done; None when oned does not tell."""
        now = self._now()
        if known is None or not 0 <= now - known[0] < _EVERY:
            try:
                document = whole_document(stream.document(self._source, "backupjob.info", job), _LARGEST)
            except OnedError:
                return None
            known = (now, list(_undone(section(document, b"TEMPLATE")[0], now)))
        self._due[job] = known
        return known[1]


def _undone(template: bytes, now: float) -> Iterator[int]:
    """Yield TIME of each scheduled action that has a run before it (as ScheduledAction::is_due has it)."""
    for tag, content in children(template):
        if tag != b"SCHED_ACTION":
            continue
        values = {name: plain(value) for name, value in children(content)}
        at, done = whole(values.get(b"TIME", b"")), whole(values.get(b"DONE", b"")) or 0
        end, limit = values.get(b"END_TYPE", b""), whole(values.get(b"END_VALUE", b"")) or 0
        ended = (end == _TIMES and limit <= 0) or (end == _DATE and now > limit)
        if at and not ended and done < at:
            yield at

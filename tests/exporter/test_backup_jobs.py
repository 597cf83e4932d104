"""Backup jobs: a run that should have begun is seen, one that is done or not due is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.backup_jobs import BackupJobs
from exporter.metric_families import BACKUP
from onext.oned.stream import Source
from tests.exporter.answers import Answers, serve
from tests.exporter.made_up import action, job

pytestmark = pytest.mark.process
NOW = 1_800_000_000
LABELS = 'one_backupjob_id="3",one_backupjob_name="nightly"'


@pytest.fixture
def oned() -> Iterator[Answers]:
    with serve({}) as answers:
        yield answers


def rendered(oned: Answers, actions: str, *, jobs: BackupJobs | None = None) -> str:
    """Return the page of one job with these scheduled actions."""
    ids = "<ID>5</ID>" if actions else ""
    oned.documents["backupjobpool.info"] = f"<BACKUPJOB_POOL>{job(ids=ids)}</BACKUPJOB_POOL>".encode()
    oned.documents["backupjob.info"] = job(actions, ids=ids).encode()
    made = jobs or BackupJobs(Source(oned.endpoint, "u:p"), lambda: float(NOW))
    return made.collect().samples.render(BACKUP).decode()


def test_a_job(oned: Answers) -> None:
    """When it ran last, and how its VMs stand; without a schedule nothing is overdue, or not."""
    text = rendered(oned, "")
    assert f"opennebula_backupjob_last_timestamp{{{LABELS}}} 1795870000\n" in text
    assert f'opennebula_backupjob_vms{{{LABELS},state="error"}} 1\n' in text
    assert f'opennebula_backupjob_vms{{{LABELS},state="updated"}} 2\n' in text
    assert f'opennebula_backupjob_vms{{{LABELS},state="running"}} 0\n' in text
    assert "overdue" not in text
    assert oned.calls == ["backupjobpool.info"]


@pytest.mark.parametrize(
    ("actions", "overdue"),
    [
        (action(NOW - 7200), 7200),
        (action(NOW - 7200, done=NOW - 86400), 7200),  # yesterday's run was the last
        (action(NOW - 7200, done=NOW - 7100), 0),
        (action(NOW + 60), 0),
        (action(NOW - 7200, done=NOW - 7200), 0),
        (action(1, done=-1), NOW - 1),
        (action(NOW), 0),
        (action(NOW - 7200, end=1, value=1), 7200),
        (action(NOW - 7200, end=2, value=NOW), 7200),
        (action(NOW - 60) + action(NOW - 3600), 3600),
        (action(NOW - 7200, end=1, value=0), 0),  # so many times, and none is left
        (action(NOW - 7200, end=1, value=2), 7200),
        (action(NOW - 7200, end=2, value=NOW - 1), 0),  # until a date that is over
        (action(NOW - 7200, end=2, value=NOW + 1), 7200),
        ("<SCHED_ACTION><TIME>soon</TIME></SCHED_ACTION><OTHER><TIME>1</TIME></OTHER>", 0),
    ],
)
def test_overdue(oned: Answers, actions: str, overdue: int) -> None:
    """A backup that silently does not run is noticed when it is needed, or never."""
    assert f"opennebula_backupjob_overdue_seconds{{{LABELS}}} {overdue}\n" in rendered(oned, actions)


def test_a_schedule_is_asked_for_once_a_minute(oned: Answers) -> None:
    """A call for each job in each scrape would take oned's connections."""
    now = [float(NOW)]
    jobs = BackupJobs(Source(oned.endpoint, "u:p"), lambda: now[0])
    for expected in (7200, 7230):
        assert f"overdue_seconds{{{LABELS}}} {expected}\n" in rendered(oned, action(NOW - 7200), jobs=jobs)
        now[0] += 30
    assert oned.calls.count("backupjob.info") == 1
    now[0] += 30
    rendered(oned, action(NOW - 7200), jobs=jobs)
    assert oned.calls.count("backupjob.info") == 2


def test_C7_a_job_whose_schedule_is_not_told_is_still_shown(oned: Answers) -> None:
    """One refused call must not hide the jobs."""
    oned.refusals["backupjob.info"] = 0x0200
    text = rendered(oned, action(NOW - 7200))
    assert "last_timestamp{" in text
    assert "overdue" not in text


def test_the_jobs_of_all_users_are_asked_for(oned: Answers) -> None:
    """Another filter of oned's shows the jobs of oneadmin alone."""
    rendered(oned, "")
    assert oned.parameters["backupjobpool.info"] == (-2, -1, -1)


@pytest.mark.parametrize(("seconds", "asked"), [(0, 1), (59, 1), (60, 2), (-1, 2)])
def test_when_a_schedule_is_asked_for_again(oned: Answers, seconds: int, asked: int) -> None:
    """A clock that was set back must not keep an old schedule for as long."""
    now = [float(NOW)]
    jobs = BackupJobs(Source(oned.endpoint, "u:p"), lambda: now[0])
    rendered(oned, action(NOW - 7200), jobs=jobs)
    now[0] += seconds
    rendered(oned, action(NOW - 7200), jobs=jobs)
    assert oned.calls.count("backupjob.info") == asked


def test_C7_a_job_that_cannot_be_read_hides_no_other(oned: Answers) -> None:
    """The others stay, and the loss is counted."""
    broken = job().replace("<ID>3<", "<ID>x<", 1) + job().replace("<BACKUPJOB><ID>3</ID>", "<BACKUPJOB>", 1)
    oned.documents["backupjobpool.info"] = f"<BACKUPJOB_POOL>{broken}{job()}</BACKUPJOB_POOL>".encode()
    found = BackupJobs(Source(oned.endpoint, "u:p")).collect()
    assert found.errors == 2
    assert f"last_timestamp{{{LABELS}}}" in found.samples.render(BACKUP).decode()


def test_the_schedules_of_so_many_jobs_are_asked_for(oned: Answers) -> None:
    """A thousand jobs would be a thousand calls in one scrape."""
    scheduled = [job(ids="<ID>5</ID>").replace("<ID>3<", f"<ID>{number}<", 1) for number in range(101)]
    oned.documents["backupjobpool.info"] = f"<BACKUPJOB_POOL>{''.join(scheduled)}</BACKUPJOB_POOL>".encode()
    oned.documents["backupjob.info"] = job(action(NOW)).encode()
    found = BackupJobs(Source(oned.endpoint, "u:p")).collect()
    assert oned.calls.count("backupjob.info") == 100
    assert found.samples.render(BACKUP).count(b"last_timestamp{") == 101

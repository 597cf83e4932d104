"""The child process that talks to BMCs: jobs on standard input, one answer a line on standard output.

It and its workers end at the deadline, whatever hangs. Nothing but the standard library and pyghmi is
imported here, and pyghmi nowhere else.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":  # started by its path and isolated from the environment
    sys.path.append(str(Path(__file__).parents[3]))

from onext.hosts.bmc.errors import BmcError, Refused, Unreachable
from onext.hosts.bmc.ipmi import Ipmi
from onext.hosts.bmc.job import Job, Session, fulfil
from onext.hosts.bmc.process_pool import ProcessPool
from onext.hosts.bmc.reachability import answering
from onext.hosts.bmc.redfish import Redfish
from onext.hosts.bmc.ssh_probe import SshProbe

_MOST_WORKERS = 24
_MEMORY = 1 << 30  # bytes of each process: an answer without end must not take all of the front-end's
_PATIENCE = 3.0  # seconds for a BMC to show that it is there
_KINDS: Mapping[str, type[Session]] = {"ipmi": Ipmi, "redfish": Redfish, "suspend": SshProbe}


def main() -> None:
    """Do all jobs, or as many as can be done until the deadline, while the parent lives."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    work = json.load(sys.stdin)
    jobs = [Job(**job) for job in work["jobs"]]
    began, ends = work["began"], work["ends"]
    workers = ProcessPool(min(len(jobs), _MOST_WORKERS), lambda n: _answer(jobs[n], began), ends)
    numbers = {job: n for n, job in enumerate(jobs)}
    for job in answering(jobs, min(_PATIENCE, ends - time.monotonic())):
        workers.give(numbers.pop(job))
    for job in numbers:
        _print(job, began, _failed(job, Unreachable("it does not answer")))
    workers.finish()


def _answer(job: Job, began: float) -> None:
    try:
        session = _KINDS[job.kind](job)
        try:
            result = fulfil(job, session)
        finally:
            session.close()
    except BmcError as error:
        result = _failed(job, error)
    except OSError as error:
        result = _failed(job, Unreachable(f"it does not answer: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001 - pyghmi raises whatever its parsers meet; the doubt is told
        result = _failed(job, Refused(f"it answers nonsense ({type(error).__name__})"))
    _print(job, began, result)


def _failed(job: Job, error: BmcError) -> dict[str, object]:
    """Tell a failure; what a BMC says may hold what it was given, also as HTTP's basic credentials."""
    reason = str(error)
    basic = base64.b64encode(f"{job.user}:{job.password}".encode()).decode()
    for secret in (basic, job.password) if job.password else ():
        reason = reason.replace(secret, "***")
    return {"error": type(error).__name__, "reason": reason[:300]}


def _print(job: Job, began: float, result: Mapping[str, object]) -> None:
    """Write a line at once: all workers share the pipe, and less than 4096 bytes stay together."""
    line = json.dumps({"id": job.id, "seconds": time.monotonic() - began, **result})
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


if __name__ == "__main__":
    main()

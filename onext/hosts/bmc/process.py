"""The child process that talks to BMCs: jobs on standard input, one answer a line on standard output.

It and its workers end at the deadline, whatever hangs. Drivers are imported here only, and only those that
the jobs need: pyghmi for IPMI, requests for Redfish, the standard library for the others.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

if __name__ == "__main__":  # started by its path and isolated from the environment
    sys.path.append(str(Path(__file__).parents[3]))

from onext.hosts.bmc.errors import BmcError, InvalidAnswer, TimedOut, Unreachable
from onext.hosts.bmc.job import Job, Session, fulfil
from onext.hosts.bmc.process_pool import ProcessPool
from onext.hosts.bmc.reachability import answering

_MOST_WORKERS = 24
_MEMORY = 1 << 30  # bytes of each process: an answer without end must not take all of the front-end's
_PATIENCE = 3.0  # seconds for a BMC to show that it is there
_DRIVERS = {
    "ipmi": ("onext.hosts.bmc.ipmi", "Ipmi"),
    "redfish": ("onext.hosts.bmc.redfish", "Redfish"),
    "suspend": ("onext.hosts.bmc.ssh_probe", "SshProbe"),
    "agent": ("onext.hosts.bmc.fence_agent", "FenceAgent"),
}


def main() -> None:
    """Do all jobs, or as many as can be done until the deadline, while the parent lives."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    work = json.load(sys.stdin)
    jobs = [Job(**job) for job in work["jobs"]]
    began, ends = work["began"], work["ends"]
    drivers = {kind: _driver(kind) for kind in {job.kind for job in jobs}}
    count = min(len(jobs), _MOST_WORKERS)
    workers = ProcessPool(count, lambda n: _answer(jobs[n], drivers[jobs[n].kind], began), ends)
    numbers = {job.id: n for n, job in enumerate(jobs)}
    for job in answering(jobs, min(_PATIENCE, ends - time.monotonic())):
        workers.give(numbers.pop(job.id))
    for n in numbers.values():
        _print(jobs[n], began, _failed(jobs[n], Unreachable("it does not answer")))
    workers.finish()


def _driver(kind: str) -> type[Session]:
    module, name = _DRIVERS[kind]
    found: type[Session] = getattr(importlib.import_module(module), name)
    return found


def _answer(job: Job, driver: type[Session], began: float) -> None:
    try:
        session = driver(job)
        try:
            result = fulfil(job, session)
        finally:
            session.close()
        if "reason" in result:
            result["reason"] = _without_secrets(job, str(result["reason"]))
    except BmcError as error:
        result = _failed(job, error)
    except TimeoutError:
        result = _failed(job, TimedOut("it does not answer in time"))
    except OSError as error:
        result = _failed(job, Unreachable(f"it does not answer: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001 - pyghmi raises whatever its parsers meet; the doubt is told
        result = _failed(job, InvalidAnswer(f"its answer cannot be understood ({type(error).__name__})"))
    _print(job, began, result)


def _failed(job: Job, error: BmcError) -> dict[str, object]:
    return {"error": type(error).__name__, "reason": _without_secrets(job, str(error))}


def _without_secrets(job: Job, reason: str) -> str:
    """Return a reason that may be shown: a BMC may repeat the password, also as HTTP's basic credentials."""
    basic = base64.b64encode(f"{job.user}:{job.password}".encode()).decode()
    for secret in (basic, job.password) if job.password else ():
        reason = reason.replace(secret, "***")
    return reason[:400]


def _print(job: Job, began: float, result: Mapping[str, object]) -> None:
    """Write a line at once: all workers share the pipe, and less than 4096 bytes stay together."""
    line = json.dumps({"id": job.id, "seconds": time.monotonic() - began, **result})
    os.write(sys.stdout.fileno(), line.encode() + b"\n")


if __name__ == "__main__":
    main()

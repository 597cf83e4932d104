"""The parent's side: a child process, which ends in time or is killed, does the jobs for BMCs.

Passwords reach the child through its standard input only.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from onext import process
from onext.hosts.bmc.errors import BmcError, Unreachable, kinds
from onext.hosts.bmc.job import Job

_SCRIPT = Path(__file__).with_name("process.py")
_GRACE = 2.0  # seconds that the child has beyond its deadline before it and its workers are killed
_OUTPUT = 4 << 20
_KEPT = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # of the environment: which authorities this machine trusts
_FAILURES = kinds()

Answer = Mapping[str, Any]


def ask(jobs: Sequence[Job], deadline: float) -> dict[int, Answer]:
    """Return the answer to each job by its id, within `deadline` seconds and `_GRACE` more at worst.

    Each job has an answer whatever happens: `seconds`, and either what it asked for or `error` and `reason`.
    """
    if not jobs:
        return {}
    silent = {"error": "TimedOut", "reason": f"no answer within {deadline:g} s", "seconds": deadline}
    answers: dict[int, Answer] = {job.id: silent for job in jobs}
    try:
        answers.update((answer["id"], answer) for answer in _told(jobs, deadline))
    except process.CommandError as error:
        # Its output is omitted: a traceback may contain its input, such as passwords.
        how = "did not end in time" if error.exit_code is None else f"ended with code {error.exit_code}"
    except (ValueError, KeyError, TypeError):  # half a line: a worker was ended in the middle of it
        how = "printed an invalid answer"
    else:
        return answers
    broken = {**silent, "reason": f"the process that talks to BMCs {how}"}
    return {job.id: broken for job in jobs}


def failure(answer: Answer) -> BmcError | None:
    """Return what went wrong, of the type that the child names."""
    if "error" not in answer:
        return None
    return _FAILURES.get(answer["error"], Unreachable)(answer["reason"])


def _told(jobs: Sequence[Job], deadline: float) -> Iterator[Answer]:
    began = time.monotonic()  # one clock for all processes of this machine
    work = {
        "jobs": [asdict(replace(job, ends=began + deadline)) for job in jobs],
        "began": began,
        "ends": began + deadline,
    }
    done = process.run(
        [sys.executable, "-I", str(_SCRIPT)],
        timeout=deadline + _GRACE,
        input=json.dumps(work).encode(),
        max_output=_OUTPUT,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
    )
    return map(json.loads, done.stdout.splitlines())

"""The child process that talks to BMCs: jobs on standard input, one answer per line on standard output.

It ends at its deadline whatever hangs, and answers for the silent ones that they were. Its parent kills it a
little later if even that fails.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from hooks.power.bmc.drivers import DRIVERS, Driver

MOST_THREADS = (
    160  # silent BMCs hold one each for their whole time-out: the others must not queue behind them
)
_printing = threading.Lock()


def main() -> None:
    """Do all jobs, at most until the deadline."""
    order = json.load(sys.stdin)
    jobs, ends = order["jobs"], time.monotonic() + order["deadline"]
    pool = ThreadPoolExecutor(min(len(jobs), MOST_THREADS) or 1)
    waiting: dict[Future[dict[str, Any]], int] = {pool.submit(answer, job): job["id"] for job in jobs}
    while waiting and time.monotonic() < ends:
        done, _ = wait(waiting, timeout=max(0.0, ends - time.monotonic()), return_when=FIRST_COMPLETED)
        for future in done:
            _print(waiting.pop(future), future.result())
    for number in waiting.values():
        _print(number, {"error": "no answer in time", "silent": True})
    sys.stdout.flush()
    os._exit(0)  # threads that hang would keep the process


def answer(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job; what went wrong is part of the answer."""
    try:
        driver = DRIVERS[job["driver"]](job)
        try:
            return _act(driver, job)
        finally:
            driver.close()
    except Exception as error:  # noqa: BLE001 - the outermost edge: pyghmi raises anything
        silent = "None" in str(error) or isinstance(error, OSError)
        return {"error": _said(error), "silent": silent}


def _act(driver: Driver, job: Mapping[str, Any]) -> dict[str, Any]:
    """Ask, and switch only the very machine that is meant."""
    identity = driver.identity()
    what = job["what"]
    if what in ("on", "off-soft", "off-hard"):
        if not job["identity"] or identity.lower() != job["identity"].lower():
            return {
                "error": f"another machine answers: {identity or 'it tells no identity'}",
                "identity": identity,
            }
        driver.switch(what)
    answer = {"power": driver.power(), "identity": identity}
    return {**answer, "watts": driver.watts()} if what == "watts" else answer


def _said(error: Exception) -> str:
    text = str(error)
    if text in ("None", ""):
        return "no answer"
    return f"{type(error).__name__}: {text}"[:200]


def _print(number: int, result: Mapping[str, Any]) -> None:
    with _printing:
        sys.stdout.write(json.dumps({"id": number, **result}) + "\n")


if __name__ == "__main__":
    main()

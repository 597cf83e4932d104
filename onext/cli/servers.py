"""What `onext doctor` reports of the zone's other servers: each checks itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onext import zone
from onext.install import locked
from onext.part import Check, Context

TIMEOUT = 45.0  # seconds for one server
Rows = Sequence[Mapping[str, str]]


def findings(context: Context) -> Iterator[Check]:
    """Yield a line for each other server; one that is silent or has another version is not well."""
    others = zone.others(context.oned, context.oned.document("system.config"))
    if not others:
        return

    def ask(server: zone.Server) -> zone.Answer:
        return zone.ask(server, context.paths, ["doctor", "--local", "--json"], timeout=TIMEOUT, check=False)

    with ThreadPoolExecutor(len(others)) as pool:
        for server, answer in zip(others, pool.map(ask, others), strict=True):
            yield _verdict(server, answer, context.paths.current.resolve())


def _verdict(server: zone.Server, answer: zone.Answer, home: Path) -> Check:
    name, remedy = f"server {server.name}", f"ssh {server.host} onext doctor"
    if not answer.done:
        return Check(name, "warn", f"not checked: {answer.text}", f"ssh {server.host}")
    rows = _rows(answer.text)
    if rows is None:
        return Check(name, "fail", "no answer of `onext doctor` there", f"install.sh on {server.name}")
    wrong = [f"{row['check']}: {row['message']}" for row in rows if row["state"] == "fail"]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        return Check(name, "fail", wrong[0] + more, remedy)
    theirs = {row["check"]: row["message"] for row in rows}
    version = theirs.get("version", "unknown")
    for what, there, here in (
        ("version", version, home.name),
        ("packages", theirs.get("packages", "not known"), locked.summary(home)),
    ):
        if here and there != here:
            return Check(name, "fail", f"{what} {there}; here {here}", f"install.sh on {server.name}")
    return Check(name, "ok", f"all well there, version {version}")


def _rows(text: str) -> Rows | None:
    """Return the lines that the other server's doctor printed as JSON; None for anything else."""
    try:
        rows = json.loads(text)
        return [{key: str(row[key]) for key in ("check", "state", "message")} for row in rows]
    except (ValueError, TypeError, KeyError):
        return None

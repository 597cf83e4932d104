"""`onext doctor`: one line for each thing that has to be in order, within one deadline."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources

import click

from onext import spool, ssh
from onext.cli import lacking, servers
from onext.command import find, front_end, json_option
from onext.oned.errors import OnedError
from onext.part import Check, Context
from onext.process import CommandError
from onext.settings import Settings, SettingsError
from onext.table import Row, fits, show
from onext.worker import heartbeat, renewal
from onext.worker.registry import installed

DEADLINE = 30.0  # seconds for what is checked on this server
ZONE_DEADLINE = 60.0  # and where the zone's other servers are asked too
_POLL = 0.1

Section = Callable[[], Iterable[Check]]


@click.command()
@click.option("--node", metavar="HOST", help="Check a node (id or name): can its power be measured?")
@click.option("--local", is_flag=True, help="This server only, not the others of the zone.")
@json_option
@front_end
def doctor(context: Context, *, node: str | None, local: bool, as_json: bool) -> None:
    """Check what is installed, registered, reachable and up to date. Exit code 1 for a failure.

    What does not answer within 30 seconds (60 with the other servers) is reported as such.
    """
    if node is not None:
        sys.exit(_node(_host_name(context, node)))
    found = findings(context, local=local, progress=sys.stderr.isatty() and not as_json)
    if as_json or not fits():
        rows: list[Row] = [
            {"check": c.name, "state": c.level, "message": c.message, "remedy": c.remedy} for c in found
        ]
        show(rows, ("check", "state", "message", "remedy"), as_json=as_json)
    else:
        show([_short(check) for check in found], ("state", "check", "message"), as_json=False)
    sys.exit(any(check.level == "fail" for check in found))


def _host_name(context: Context, word: str) -> str:
    """Return the name to ssh to: of the host with an id, else the word, which need not be a host yet."""
    return find(context.oned.hosts(), word, "host").name if word.isdecimal() else word


def _short(check: Check) -> Row:
    """Return a line for a narrow terminal: the remedy behind the message, where there is one to follow."""
    remedy = f" -> {check.remedy}" if check.remedy and check.level != "ok" else ""
    return {"check": check.name, "state": check.level, "message": check.message + remedy}


def findings(context: Context, *, local: bool, progress: bool = False) -> list[Check]:
    """Check everything at once; what does not end before the deadline is a finding too."""
    try:
        settings, wrong = context.settings, None
    except SettingsError as error:
        settings, wrong = Settings(), error
    context = replace(context, given=settings)
    sections = dict(_sections(context, wrong, local=local))
    return _Run(sections, DEADLINE if local else ZONE_DEADLINE, progress=progress).checks()


def _sections(context: Context, wrong: SettingsError | None, *, local: bool) -> Iterator[tuple[str, Section]]:
    yield "settings", lambda: _settings(context, wrong)
    yield "oned", lambda: _oned(context)
    yield "release", lambda: _release(context)
    yield "worker", lambda: [_worker(context)]
    yield "installation", lambda: _installation(context)
    if wrong is not None:
        return  # the parts would be checked by settings that are not the administrator's
    yield "results", lambda: _results(context)
    for part in installed():
        yield part.name, lambda part=part: part.checks(context)  # type: ignore[misc]
    biscuit = importlib.import_module("onext.biscuit.check")
    yield "biscuit", lambda: biscuit.findings(context, local=local)
    if not local:
        tunnel = importlib.import_module("onext.tunnel.drivers")
        yield "tunnel", lambda: tunnel.checks(context)
        yield "servers", lambda: servers.findings(context)


_OWN_NAMES = ("settings", "oned", "worker", "installation", "results", "servers")


@dataclass
class _Run:
    """All sections side by side; each in a thread that ends with this process at the latest."""

    sections: Mapping[str, Section]
    deadline: float
    progress: bool = False
    _found: dict[str, list[Check]] = field(default_factory=dict)

    def checks(self) -> list[Check]:
        """Return what each section found, in order."""
        ends = time.monotonic() + self.deadline
        for name, section in self.sections.items():
            threading.Thread(target=self._run, args=(name, section), name=name, daemon=True).start()
        while len(self._found) < len(self.sections) and time.monotonic() < ends:
            self._show()
            time.sleep(_POLL)
        if self.progress:
            click.echo("\r\x1b[K", nl=False, err=True)
        late = f"not finished after {self.deadline:g} s"
        return [
            check
            for name in self.sections
            for check in self._found.get(name, [Check(name, "fail", late, "onext doctor --json once more")])
        ]

    def _run(self, name: str, section: Section) -> None:
        prefix = "" if name in _OWN_NAMES else f"{name}: "
        found: list[Check] = []
        try:
            for check in section():
                found.append(replace(check, name=prefix + check.name))  # noqa: PERF401 - kept when it fails
        except (OnedError, OSError, CommandError) as error:
            found.append(Check(name, "fail", str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of one section must not hide the others
            found.append(Check(name, "fail", f"a fault of this check: {type(error).__name__}: {error}"))
        self._found[name] = found

    def _show(self) -> None:
        if self.progress:
            waiting = ", ".join(name for name in self.sections if name not in self._found)
            click.echo(f"\r\x1b[Kwaiting for: {waiting[:60]}", nl=False, err=True)


def _settings(context: Context, wrong: SettingsError | None) -> Iterator[Check]:
    file = context.paths.settings
    if wrong is None:
        yield Check("settings", "ok", f"{file} ({len(context.settings.model_fields_set)} sections set)")
        return
    used = renewal.problem(context).rpartition("; ")[2]
    for line in str(wrong).splitlines():
        yield Check("settings", "fail", line + (f"; {used}" if used else ""), f"correct {file}")


def _results(context: Context) -> Iterator[Check]:
    """Name the objects of each part whose last reconcile failed."""
    last = context.last()
    for name in sorted({key.partition(".")[0] for key in last}):
        results = {key: result for key, result in last.items() if key.startswith(f"{name}.")}
        failed = {key: result.message for key, result in results.items() if not result.ok}
        if failed:
            key, message = next(iter(failed.items()))
            text = f"{len(failed)} of {len(results)} failed when they last ran, such as {key}: {message}"
            yield Check(f"{name}: results", "warn", text, "onext status --all")


def _node(name: str) -> int:
    """Run the node's own check there, by ssh, and pass on what it prints."""
    try:
        package = importlib.import_module("exporter.scaphandre")
    except ModuleNotFoundError as error:
        raise click.UsageError(
            "--node needs the exporter, which is not installed here: ./install.sh"
        ) from error
    program = resources.files(package).joinpath("node.py").read_bytes()
    try:
        answer = ssh.run(name, ["python3", "-", "check"], timeout=30, input=program, check=False)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--node") from error
    click.echo((answer.stdout + answer.stderr).decode("utf-8", "replace"), nl=False)
    return answer.exit_code


def _oned(context: Context) -> Iterator[Check]:
    try:
        raft = context.oned.raft()
        yield Check("oned", "ok", f"{context.oned.version()} at {context.oned.endpoint}, {raft.state.name}")
    except OnedError as error:
        yield Check("oned", "fail", str(error), "hooks still fill the spool; nothing is lost")


def _release(context: Context) -> Iterator[Check]:
    with contextlib.suppress(OnedError):  # reported as oned
        yield from lacking.checks(context)


def _worker(context: Context) -> Check:
    if not spool.wake(str(context.paths.spool)):
        return Check("worker", "fail", "does not run", "systemctl start onext-worker, or `onext worker`")
    age = heartbeat.age(context.paths)
    if age is None or age <= heartbeat.LATE:
        return Check("worker", "ok", "runs")
    return Check("worker", "fail", f"does not respond since {age:.0f} s", "systemctl restart onext-worker")


def _installation(context: Context) -> Iterable[Check]:
    found: Iterable[Check] = importlib.import_module("onext.install.check").findings(context.paths)
    return found

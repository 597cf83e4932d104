"""What differs from a whole installation: for `install.sh --check` and `onext doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onext import readable, spool
from onext.biscuit import check as biscuit
from onext.install import (
    apply_changes,
    configure,
    diversion,
    hook_base,
    locked,
    nodes,
    registration,
    service,
    uninstall_preview,
    versions,
)
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import Manifest
from onext.install.manifest_entries import Entry, File, wanted
from onext.install.plan_changes import DIVERT, RIGHTS, WRITE, Step, plan
from onext.oned.errors import OnedError
from onext.part import Check, Context
from onext.paths import Paths
from onext.settings import SettingsError, load

_AGAIN = "./install.sh"
_OTHERS = 0o007


def everything(front_end: FrontEnd, checkout: str) -> Iterator[Check]:
    """Return the findings, with the checks of `onext doctor`, and the checkout's version."""
    yield _settings(front_end.paths)
    yield _worker(front_end.paths)
    yield from _findings(front_end, checkout)
    yield from _biscuit(front_end.paths)
    yield from nodes.checks(front_end)
    yield Check("uninstall", "ok", f"an uninstall {'; '.join(uninstall_preview.lines(front_end))}")


def findings(paths: Paths) -> Iterator[Check]:
    """Return one line for each thing that differs, and one for what is correct."""
    del paths  # the front-end knows them, and its owners too
    yield from _findings(FrontEnd.find(), "")


def _findings(front_end: FrontEnd, checkout: str) -> Iterator[Check]:
    home = versions.resolve(front_end.paths.lib, versions.CURRENT)
    if home is None:
        yield Check("version", "fail", "onext is not installed here, or not completely", _AGAIN)
        return
    yield _version(home, checkout)
    yield from _packages(home)
    yield from _files(front_end, home)
    yield from _secrets(front_end)
    yield from _unit(front_end)
    yield from _hooks(front_end, home)
    yield from configure.checks(front_end)
    yield from _targets(front_end)


def _biscuit(paths: Paths) -> Iterator[Check]:
    """Check the users and servers that the driver protects; oned.conf was checked before."""
    try:
        for found in biscuit.findings(Context(paths)):
            if found.level != "ok" and found.name != "oned.conf":
                yield Check(f"biscuit: {found.name}", found.level, found.message, found.remedy)
    except (OnedError, OSError, SettingsError) as error:
        yield Check("biscuit", "warn", f"not checked: {error}")


def _version(home: Path, checkout: str) -> Check:
    if checkout and checkout != home.name:
        return Check("version", "warn", f"{home.name}; the checkout is {checkout}", f"{_AGAIN} upgrades")
    return Check("version", "ok", home.name)


def _packages(home: Path) -> Iterator[Check]:
    """Compare the packages of the version in use with the locked set that it was made of."""
    made = locked.stamped(home)
    if made is None:
        yield Check("packages", "warn", "not locked: made by an earlier version", _AGAIN)
        return
    wrong = list(locked.differences(home))
    for difference in wrong:
        yield Check("packages", "fail", difference, f"rm -r {home}, then {_AGAIN}")
    if not wrong:
        yield Check("packages", "ok", locked.summary(home))


def _files(front_end: FrontEnd, home: Path) -> Iterator[Check]:
    manifest = Manifest.load(front_end.paths.lib)
    try:
        entries = wanted(front_end, home)
        steps = plan(entries, apply_changes.inspect_all(entries, manifest, front_end.files), manifest)
    except PermissionError as error:
        yield Check(
            "files", "warn", f"{error.filename}: cannot be seen by this user", "run it as root or oneadmin"
        )
        return
    except InstallError as error:
        yield Check("files", "fail", str(error), _AGAIN)
        return
    yield from map(_difference, steps)
    yield from _diversions(entries, front_end)
    if not steps:
        yield Check("files", "ok", f"{len(entries)} files and folders as they should be")


def _difference(step: Step) -> Check:
    name = "diversion" if step.do == DIVERT else "rights" if step.do == RIGHTS else "files"
    if step.do == WRITE and isinstance(step.entry, File) and step.entry.made_of is not None:
        why = f"not what follows from {step.entry.made_of} now"
        return Check(name, "fail", f"{step.path}: {why}", f"{_AGAIN} --configure")
    return Check(name, "fail", f"{step.path}: {step.why}", _AGAIN)


def _diversions(entries: list[Entry], front_end: FrontEnd) -> Iterator[Check]:
    for entry in entries:
        if isinstance(entry, File) and entry.aside and diversion.lost(entry.path, entry.aside, front_end):
            yield Check(
                "diversion", "fail", f"dpkg does not divert {entry.path}: an upgrade overwrites it", _AGAIN
            )


def _secrets(front_end: FrontEnd) -> Iterator[Check]:
    """Check files that people placed beside onext's: other users must not read or write them."""
    owners = {0, front_end.shared.uid, front_end.service.uid}
    try:
        files = sorted(front_end.paths.own_etc.rglob("*"))
        found = [(path, path.lstat()) for path in files]
    except PermissionError as error:
        yield Check("secrets", "warn", f"{error.filename}: cannot be seen by this user")
        return
    for path, status in found:
        if status.st_mode & _OTHERS or status.st_uid not in owners:
            yield Check(
                "secrets",
                "fail",
                f"{path}: others may read it, or own it",
                f"chmod o= {path}; chown root {path}",
            )


def _unit(front_end: FrontEnd) -> Iterator[Check]:
    if front_end.systemd and not service.active():
        yield Check("unit", "fail", f"{service.UNIT} is not active and enabled", _AGAIN)


def _hooks(front_end: FrontEnd, home: Path) -> Iterator[Check]:
    try:
        hooks = registration.wanted(home / "parts/hooks")
        differences = registration.differences(registration.connect(front_end), hooks)
    except (OnedError, InstallError) as error:
        yield Check("hooks", "warn", f"not checked: {error}")
        return
    for difference in differences:
        yield Check("hooks", "fail", f"{difference.hook.name}: {_HOW[difference.how]}", _AGAIN)
    if base := hook_base.wrong(front_end.paths):
        yield Check("hooks", "fail", base, "change it, then restart opennebula")
    elif not differences:
        yield Check("hooks", "ok", f"{len(hooks)} registered")


def _targets(front_end: FrontEnd) -> Iterator[Check]:
    """Report where this front-end's Prometheus cannot read its targets."""
    if not (front_end.paths.etc / "prometheus/prometheus.yml").is_file():
        return
    try:
        targets = load(front_end.paths.settings).targets
    except SettingsError:
        return  # reported by other checks
    hidden = readable.hidden_from(targets.folder or front_end.paths.targets, targets.prometheus_user)
    if hidden:
        remedy = "make it readable for Prometheus's user (targets.prometheus_user)"
        yield Check("targets", "warn", f"{targets.prometheus_user}: {hidden}", remedy)


def _settings(paths: Paths) -> Check:
    try:
        load(paths.settings)
    except SettingsError as error:
        return Check("settings", "fail", str(error), f"correct {paths.settings}")
    return Check("settings", "ok", str(paths.settings))


def _worker(paths: Paths) -> Check:
    if spool.wake(str(paths.spool)):
        return Check("worker", "ok", "runs")
    return Check("worker", "fail", "does not run", _AGAIN)


_HOW = {
    "new": "not registered",
    "changed": "registered otherwise",
    "gone": "registered, and not part of this version",
}

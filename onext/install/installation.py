"""The two big moves, each in its order: make a version the one in use, and take everything back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from onext import ssh_include
from onext.install import (
    apply_changes,
    configure,
    diversion,
    hook_base,
    hosts_armed,
    hosts_off,
    nodes,
    registration,
    removal,
    selfcheck,
    service,
    tunnels,
    versions,
)
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import Manifest
from onext.install.manifest_entries import File, wanted
from onext.install.plan_changes import DIVERT, Step, plan
from onext.install.terminal import say
from onext.oned.errors import OnedError


def install(front_end: FrontEnd, home: Path, *, configuring: bool = False) -> int:
    """Make the version in `home` the one in use; return the exit code.

    With `configuring`, `configure` follows: what it is about to do is not reported as left to a person.
    Nothing is touched before the version passed its check; `current` is switched after the files are
    placed. Raises InstallError, and then install.sh lets the version before install itself again.
    """
    with front_end.files.at(front_end.paths.settings):  # as who may change it: it may be a link
        selfcheck.settings(front_end.paths.settings)
    another = versions.resolve(front_end.paths.lib, versions.CURRENT) != home
    if another:
        selfcheck.before(home)
    entries = wanted(front_end, home)
    manifest = Manifest.load(front_end.paths.lib)
    apply_changes.sweep(manifest, front_end)
    steps = plan(entries, apply_changes.inspect_all(entries, manifest, front_end.files), manifest)
    apply_changes.carry_out(steps, entries, front_end)
    diverted = [e.path for e in entries if isinstance(e, File) and diversion.restore(e, front_end)]
    before = versions.switch(front_end.paths.lib, home)
    if another or steps:
        selfcheck.after(front_end, entries)
    versions.prune(front_end.paths.lib)
    service.settle(front_end, restart=before != home, units=_units(steps))
    with front_end.as_service():
        hooks = registration.register(front_end, home / "parts/hooks")
    changed = bool(steps) or before != home or bool(hooks.done)
    if changed:
        service.sync(front_end)
    _report(
        home,
        before,
        steps,
        [*_diverted(diverted), *hooks.done, *hooks.left, *_left(front_end, steps, configuring=configuring)],
    )
    return 0


def preview(front_end: FrontEnd, home: Path) -> int:
    """Print what `install` would do with the version in `home`, and change nothing."""
    front_end.become_service()
    selfcheck.settings(front_end.paths.settings)
    entries, manifest = wanted(front_end, home), Manifest.load(front_end.paths.lib)
    steps = plan(entries, apply_changes.inspect_all(entries, manifest, front_end.files), manifest)
    before = versions.resolve(front_end.paths.lib, versions.CURRENT)
    say(f"would install {home.name}" + (f" in place of {before.name}" if before else ""))
    for step in steps:
        say(f"  {step.do:7} {step.path}: {step.why}")
    try:
        hooks = registration.wanted(home / "parts/hooks")
        for difference in registration.differences(registration.connect(front_end), hooks):
            say(f"  hook    {difference.hook.name}: {difference.how}")
    except (OnedError, InstallError) as error:
        say(f"  hooks not compared: {error}")
    for line in configure.left(front_end):
        say(f"  {line}")
    return 0


def uninstall(
    front_end: FrontEnd, backup: Path, *, leave_hosts_off: bool = False, leave_hosts_armed: bool = False
) -> int:
    """Take back everything; what a person changed goes to the archive `backup` first."""
    manifest = Manifest.load(front_end.paths.lib)
    if not manifest.folders:
        raise InstallError("onext is not installed here")
    removal.require_safe_paths(manifest, front_end)
    hosts = hosts_armed.require_disarmed(front_end, leave=leave_hosts_armed)
    hosts += hosts_off.require_in_service(front_end, leave=leave_hosts_off)
    if work := removal.persons_work(manifest, front_end):
        removal.back_up(work, backup, front_end.files)
        say(f"your settings are in {backup}: {', '.join(path.name for path in work)}")
    with front_end.as_service():
        hooks = registration.remove(front_end)
        left = _included(front_end)
    service.stop(front_end)
    edited = configure.take_out(front_end, manifest)
    apply_changes.sweep(manifest, front_end)
    removal.remove_all(manifest, front_end)
    service.reload(front_end)
    for line in (*hooks.left, *left, *edited, *hosts):
        say(line)
    say("onext is uninstalled; GEOLOCATION and ONEXT_* in templates stay, as they are yours")
    return 0


def _included(front_end: FrontEnd) -> list[str]:
    """Take the line of `onext edge init` out of oneadmin's ssh configuration; return what stays."""
    paths = front_end.paths
    try:
        ssh_include.take_out(paths.one_var, paths.var)
    except OSError as error:
        return [f"{paths.one_var}/.ssh/config: remove the line that includes a file of {paths.var}: {error}"]
    return []


def _diverted(paths: Iterable[Path]) -> list[str]:
    return [f"{path}: diverted again, so that an upgrade does not overwrite it" for path in paths]


def _units(steps: Iterable[Step]) -> bool:
    return any(step.path.suffix == ".service" for step in steps)


def _left(front_end: FrontEnd, steps: Iterable[Step], *, configuring: bool) -> list[str]:
    """Return what only a person can decide, one line each."""
    driver = any(step.path.is_relative_to(front_end.paths.remotes / "vmm") for step in steps)
    stale = nodes.left(front_end, changed=driver)
    with front_end.as_service():
        base = hook_base.wrong(front_end.paths)
        missing = [] if configuring else configure.left(front_end)
    hooks = [f"still to do: {base}; then restart opennebula"] if base else []
    mapping = tunnels.write_map(front_end)
    stated = tunnels.statement(front_end) if driver else ""
    return [*hooks, *([mapping] if mapping else []), *([stated] if stated else []), *stale, *missing]


def _report(home: Path, before: Path | None, steps: list[Step], lines: Iterable[str]) -> None:
    if before == home and not steps:
        say(f"onext {home.name} is installed; nothing to change")
    elif before is None or before == home:
        say(f"onext {home.name}: {len(steps)} files and folders placed")
    else:
        say(f"onext {home.name} in place of {before.name}: {len(steps)} files and folders changed")
    for step in steps:
        if step.do == DIVERT:
            say(f"  {step.path}: {step.why}")
    for line in lines:
        say(f"  {line}")

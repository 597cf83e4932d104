"""What an uninstall would do: for `--check` and for `--uninstall --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator

from onext.install import hosts_armed, hosts_off, registration, removal
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import Manifest
from onext.install.terminal import say
from onext.oned.errors import OnedError


def print_preview(front_end: FrontEnd) -> int:
    """Print one line for each thing that an uninstall would do; return the exit code."""
    front_end.become_service()
    for line in lines(front_end):
        say(line)
    return 0


def lines(front_end: FrontEnd) -> Iterator[str]:
    """Return what an uninstall would do, in its order."""
    manifest = Manifest.load(front_end.paths.lib)
    yield from filter(None, (hosts_armed.summary(front_end), hosts_off.summary(front_end)))
    try:
        work = removal.persons_work(manifest, front_end)
    except (OSError, InstallError) as error:
        yield f"changed settings could not be listed: {error}"
    else:
        if work:
            yield f"saves in an archive: {', '.join(map(str, work))}"
    try:
        yield f"deletes {len(registration.differences(registration.connect(front_end), []))} hooks"
    except (OnedError, InstallError) as error:
        yield f"leaves hooks registered: {error}"
    for name, placed in manifest.files.items():
        if placed.edit:
            yield f"takes onext's lines out of {name}"
    back = sum(placed.original is not None and not placed.edit for placed in manifest.files.values())
    yield f"removes {len(manifest.files) - back} files, restores {back} as they were before"

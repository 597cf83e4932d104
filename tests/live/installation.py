"""onext put on the front-end by install.sh for some tests, and taken back."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from onext.install.path_state import PathState, inspect
from onext.oned.client import Oned
from onext.paths import Paths
from onext.process import Completed, run
from tests.live.front_end import FrontEnd, wait_until

ROOT = Path(__file__).parents[2]
_SOURCES = (
    "install.sh",
    "locks",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "onext",
    "hooks",
    "exporter",
    "gateway",
    "edge",
    "drivers",
)
_TIMEOUT = 600.0  # seconds: the first one fetches packages


@dataclass(frozen=True)
class Installation:
    """What install.sh does to one front-end, and what can be seen of it."""

    front_end: FrontEnd
    folder: Path  # the test's own: a copy of the checkout, and what an uninstall keeps

    @classmethod
    def prepare(cls, front_end: FrontEnd, folder: Path) -> Installation:
        """Copy this checkout, so that nobody changes it between two installations."""
        checkout = folder / "checkout"
        checkout.mkdir()
        for name in _SOURCES:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, checkout / name)
        return cls(front_end, folder)

    @property
    def paths(self) -> Paths:
        """Where everything is."""
        return self.front_end.paths

    @property
    def oned(self) -> Oned:
        """The front-end's API."""
        return self.front_end.oned

    def require_none(self) -> None:
        """Skip the test where onext is in use: it would be taken away."""
        for path in (self.paths.lib, self.paths.settings):
            if path.exists():
                pytest.skip(f"{path} is there already: what is in use is not installed over")

    def install_sh(self, *options: str, check: bool = True) -> Completed:
        """Run `./install.sh` with these options as this user."""
        return run([str(self.folder / "checkout/install.sh"), *options], timeout=_TIMEOUT, check=check)

    @contextmanager
    def for_a_while(self) -> Iterator[None]:
        """Install, and take everything back, also where the installation failed."""
        try:
            self.install_sh()
            yield
        finally:
            self.install_sh("--uninstall", "--backup", str(self.folder / "settings.tar.gz"))

    def write_settings(self, text: str) -> None:
        """Write onext.yaml for the front-end's owner; a worker takes it without a restart."""
        self.paths.settings.write_text(text)
        owner = self.paths.etc.stat()
        os.chown(self.paths.settings, owner.st_uid, owner.st_gid)

    def onext(self, *arguments: str, check: bool = True) -> Completed:
        """Run the installed command."""
        return run([str(self.paths.bin / "onext"), *arguments], timeout=60, check=check)

    def run_hook(self, program: str, payload: bytes) -> Completed:
        """Run an installed hook as oned does."""
        hook = self.paths.remotes / "hooks/onext" / program
        return self.as_owner(str(hook), timeout=10, input=payload)

    def as_owner(self, *argv: str, timeout: float, input: bytes | None = None) -> Completed:  # noqa: A002
        """Run a command as the front-end's own user, as its hook manager does; its exit code is the caller's."""
        return run([*self.becoming_owner(), *argv], timeout=timeout, input=input, check=False)

    def becoming_owner(self) -> tuple[str, ...]:
        """Return the words before a command that make it the front-end's own user's."""
        who = pwd.getpwuid(self.paths.etc.stat().st_uid).pw_name
        return ("runuser", "-u", who, "--") if os.geteuid() == 0 else ()

    def done(self, key: str) -> str:
        """Return when the worker last did `key`, as `onext status` says it; empty for never."""
        rows = json.loads(self.onext("status", "--json", check=False).stdout)["results"]
        return next((str(row["when"]) for row in rows if row["key"] == key), "")

    def wait_for_another(self, key: str, last: str) -> None:
        """Return when the worker did `key` again after `last`."""
        wait_until(f"the worker did {key} again", lambda: self.done(key) not in ("", last))

    def findings(self) -> dict[str, tuple[str, str]]:
        """Return what `install.sh --check` says: name to (level, message)."""
        rows = json.loads(self.install_sh("--check", "--json", check=False).stdout)
        return {row["check"]: (row["state"], row["message"]) for row in rows}

    def tree(self) -> dict[Path, PathState | None]:
        """Return every file, folder and link that an installation could touch, with mode, owner and content."""
        paths = self.paths
        tops = [paths.etc, paths.remotes, paths.lib, paths.var, paths.run, paths.log, paths.bin / "onext"]
        return {path: inspect(path) for top in tops for path in [top, *top.rglob("*")]}

    def placed(self) -> dict[Path, PathState | None]:
        """Return the same without what the worker writes as it goes: its log, spool, state, metrics."""
        running = (self.paths.var, self.paths.run, self.paths.log)
        return {
            p: found for p, found in self.tree().items() if not any(p.is_relative_to(top) for top in running)
        }

    def hooks(self) -> dict[str, str]:
        """Return the registered hooks, name to template as oned prints it."""
        pool = self.oned.document("hookpool.info", -2, -1, -1)
        return {hook.findtext("NAME", ""): hook.findtext("TEMPLATE/COMMAND", "") for hook in pool}

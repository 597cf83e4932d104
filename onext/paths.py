"""Where everything is on this front-end: one answer for the packaged and the self-contained layout.

Imports little: the installed executables use it before anything else is there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The places that the bundle reads and writes; `location` is ONE_LOCATION or None when packaged."""

    location: Path | None
    etc: Path  # OpenNebula's configuration: oned.conf
    remotes: Path  # what `onehost sync` copies to every node
    var: Path  # onext's: spool/, state/, targets/, stopped/
    lib: Path  # onext's: versions/<version>/{venv,parts} and the link `current`
    run: Path  # onext's: metrics/; gone after a reboot
    log: Path  # one log file for all parts
    bin: Path  # where `onext` is found
    one_var: Path  # OpenNebula's own: .one/one_auth, datastores, vms
    one_log: Path  # the folder of oned.log

    @classmethod
    def packaged(cls, root: Path = Path("/")) -> Paths:
        """Return the layout of OpenNebula's packages (below another root in tests)."""
        return cls(
            location=None,
            etc=root / "etc/one",
            remotes=root / "var/lib/one/remotes",
            var=root / "var/lib/one/onext",
            lib=root / "usr/lib/one/onext",
            run=root / "run/onext",
            log=root / "var/log/one/onext.log",
            bin=root / "usr/bin",
            one_var=root / "var/lib/one",
            one_log=root / "var/log/one",
        )

    @classmethod
    def self_contained(cls, location: Path) -> Paths:
        """Return the layout of an OpenNebula that was installed below ONE_LOCATION."""
        return cls(
            location=location,
            etc=location / "etc",
            remotes=location / "var/remotes",
            var=location / "var/onext",
            lib=location / "lib/onext",
            run=location / "var/onext/run",
            log=location / "var/onext.log",
            bin=location / "bin",
            one_var=location / "var",
            one_log=location / "var",
        )

    @classmethod
    def find(cls) -> Paths:
        """Return the layout that ONE_LOCATION in the environment names, else the packaged one."""
        location = os.environ.get("ONE_LOCATION")
        return cls.self_contained(Path(location)) if location else cls.packaged()

    @property
    def settings(self) -> Path:
        """The administrator's settings, `onext.yaml`."""
        return self.etc / "onext.yaml"

    @property
    def own_etc(self) -> Path:
        """Files that hold secrets or lists: bmc.yaml, biscuit-revoked."""
        return self.etc / "onext"

    @property
    def spool(self) -> Path:
        """Keys that hooks put and the worker takes."""
        return self.var / "spool"

    @property
    def state(self) -> Path:
        """What can be made again: the worker's last results."""
        return self.var / "state"

    @property
    def stopped(self) -> Path:
        """One mark for each part that `onext stop` froze."""
        return self.var / "stopped"

    @property
    def metrics(self) -> Path:
        """One `PART.prom` for each part."""
        return self.run / "metrics"

    @property
    def targets(self) -> Path:
        """Files of Prometheus's file_sd, unless the settings name another folder."""
        return self.var / "targets"

    @property
    def current(self) -> Path:
        """The link to the version in use."""
        return self.lib / "current"

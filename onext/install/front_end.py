"""The front-end that is installed on: where its files are, whose they are, what its system offers.

Standard library only: it runs before there is a venv.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from onext.account import ACCOUNT, acting_as, become, name_of
from onext.install.errors import InstallError
from onext.install.path_state import Owner
from onext.install.safe_files import SafeFiles
from onext.paths import Paths

__all__ = ["FrontEnd", "InstallError", "Owner"]


@dataclass(frozen=True)
class FrontEnd:
    """One front-end; `system` is the root of the machine where units and snippets go, None without one."""

    paths: Paths
    code: Owner  # programs: root, or the owner of ONE_LOCATION
    shared: Owner  # settings and secrets: root:oneadmin, or the same owner
    service: Owner  # what running parts write: oneadmin, or the same owner
    system: Path | None = None
    systemd: bool = False
    dpkg: bool = False

    @classmethod
    def find(cls) -> FrontEnd:
        """Return the front-end of this machine; raise InstallError without one."""
        if location := os.environ.get("ONE_LOCATION"):
            return cls.self_contained(Path(location))
        if not _there(Path("/etc/one/oned.conf")):
            raise InstallError(
                "no OpenNebula front-end here: neither /etc/one/oned.conf nor ONE_LOCATION is there;"
                " ./install.sh --sandbox tries everything without one"
            )
        return cls.packaged(Path("/"))

    @classmethod
    def packaged(cls, root: Path, code: Owner | None = None, service: Owner | None = None) -> FrontEnd:
        """Return a front-end of OpenNebula's packages below `root`; tests give the owners."""
        code, service = code or Owner(0, 0), service or _account()
        return cls(
            paths=Paths.packaged(root),
            code=code,
            shared=Owner(code.uid, service.gid),
            service=service,
            system=root,
            systemd=(root / "run/systemd/system").is_dir(),
            dpkg=(root / "var/lib/dpkg/status").is_file() and shutil.which("dpkg-divert") is not None,
        )

    @classmethod
    def self_contained(cls, location: Path) -> FrontEnd:
        """Return the front-end below ONE_LOCATION; everything belongs to the owner of that folder."""
        if not location.is_absolute() or not (location / "etc/oned.conf").is_file():
            raise InstallError(f"ONE_LOCATION={location}: {location / 'etc/oned.conf'} not found")
        found = location.stat()
        owner = Owner(found.st_uid, found.st_gid)
        return cls(Paths.self_contained(location), code=owner, shared=owner, service=owner)

    def require_rights(self) -> None:
        """Raise InstallError unless this process may install here."""
        if os.geteuid() in (0, self.code.uid):
            if self.code != self.service:  # else root runs nothing there: it gave itself up before
                self._require_private_code()
            return
        if self.system is not None:
            raise InstallError("OpenNebula came as a package here: run this as root (sudo ./install.sh)")
        owner = pwd.getpwuid(self.code.uid).pw_name
        raise InstallError(f"{self.paths.location} belongs to {owner}: run this as {owner}")

    def _require_private_code(self) -> None:
        """Raise InstallError where another account may change the folders of programs that root runs."""
        for folder in (self.paths.lib, self.paths.bin):
            if self.files.controller(folder / "-") is not None:
                raise InstallError(
                    f"{folder}: {name_of(self.service.uid)} may change it or a folder above; root runs"
                    " programs there: chown root it, and chmod go-w"
                )

    @property
    def files(self) -> SafeFiles:
        """Operations on files that root may use here."""
        return SafeFiles(self.service)

    def become_owner(self) -> None:
        """Switch root to the owner of ONE_LOCATION for good: everything below it is that account's."""
        if self.system is None:
            become(self.code.uid, self.code.gid)

    def become_service(self) -> None:
        """Switch root to the account that OpenNebula runs as, for good."""
        become(self.service.uid, self.service.gid)

    def as_service(self) -> AbstractContextManager[None]:
        """Act as OpenNebula's account inside the block, for files and connections that it controls."""
        return acting_as(self.service.uid, self.service.gid)


def _there(file: Path) -> bool:
    """Whether a file is there, as far as this user may know."""
    try:
        return file.is_file()
    except PermissionError:
        return True


def _account() -> Owner:
    try:
        return Owner(pwd.getpwnam(ACCOUNT).pw_uid, grp.getgrnam(ACCOUNT).gr_gid)
    except KeyError:
        raise InstallError(
            f"user or group {ACCOUNT} not found: is OpenNebula completely installed?"
        ) from None

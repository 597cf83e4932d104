"""The self-contained installation below ONE_LOCATION, made from nothing; what people write there is kept."""

import os
import secrets
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from sandbox.programs import ONEHOST, ONEUSER, SSH


@dataclass
class Layout:
    """The places below ONE_LOCATION; `endpoint` is known when the server listens."""

    location: Path
    endpoint: str = ""
    password: str = ""

    @property
    def etc(self) -> Path:
        """Return the folder of the configuration."""
        return self.location / "etc"

    @property
    def var(self) -> Path:
        """Return oneadmin's home."""
        return self.location / "var"

    @property
    def bin(self) -> Path:
        """Return the folder of commands."""
        return self.location / "bin"

    @property
    def remotes(self) -> Path:
        """Return what `onehost sync` would copy."""
        return self.var / "remotes"

    @property
    def oned_conf(self) -> Path:
        """Return oned's configuration."""
        return self.etc / "oned.conf"

    @property
    def one_auth(self) -> Path:
        """Return oneadmin's session."""
        return self.var / ".one/one_auth"

    @property
    def one_endpoint(self) -> Path:
        """Return the file where OpenNebula's clients look for the endpoint."""
        return self.var / ".one/one_endpoint"

    @property
    def log(self) -> Path:
        """Return oned.log."""
        return self.var / "oned.log"

    @property
    def ssh_config(self) -> Path:
        """Return the ssh configuration by which node names lead to the sandbox."""
        return self.location / "ssh_config"

    @property
    def session(self) -> str:
        """Return oneadmin's session."""
        return f"oneadmin:{self.password}"

    def make(self, port: int, endpoint: str, version: str) -> None:
        """Make what is not there yet; a second start keeps password and configuration."""
        self.endpoint = endpoint
        for folder in ("hooks", "auth", "vmm/kvm", "vmm/dummy", "im", "tm", "datastore"):
            (self.remotes / folder).mkdir(parents=True, exist_ok=True)
        for path in (self.etc, self.bin, self.one_auth.parent, self.location / "lib"):
            path.mkdir(parents=True, exist_ok=True)
        shipped = (Path(__file__).parent / "oned.conf").read_text(encoding="utf-8")
        self._write_once(self.oned_conf, shipped.replace("PORT = 2633", f"PORT = {port}"), 0o640)
        self._write_once(self.one_auth, f"oneadmin:{secrets.token_hex(16)}\n", 0o600)
        self.password = self.one_auth.read_text().strip().partition(":")[2]
        self.one_endpoint.write_text(endpoint + "\n")
        self._write_once(self.remotes / "VERSION", version + "\n", 0o644)
        self._write_once(self.remotes / "vmm/kvm/migrate", "#!/bin/sh\nexit 0\n", 0o755)
        self._write_once(self.ssh_config, "", 0o644)
        self._write_once(self.bin / "ssh", SSH.format(ssh=_ssh(), config=self.ssh_config), 0o755)
        self._write_once(self.bin / "onehost", ONEHOST.format(remotes=self.remotes, bin=self.bin), 0o755)
        self._write_once(self.bin / "oneuser", ONEUSER, 0o755)

    def _write_once(self, path: Path, text: str, mode: int) -> None:
        if path.exists():
            return
        path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def env(self) -> dict[str, str]:
        """Return the environment in which clients on this machine find the sandbox."""
        return {
            "ONE_LOCATION": str(self.location),
            "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.one_auth),
            "HOME": str(self.var),
            "PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }


def _ssh() -> str:
    return shutil.which("ssh") or "/usr/bin/ssh"

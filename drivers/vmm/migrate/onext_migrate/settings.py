"""The administrator's settings: onext-migrate.conf, the map of hosts to clusters, and the node's kvmrc.

The files are written like kvmrc (KEY="VALUE", one to a line) and are read, never executed.
"""

import os
import re
import shlex
from typing import Callable, Dict, NamedTuple, Set, Tuple

from . import virsh_options
from .errors import BadInputError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z")
LONGEST = 1_000_000  # characters of a file: a map of 10,000 hosts takes a third of that
Exceptions = Tuple[Tuple[str, str, str], ...]


class Settings(NamedTuple):
    """onext-migrate.conf, checked. Times in seconds, bandwidth in MiB/s; 0 switches an option off."""

    tunnel: str = "always"
    exceptions: Exceptions = ()
    require: bool = False
    encrypt: bool = False
    on_failure: str = "direct"
    datapath: str = "auto"
    underlay: str = "auto"
    kernel_port: int = 4790
    ovs_port: int = 4789
    wireguard_port: int = 51871
    no_progress: int = 60
    dead_tunnel: int = 15
    tls: bool = False
    auto_converge: bool = False
    bandwidth: int = 0
    parallel: int = 0
    postcopy_after: int = 0
    remotes: str = "/var/tmp/one"  # noqa: S108 (OpenNebula's folder) oned.conf's SCRIPTS_REMOTE_DIR

    @property
    def refuse(self) -> bool:
        """Tell whether a migration without its tunnel is refused."""
        return self.require or self.on_failure == "refuse"

    @property
    def guarded(self) -> bool:
        """Tell whether a migration beside its tunnel is ended."""
        return self.refuse or self.encrypt


def parse(content: str, origin: str = "onext-migrate.conf") -> Settings:
    """Return the settings of a file's text; raise BadInputError naming the first wrong line."""
    values: Dict[str, object] = {}
    for key, value in assignments(content, origin, strict=True).items():
        if key not in _KEYS:
            known = ", ".join(sorted(_KEYS))
            raise BadInputError(f"{origin}: {key} is not a setting (known: {known})")
        name, reader = _KEYS[key]
        try:
            values[name] = reader(value)
        except ValueError as error:
            raise BadInputError(f'{origin}: {key}="{value}": {error}') from error
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.parallel and settings.postcopy_after:
        raise BadInputError(
            f"{origin}: PARALLEL and POSTCOPY_AFTER together lose the VM: set one of them to 0"
        )
    if settings.encrypt and not settings.tls and settings.datapath in ("ovs", "kernel"):
        raise BadInputError(
            f'{origin}: REQUIRE_ENCRYPTION needs DATAPATH="auto" or "wireguard", or TLS="YES":'
            f" {settings.datapath} does not encrypt"
        )
    return settings


def load(folder: str) -> Settings:
    """Return the settings of the folder etc/vmm/kvm; the defaults where the file is not there."""
    return parse(text(folder))


def text(folder: str) -> str:
    """Return onext-migrate.conf's text, "" without the file; raise BadInputError when it cannot be read."""
    return read(os.path.join(folder, "onext-migrate.conf"))


def clusters(folder: str) -> Dict[str, str]:
    """Return host -> cluster id from the file that `onext tunnel sync` writes ("HOST ID" lines)."""
    found = {}
    for line in read(os.path.join(folder, "onext-clusters.conf")).splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2:
            found[words[0]] = words[1]
    return found


def kvmrc(folder: str) -> Dict[str, str]:
    """Return what the node's kvmrc sets, as OpenNebula's own drivers read it."""
    return assignments(read(os.path.join(folder, "kvmrc")), "kvmrc", strict=False)


def assignments(content: str, origin: str, strict: bool) -> Dict[str, str]:
    """Return the KEY=VALUE lines of a shell-like file; `strict` refuses every other line."""
    found = {}
    for number, line in enumerate(map(str.strip, content.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        try:
            words = shlex.split(match.group(2), comments=True) if match else []
        except ValueError:
            words, match = [], None
        if match:
            found[match.group(1)] = " ".join(words)
        elif strict:
            raise BadInputError(f'{origin}, line {number}: expected KEY="VALUE", found {line!r}')
    return found


def wishes(settings: Settings) -> virsh_options.Wishes:
    """Return what the settings ask `virsh migrate` for."""
    return virsh_options.Wishes(
        settings.auto_converge,
        settings.bandwidth,
        settings.parallel,
        bool(settings.postcopy_after),
        settings.tls,
    )


def postcopy_after(settings: Settings, present: str) -> int:
    """Return after how many seconds post-copy is started, 0 for never: kvmrc may have its own time-out."""
    return 0 if "--timeout" in _names(present) else settings.postcopy_after


def _names(options: str) -> Set[str]:
    return {word.partition("=")[0] for word in options.split()}


def read(path: str) -> str:
    """Return a file's text, "" where it is not there; raise BadInputError when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = file.read(LONGEST + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}") from error
    if len(found) > LONGEST:
        raise BadInputError(f"{path}: longer than {LONGEST} characters")
    return found


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in allowed:
            known = ", ".join(allowed)
            raise ValueError(f"one of {known} is expected")
        return value

    return read


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not (re.match(r"[0-9]{1,9}\Z", value) and least <= int(value) <= most):
            raise ValueError(f"not an integer from {least} to {most}")
        return int(value)

    return read


def _yes_no(value: str) -> bool:
    if value.upper() not in ("YES", "NO"):
        raise ValueError("YES or NO is expected")
    return value.upper() == "YES"


def _folder(value: str) -> str:
    if not re.match(r"/[A-Za-z0-9._/-]+\Z", value):
        raise ValueError("an absolute path is expected")
    return value


def _exceptions(value: str) -> Exceptions:
    found = []
    for word in value.split():
        match = re.match(r"([A-Za-z0-9.*_-]+),([A-Za-z0-9.*_-]+)=(always|never)\Z", word)
        if not match:
            raise ValueError(f"{word!r}: HOST,HOST=always or HOST,HOST=never is expected (* for any host)")
        found.append((match.group(1), match.group(2), match.group(3)))
    return tuple(found)


_KEYS: Dict[str, Tuple[str, Callable[[str], object]]] = {
    "TUNNEL": ("tunnel", _one_of("always", "between-clusters", "never")),
    "TUNNEL_EXCEPTIONS": ("exceptions", _exceptions),
    "REQUIRE_TUNNEL": ("require", _yes_no),
    "REQUIRE_ENCRYPTION": ("encrypt", _yes_no),
    "ON_TUNNEL_FAILURE": ("on_failure", _one_of("direct", "refuse")),
    "DATAPATH": ("datapath", _one_of("auto", "ovs", "kernel", "wireguard")),
    "UNDERLAY": ("underlay", _one_of("auto", "ipv4", "ipv6")),
    "KERNEL_PORT": ("kernel_port", _number(1, 65535)),
    "OVS_PORT": ("ovs_port", _number(1, 65535)),
    "WIREGUARD_PORT": ("wireguard_port", _number(1, 65528)),
    "NO_PROGRESS": ("no_progress", _number(5, 86400)),
    "DEAD_TUNNEL": ("dead_tunnel", _number(3, 3600)),
    "TLS": ("tls", _yes_no),
    "AUTO_CONVERGE": ("auto_converge", _yes_no),
    "BANDWIDTH": ("bandwidth", _number(0, 1000000)),
    "PARALLEL": ("parallel", _number(0, 64)),
    "POSTCOPY_AFTER": ("postcopy_after", _number(0, 86400)),
    "SCRIPTS_REMOTE_DIR": ("remotes", _folder),
}

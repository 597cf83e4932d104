"""`bmc.yaml`: one entry per host id, in a file that few may read; read whole, checked whole.

No message contains a value of the file, because a wrong one may be a password.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml.comments import CommentedMap

from onext import yaml_text
from onext.hosts.bmc.controller import Controller
from onext.hosts.bmc.entry import Entry, Suspend
from onext.hosts.bmc.errors import ConfigChanged, ConfigError, NotConfigured, UnsafeFile
from onext.hosts.bmc.protocol import Bmc
from onext.hosts.bmc.wake_on_lan import SuspendedHost

Version = tuple[int, ...]  # of a file: device, inode, size, times of change; empty of one that is missing
_NO_FILE: Version = ()
_LARGEST = 4_000_000  # bytes: 10,000 entries
_TOO_WIDE = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_KINDS = ("ipmi", "redfish", "suspend", "agent")  # pydantic names them after the host
_ENTRIES: TypeAdapter[dict[int, Entry]] = TypeAdapter(dict[int, Entry])


@dataclass(frozen=True)
class BmcConfig:
    """The entries of bmc.yaml by host id."""

    file: Path
    entries: Mapping[int, Entry] = field(default_factory=dict)
    version: Version | None = None  # None: not read from a file, so that no change of it counts

    @classmethod
    def load(cls, file: Path) -> BmcConfig:
        """Read bmc.yaml, an empty one when it is missing; raise UnsafeFile or ConfigError."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return cls(file, version=_NO_FILE)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(stream.fileno())
            _refuse_unsafe(file, found)
            if found.st_size > _LARGEST:
                raise ConfigError(f"{file}: larger than {_LARGEST} bytes")
            entries, complaints = _parse(stream.read(_LARGEST))
        if complaints:  # outside of any except: the library's errors hold parts of the file
            raise ConfigError("\n".join(f"{file}:{line}" for line in complaints))
        return cls(file, entries, _version(found))

    def __contains__(self, host: int) -> bool:
        return host in self.entries

    def bmc(self, host: int, *, timeout: float = 8.0, ssh_config: Path | None = None) -> Bmc:
        """Return a host's BMC, whose calls end within `timeout` seconds; raise NotConfigured.

        `ssh_config` is for hosts that are suspended.
        """
        if host not in self.entries:
            raise NotConfigured(f"host {host} has no entry in {self.file}")
        entry = self.entries[host]
        kind = SuspendedHost if isinstance(entry, Suspend) else Controller
        return kind(host, entry, timeout, ssh_config, lambda: self.unchanged(host))  # type: ignore[arg-type]

    def unchanged(self, host: int) -> None:
        """Raise ConfigChanged when the file has another entry for this host by now, or cannot be read.

        An action that began with one BMC must not be judged by another one.
        """
        if self.version is None or self.version == _current(self.file):
            return
        try:
            now = BmcConfig.load(self.file)
        except ConfigError as error:
            raise ConfigChanged(f"{self.file} changed meanwhile and cannot be used: {error}") from error
        if now.entries.get(host) != self.entries.get(host):
            raise ConfigChanged(
                f"{self.file}: the entry of host {host} changed meanwhile: repeat the command"
            )

    def fingerprint(self, host: int) -> str:
        """Return a short text that is another one when the host's entry names another BMC or machine.

        For records of actions that outlive a round; it holds no secret. Empty without an entry.
        """
        if host not in self.entries:
            return ""
        entry = self.entries[host]
        marks = (*entry.place, getattr(entry, "uuid", None), getattr(entry, "serial", None))
        return hashlib.sha256(repr(tuple(map(str, marks))).encode()).hexdigest()[:16]


def _version(found: os.stat_result) -> Version:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _current(file: Path) -> Version:
    try:
        return _version(file.stat())
    except OSError:
        return _NO_FILE


def _refuse_unsafe(file: Path, found: os.stat_result) -> None:
    """Refuse what others may read or write, another owner, and what `onehost sync` copies."""
    if not stat.S_ISREG(found.st_mode) or found.st_mode & _TOO_WIDE:
        mode = stat.S_IMODE(found.st_mode)
        raise UnsafeFile(f"{file}: mode {mode:04o} is wider than 0640: chmod 0640 {file}")
    if found.st_uid not in {0, os.geteuid(), file.parent.stat().st_uid}:
        raise UnsafeFile(f"{file}: belongs to user {found.st_uid}: chown root:oneadmin {file}")
    if "remotes" in {*file.absolute().parent.parts, *file.resolve().parent.parts}:
        raise UnsafeFile(f"{file}: is below remotes/, which is copied to every node: move it to etc")


def _parse(data: bytes) -> tuple[Mapping[int, Entry], list[str]]:
    """Return the entries, or `line: complaint` for each thing that is wrong."""
    try:
        document = yaml_text.load(data.decode()) or {}
    except UnicodeDecodeError:
        return {}, ["1: not UTF-8"]
    except yaml_text.InvalidYaml as error:
        hint = " (a password with special characters needs quotes)" if "not YAML" in error.reason else ""
        return {}, [f"{error}{hint}"]
    try:
        entries = _ENTRIES.validate_python(document)
    except ValidationError as error:
        return {}, list(_complaints(document, error))
    return entries, list(_twins(document, entries))


def _complaints(document: object, error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        loc = found["loc"]
        where = [key for n, key in enumerate(loc) if key != "[key]" and not (n == 1 and key in _KINDS)]
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "string_type":
            message = "text was expected: put it in quotes"
        elif found["type"] == "extra_forbidden":
            message = "unknown key"
        elif found["type"].startswith("union_tag"):
            message = "kind: ipmi, redfish, suspend or agent was expected"
        yield f"{_line(document, where)}: {'.'.join(map(str, where))}: {message}"


def _twins(document: object, entries: Mapping[int, Entry]) -> Iterator[str]:
    """Find two hosts with one machine: an order for one would switch the other."""
    seen: dict[object, int] = {}
    for host, entry in entries.items():
        for mark in {entry.place, getattr(entry, "uuid", None), getattr(entry, "serial", None)} - {None}:
            other = seen.setdefault(mark, host)
            if other != host:
                yield f"{_line(document, [host])}: {host}: names the same machine as {other}"
                break


def _line(document: object, where: list[int | str]) -> int:
    """Return the line of the innermost key of `where` that is in the document."""
    line = 1
    for key in where:
        if not isinstance(document, CommentedMap) or key not in document:
            break
        line = document.lc.key(key)[0] + 1
        document = document[key]
    return line

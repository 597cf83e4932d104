"""What `onext doctor`, `install.sh --check` and `onext biscuit check` check of biscuit logins."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from onext import zone
from onext.biscuit import keys, revocation
from onext.biscuit.errors import BiscuitError, ListUnusable
from onext.install import oned_conf
from onext.oned.client import Oned
from onext.part import Check, Context
from onext.paths import Paths
from onext.xml import Element

DRIVER = "auth/biscuit/authenticate"  # in remotes
RULES = "parts/drivers/auth/biscuit/decision.py"  # in the installed version
# What the installer writes into the driver may differ between servers; the rest may not.
_LOCAL = re.compile(rb"(?m)\A#!.*$|^SITE_PACKAGES = .*$|^REVOKED = .*$")


@dataclass(frozen=True)
class Here:
    """The state of one server, to be compared over ssh: digests, and problems of its oned.conf."""

    driver: str
    revoked: str
    entry: str


def findings(context: Context, *, local: bool = False) -> Iterator[Check]:
    """Yield the checks of this server and its users; unless `local`, of the zone's other servers too."""
    paths = context.paths
    yield from _files(paths)
    running, users = context.oned.document("system.config"), list(context.oned.document("userpool.info"))
    configured = (*_configuration(paths), *_running(running))
    yield from configured if any(map(_is_biscuit, users)) else map(_as_warning, configured)
    yield from _users(users)
    if not local:
        yield from _zone(paths, context.oned, running)


def here(paths: Paths) -> Here:
    """Return the state of this server."""
    return Here(_driver_digest(paths), _list_digest(paths), _entry_state(paths))


def _files(paths: Paths) -> Iterator[Check]:
    driver, listed = paths.remotes / DRIVER, paths.own_etc / revocation.FILE
    if os.access(driver, os.X_OK) and (paths.current / RULES).is_file():
        yield Check("driver", "ok", str(driver))
    else:
        yield Check(
            "driver",
            "fail",
            f"{driver} or decision.py beside its version is missing or not executable",
            "./install.sh",
        )
    try:
        yield _list_mode(listed, f"{listed}: {len(set(revocation.read(listed)))} revoked")
    except ListUnusable as error:
        remedy = (
            f"correct that line in {listed}" if listed.is_file() else "./install.sh, then add its ids again"
        )
        yield Check("revocation list", "fail", str(error.message), remedy)


def _list_mode(listed: Path, message: str) -> Check:
    mode = listed.stat().st_mode
    if mode & stat.S_IWOTH:
        return Check(
            "revocation list", "fail", f"{listed}: every user can write to it", f"chmod o-w {listed}"
        )
    return Check("revocation list", "ok", message)


def _is_biscuit(user: Element) -> bool:
    return user.findtext("AUTH_DRIVER") == oned_conf.DRIVER


def _as_warning(found: Check) -> Check:
    """Make a failure a warning: without biscuit users it affects no login."""
    return replace(found, level="warn") if found.level == "fail" else found


def _configuration(paths: Paths) -> Iterator[Check]:
    state = _entry_state(paths)
    if state:
        yield Check("oned.conf", "fail", state, "./install.sh --configure, then restart oned")
    else:
        yield Check("oned.conf", "ok", "AUTHN and the AUTH_MAD_CONF entry are correct")


def _running(configuration: Element) -> Iterator[Check]:
    """Compare with what oned has in force: oned.conf may have changed after its start."""
    for entry in configuration.iterfind("AUTH_MAD_CONF"):
        if entry.findtext("NAME") == oned_conf.DRIVER:
            wrong = [key for key, value in oned_conf.WANTED.items() if entry.findtext(key) != value]
            if not wrong:
                return
            yield Check(
                "oned",
                "fail",
                f"oned runs with wrong values in its biscuit entry: {', '.join(wrong)}",
                "restart oned",
            )
            return
    message = "oned runs without an AUTH_MAD_CONF entry for biscuit"
    yield Check("oned", "fail", message, "./install.sh --configure, then restart oned")


def _users(pool: Iterable[Element]) -> Iterator[Check]:
    """Find biscuit users who can bypass the driver, and those whom it always refuses."""
    for user in pool:
        if not _is_biscuit(user):
            continue
        name = user.findtext("NAME", "")
        if user.find("LOGIN_TOKEN") is not None:
            yield Check(
                f"user {name}", "fail", "holds an oned login token, which bypasses the driver",
                f"oneuser token-delete-all {name}, or oneuser disable and enable",
            )  # fmt: skip
        if not _keys_are_good(user.findtext("PASSWORD", "")):
            yield Check(
                f"user {name}", "warn", "the stored key is not a public key: every login is refused",
                f"oneuser passwd {name} KEY",
            )  # fmt: skip


def _keys_are_good(stored: str) -> bool:
    try:
        return bool([keys.parse_stored(word) for word in stored.split(keys.SEPARATOR)])
    except ValueError:
        return False


def _zone(paths: Paths, oned: Oned, configuration: Element) -> Iterator[Check]:
    ours = asdict(here(paths))
    for server in zone.others(oned, configuration):
        answer = zone.ask(server, paths, ["biscuit", "check", "--local"])
        name = f"server {server.name}"
        if not answer.done:
            yield Check(name, "warn", f"not checked: {answer.text}", f"ssh {server.host}")
            continue
        yield _compared(name, ours, _parsed(answer.text))


def _compared(name: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Check:
    words = {"driver": "driver", "revoked": "revocation list", "entry": "oned.conf"}
    different = [word for key, word in words.items() if theirs.get(key) != ours[key]]
    if different:
        return Check(
            name,
            "fail",
            f"differs from this server: {', '.join(different)}",
            "install.sh there; onext biscuit revoke",
        )
    return Check(name, "ok", "driver, list and oned.conf are the same as here")


def _parsed(text: str) -> dict[str, str]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _driver_digest(paths: Paths) -> str:
    """Return a digest of the executable, without the lines that differ by server, and of its rules."""
    try:
        executable = _LOCAL.sub(b"", (paths.remotes / DRIVER).read_bytes())
        return hashlib.sha256(executable + (paths.current / RULES).read_bytes()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _list_digest(paths: Paths) -> str:
    """Return a digest of the ids, in whatever order they were added."""
    try:
        ids = sorted(set(revocation.read(paths.own_etc / revocation.FILE)))
    except ListUnusable as error:
        return f"unreadable: {error.message}"
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def _entry_state(paths: Paths) -> str:
    try:
        text = (paths.etc / "oned.conf").read_text(errors="surrogateescape")
        return "; ".join(oned_conf.problems(text))
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except (oned_conf.OnedConfError, BiscuitError) as error:
        return f"oned.conf: {error}"

"""Which hosts have the migrate driver of remotes/, and which an old one (`onehost sync` skips OFFLINE)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onext import atomic, process
from onext.part import Check, Context
from onext.tunnel import nodes, validation
from onext.tunnel.nodes import Reply

_PLACES = (
    "etc/vmm/kvm/onext-clusters.conf",
    "etc/vmm/kvm/onext-migrate.conf",
    "vmm/kvm/migrate",
    "vmm/kvm/onext_migrate",
)
_SEEN = "tunnel-drivers.json"  # in the state folder: the last answer of each host, for when it is OFFLINE
_TIMEOUT = 15.0  # seconds for one host
_SYNC_TIMEOUT = 1800.0  # for all
SYNC = "onehost sync --force"


@dataclass(frozen=True)
class Standing:
    """The KVM hosts by their driver; `offline` are those whose driver was old, or never seen."""

    current: Sequence[str]
    old: Sequence[str]
    offline: Sequence[str]
    silent: Sequence[Reply]
    problems: Sequence[tuple[str, str]] = ()  # what makes migrations from or to a host fail


def wanted(remotes: Path) -> str:
    """Return the digest of the driver and its settings below remotes/, as the driver's `list` tells it."""
    found = hashlib.sha256()
    for name in sorted(_files(remotes)):
        content = (remotes / name).read_bytes()
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def old(reply: Reply, want: str) -> bool:
    """Whether the host that answered has no driver, or another than the one in remotes/."""
    if reply.problem:
        return reply.problem.startswith(nodes.NO_DRIVER)
    return reply.answer.get("driver") != want


def look(context: Context) -> Standing:
    """Ask every host that is not OFFLINE; raise OnedError when oned does not answer and nothing is known."""
    known, _ = nodes.last_known(context)
    want = wanted(context.paths.remotes)
    replies = nodes.ask_all(context, [node for node in known if not node.offline], ["list"], _TIMEOUT)
    seen = remember(context, replies)
    told = [reply for reply in replies if not reply.problem or old(reply, want)]
    return Standing(
        [reply.node.name for reply in told if not old(reply, want)],
        [reply.node.name for reply in told if old(reply, want)],
        [node.name for node in known if node.offline and seen.get(node.name) != want],
        [reply for reply in replies if reply not in told],
        [(reply.node.name, one) for reply in replies for one in nodes.problems(reply)],
    )


def sync(context: Context) -> str:
    """Run `onehost sync --force` for all hosts and return its output.

    Raise InvalidSettingsError for an onext-migrate.conf that is invalid, and onext.process.CommandError.
    `onehost` refuses root: `onext tunnel` runs as OpenNebula's own user.
    """
    validation.require(context.paths.remotes)
    tool = context.paths.bin / "onehost"
    argv = [str(tool) if tool.exists() else "onehost", *SYNC.split()[1:]]
    done = process.run(argv, timeout=_SYNC_TIMEOUT, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def checks(context: Context) -> Iterator[Check]:
    """Return a line for each kind of host, for `onext doctor` and `install.sh --check`."""
    if not (context.paths.remotes / "vmm/kvm/onext_migrate").is_dir():
        return
    if invalid := validation.problem(context.paths.remotes):
        remedy = f"correct {context.paths.remotes / validation.CONF}, then {SYNC}"
        yield Check("settings", "fail", invalid, remedy)
    found = look(context)
    if found.old:
        yield Check("driver", "warn", f"old driver or settings on {_names(found.old)}", SYNC)
    if found.offline:
        message = f"OFFLINE, not checked, old as last seen or never seen: {_names(found.offline)}"
        yield Check("driver", "warn", message, f"{SYNC} when they are back (power does it by itself)")
    if found.silent:
        first = found.silent[0]
        message = f"not reached: {_names([reply.node.name for reply in found.silent])} ({first.problem})"
        yield Check("driver", "warn", message, f"ssh {first.node.name}; then {SYNC}")
    for name, problem in found.problems:
        yield Check("node", "fail", f"{name}: {problem}", f"onext tunnel list {name}")
    if found.current:
        yield Check("driver", "ok", f"the one of remotes/ on {len(found.current)} hosts")


def remember(context: Context, replies: Sequence[Reply]) -> Mapping[str, str]:
    """Keep the hosts' answers, and return them with earlier answers of other hosts."""
    file = context.paths.state / _SEEN
    try:
        seen: dict[str, str] = dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        seen = {}
    said = {reply.node.name: str(reply.answer.get("driver", "")) for reply in replies if not reply.problem}
    atomic.write(file, json.dumps({**seen, **said}).encode())
    return {**seen, **said}


def _files(remotes: Path) -> Iterator[str]:
    for place in _PLACES:
        path = remotes / place
        for file in [path, *path.rglob("*")]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(remotes))


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} {'host' if len(names) == 1 else 'hosts'}: {', '.join(names)}"

"""The nodes that may have tunnels, and one question to each of them over ssh."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from onext import atomic, process, ssh
from onext.oned.errors import OnedError
from onext.oned.objects import Host, HostState
from onext.part import Context
from onext.settings import SettingsError

_KNOWN = "tunnel-nodes.json"  # in the state folder: the nodes as last seen, for when oned is down
_REMOTE_DIR = re.compile(r"^\s*SCRIPTS_REMOTE_DIR\s*=\s*\"?([^\s\"#]+)", re.MULTILINE)
_NOT_SYNCED = 127  # the shell's exit code for a program that is not there
_AT_ONCE = 16
_MOST, _LONGEST = 8, 400  # problems of a node, characters of each
NO_DRIVER = "no driver there"  # how such a problem begins

Answer = dict[str, object]


@dataclass(frozen=True)
class Node:
    """A host that can hold an end of a tunnel."""

    name: str
    cluster: int
    offline: bool = False
    id: int = -1  # unknown where an earlier version remembered the node


@dataclass(frozen=True)
class Reply:
    """A node's answer, or why it is missing."""

    node: Node
    answer: Answer
    problem: str = ""


def of_hosts(hosts: Sequence[Host]) -> list[Node]:
    """Return the KVM hosts (those that never told their hypervisor included), by name."""
    kvm = [host for host in hosts if (host.text("HYPERVISOR") or "kvm") == "kvm"]
    found = [Node(host.name, host.cluster_id, host.state is HostState.OFFLINE, host.id) for host in kvm]
    return sorted(found, key=lambda node: node.name)


def current(context: Context) -> list[Node]:
    """Return the nodes as oned knows them, and remember them; raise OnedError."""
    nodes = of_hosts(context.oned.hosts())
    context.paths.state.mkdir(parents=True, exist_ok=True)
    rows = [[node.name, node.cluster, node.offline, node.id] for node in nodes]
    atomic.write(context.paths.state / _KNOWN, json.dumps(rows).encode())
    return nodes


def last_known(context: Context) -> tuple[list[Node], str]:
    """Return the nodes, from memory when oned does not answer, and why they are from memory."""
    try:
        return current(context), ""
    except (OnedError, SettingsError) as error:
        try:
            rows = json.loads((context.paths.state / _KNOWN).read_text())
        except (OSError, ValueError):
            raise error from None
        return [_node(*row) for row in rows], str(error)


def _node(name: object, cluster: int, offline: object, number: int = -1) -> Node:
    return Node(str(name), int(cluster), bool(offline), int(number))


def folder(context: Context) -> str:
    """Return where our program is on a node: oned.conf's SCRIPTS_REMOTE_DIR, /var/tmp/one by default."""
    try:
        text = (context.paths.etc / "oned.conf").read_text(errors="replace")
    except OSError:
        text = ""
    found = _REMOTE_DIR.search(text)
    return (found.group(1) if found else "/var/tmp/one").rstrip("/") + "/vmm/kvm/onext_migrate"  # noqa: S108


def ask(context: Context, node: Node, words: Sequence[str], timeout: float = 30.0) -> Reply:
    """Run one of the driver's node commands; whatever goes wrong is the reply's problem."""
    try:
        done = ssh.run(node.name, ["sh", folder(context) + "/run", *words], timeout=timeout, check=False)
    except (process.CommandError, ValueError) as error:
        return Reply(node, {}, str(error))
    if done.exit_code:
        return Reply(node, {}, reason(node, done.exit_code, done.stderr.decode("utf-8", "replace")))
    return read(node, done.stdout)


def ask_all(
    context: Context, nodes: Sequence[Node], words: Sequence[str], timeout: float = 30.0
) -> list[Reply]:
    """Ask several nodes at once; the replies come in the order of the nodes."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda node: ask(context, node, words, timeout), nodes))


def read(node: Node, stdout: bytes) -> Reply:
    """Read a node's answer: one JSON object, perhaps after output of its login scripts."""
    lines = stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        if isinstance(answer, dict):
            return Reply(node, answer)
    except (ValueError, IndexError):
        pass
    return Reply(node, {}, "an unknown answer: onehost sync --force " + node.name)


def problems(reply: Reply) -> list[str]:
    """Return what the node's driver reports about itself: invalid settings, a folder of another account."""
    found = reply.answer.get("problems")
    return [str(one)[:_LONGEST] for one in found[:_MOST]] if isinstance(found, list) else []


def reason(node: Node, exit_code: int, stderr: str) -> str:
    """Return why a node command failed."""
    said = stderr.strip().splitlines()[-1:] or [f"exit code {exit_code}"]
    if exit_code == _NOT_SYNCED or "No such file" in said[0] or "Can't open" in said[0]:
        return f"{NO_DRIVER}: onehost sync --force {node.name}"
    return re.sub(r"^ERROR: migrate: ", "", said[0])

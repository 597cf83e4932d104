"""Whether a node may join, decided without any effect: what is to be recorded, or why it is refused."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from hooks.edge.records import Node, State, Token
from hooks.edge.requests import Join

NO_HOST, ALLOCATING = -1, -2  # Node.host: none yet; its allocation was begun
_EVERY_MACHINE = re.compile(r"(?:.+\.)?localhost[46]?(?:\..+)?|ip6-.+|loopback|broadcasthost")


class Refused(Exception):
    """A request is refused; the node is told the reason."""


@dataclass(frozen=True)
class Admission:
    """What a join records: the token first, then the node."""

    number: int
    token: Token
    node: Node
    repeated: bool  # nothing is to be written
    replaces: str = ""  # the ssh key of the installation before


def admit(
    join: Join,
    identity: str,
    token: tuple[int, Token],
    nodes: Mapping[int, Node],
    taken: Collection[str],
    hosts: Mapping[str, int],
    *,
    reserved: Collection[str],
    free: int,
    most: int,
    now: float,
    session: str,
) -> Admission:
    """Decide on a join whose token has been verified; raise Refused.

    `taken` are keys that no node may have, `reserved` names of front-ends; `hosts` are OpenNebula's hosts,
    name to id; `free` is the number of a new node, which is below `most`.
    """
    number, allowed = token
    _check_token(allowed, join, identity, now)
    own = next(((n, node) for n, node in nodes.items() if node.identity == identity), None)
    if own is not None:
        return _again(join, allowed, *own)
    _check_name(join.name, reserved)
    _check_keys(join, identity, nodes.values(), taken)
    namesake = next(
        ((n, node) for n, node in nodes.items() if node.name == join.name and node.state.peer), None
    )
    used = replace(allowed, used=(*allowed.used, identity)) if identity not in allowed.used else allowed
    made = Node(
        join.name,
        allowed.cluster,
        State.JOINING,
        identity,
        join.wireguard,
        join.ssh_key,
        session,
        number,
        now,
        certified=now,
    )
    if namesake is None:
        if join.name in hosts:
            raise Refused(f"OpenNebula has a host {join.name} already, which did not join by a token")
        if free >= most:
            raise Refused(f"the address pool is used up: all {most} addresses were given, for good")
        return Admission(free, used, made, repeated=False)
    place, before = namesake
    if allowed.pattern != join.name or allowed.cluster != before.cluster or allowed.created <= before.joined:
        raise Refused(
            f"a node {join.name} is there already: to replace it, use a token made for it now"
            f" (--name {join.name} --cluster {before.cluster}), or revoke it first"
        )
    given_up = tuple(key for key in (*before.revoked_keys, before.ssh_key) if key != join.ssh_key)
    kept = replace(made, host=before.host, revoked_keys=given_up)
    return Admission(place, used, kept, repeated=False, replaces=before.ssh_key)


def _check_token(token: Token, join: Join, identity: str, now: float) -> None:
    if token.revoked:
        raise Refused("the token was revoked")
    if now > token.expires:
        raise Refused("the token has expired")
    if not fnmatch.fnmatchcase(join.name, token.pattern):
        raise Refused(f"the token is for hosts named {token.pattern}")
    if identity not in token.used and len(token.used) >= token.uses:
        raise Refused(f"the token was used {len(token.used)} of {token.uses} times: ask for another one")


def _again(join: Join, token: Token, number: int, node: Node) -> Admission:
    """Let the next attempt complete a join that was interrupted."""
    if not node.state.peer:
        raise Refused(f"this node is {node.state.value}: `onext-edge.pyz leave --force`, then join again")
    same = (node.name, node.wireguard, node.ssh_key) == (join.name, join.wireguard, join.ssh_key)
    if not same:
        raise Refused(f"this node joined with another name or other keys, as {node.name}: leave first")
    if token.cluster != node.cluster:
        raise Refused(
            f"this node is in cluster {node.cluster}, the token is for {token.cluster}: leave first"
        )
    return Admission(number, token, node, repeated=True)


def _check_name(name: str, reserved: Collection[str]) -> None:
    """Refuse names of other machines: nodes and oneadmin's ssh find this node by its name."""
    if name in reserved or _EVERY_MACHINE.fullmatch(name):
        raise Refused(f"no node can be named {name}, as front-ends or all machines are: join with --name")


def _check_keys(join: Join, identity: str, nodes: Collection[Node], taken: Collection[str]) -> None:
    """Refuse keys that another node has or had: a peer of WireGuard is its key.

    The ssh host key of a node that left, or that this machine replaces, may be its own: it had this name.
    """
    known = {*taken}
    for node in nodes:
        known |= {node.identity, node.wireguard, *node.revoked_keys}
        if node.name != join.name or node.state is State.REVOKED:
            known.add(node.ssh_key)
    if join.ssh_key in known:
        raise Refused(
            "this machine's ssh host key belongs to another node, or was revoked: make a new one"
            " (remove /etc/ssh/ssh_host_ed25519_key, run ssh-keygen -A, restart sshd), then join again"
        )
    if not known.isdisjoint({identity, join.wireguard}):
        raise Refused(
            "a key of this machine belongs to another node, or was revoked:"
            " remove *.key in /etc/onext-edge, then join again"
        )

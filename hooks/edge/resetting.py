"""`onext edge reset`: remove the records and this server's keys, so that `init` begins anew."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from hooks.edge import secrets, ssh_client
from hooks.edge.office import NotReady, publish
from hooks.edge.records import Book
from hooks.edge.secrets import Secrets, SecretsError
from onext.oned.documents import Documents
from onext.part import Context

_T = TypeVar("_T")
_FILES = (*secrets.ZONE, *secrets.FORMER, secrets.HUB, *ssh_client.CERTIFICATES)


@dataclass(frozen=True)
class Plan:
    """What a reset removes, and the hosts that it leaves in OpenNebula."""

    keys: tuple[str, ...]
    tokens: int
    nodes: int
    hosts: Mapping[str, int]  # name: id
    zone: bool

    def lines(self) -> list[str]:
        """Return the plan for a person."""
        counted = [f"remove the records of nodes ({self.nodes}) and tokens ({self.tokens})"]
        zone = ["remove the zone's record and those of its servers"] if self.zone else []
        return [
            *(counted if self.nodes or self.tokens else []),
            *zone,
            *(f"remove key {name}" for name in self.keys),
        ]


def plan(context: Context) -> Plan:
    """Return the keys and records to remove; raise an OnedError."""
    view, kept = Book.of(context.oned).view(), Secrets.of(context.paths)
    hosts = {node.name: node.host for node in view.valid.values() if node.host >= 0}
    keys = tuple(name for name in _FILES if kept.file(name).exists())
    return Plan(keys, len(view.tokens), len(view.nodes), hosts, bool(view.zones or view.servers))


def carry_out(context: Context) -> None:
    """Remove tokens first, so that nobody joins meanwhile, and keys last; may be repeated.

    Raises an OnedError or OSError.
    """
    book, kept = Book.of(context.oned), Secrets.of(context.paths)
    _clear(book.tokens)
    _clear(book.nodes)
    with contextlib.suppress(NotReady, SecretsError):  # the hub drops all nodes
        publish(context, book)
    _clear(book.servers)
    _clear(book.zones)
    for name in _FILES:
        kept.file(name).unlink(missing_ok=True)


def _clear(records: Documents[_T]) -> None:
    for number, stored in records.all().items():
        records.remove(number, stored.version)

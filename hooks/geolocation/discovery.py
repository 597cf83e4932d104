"""Which public addresses a host has: as reported over ssh, else those to which its name resolves."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass

from hooks.geolocation.addresses import Address, listed, parse, public
from onext import bounds, ssh
from onext.process import CommandError
from onext.settings.geolocation import Geolocation

LIST = ("ip", "--json", "address", "show")
_MOST = 16  # addresses in GEOLOCATION_IP
_LONGEST = 1024  # characters of it
LARGEST = 1_000_000  # bytes of `ip --json address show`: some 4,000 addresses


class NotFoundOut(Exception):
    """ssh or DNS did not answer: the addresses are unknown."""


@dataclass(frozen=True)
class Discovered:
    """Public addresses in order, and their source: `GEOLOCATION_IP`, `ssh` or `dns`."""

    source: str
    addresses: tuple[Address, ...]


Ask = Callable[[str], tuple[Address, ...]]


def discover(name: str, override: str, by_ssh: Ask, by_dns: Ask, *, has_value: bool) -> Discovered:
    """Return the public addresses of a host.

    The name is looked up only where ssh answered and listed no public address, or failed for a host
    that has no value yet. An empty result is certain: ssh and DNS both answered. Raises NotFoundOut.
    """
    if override.strip():
        return Discovered("GEOLOCATION_IP", overridden(override))
    try:
        addresses = by_ssh(name)
    except NotFoundOut as failure:
        if has_value:
            raise
        found = _by_name(name, by_dns, str(failure))
        if not found:
            raise NotFoundOut(f"{failure}; its name resolves to no public address") from failure
        return Discovered("dns", found)
    if addresses:
        return Discovered("ssh", addresses)
    return Discovered("dns", _by_name(name, by_dns, "the host has no public address itself"))


def _by_name(name: str, by_dns: Ask, before: str) -> tuple[Address, ...]:
    """Return what DNS answers; a failure also names what was found before it."""
    try:
        return by_dns(name)
    except NotFoundOut as error:
        raise NotFoundOut(f"{before}; {error}") from error


def overridden(text: str) -> tuple[Address, ...]:
    """Read GEOLOCATION_IP: addresses between commas or spaces; raise NotFoundOut."""
    words = [word for word in re.split(r"[,\s]+", text[:_LONGEST].strip()) if word]
    if len(text) > _LONGEST or len(words) > _MOST:
        raise NotFoundOut(f"GEOLOCATION_IP contains more than {_MOST} addresses or {_LONGEST} characters")
    try:
        return tuple(dict.fromkeys(map(parse, words)))
    except ValueError as error:
        raise NotFoundOut(f"GEOLOCATION_IP: {bounds.words(str(error), 100)}") from error


def ssh_asker(settings: Geolocation) -> Ask:
    """Return a function that asks the host over ssh."""

    def ask(name: str) -> tuple[Address, ...]:
        try:
            answer = ssh.run(
                name,
                LIST,
                timeout=settings.ssh_timeout,
                config=settings.ssh_config,
                max_output=LARGEST,
            )
            return listed(answer.stdout)
        except (ValueError, CommandError) as error:
            raise NotFoundOut(str(error)) from error

    return ask


def by_dns(name: str) -> tuple[Address, ...]:
    """Return the public addresses that a name resolves to; raise NotFoundOut."""
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotFoundOut(f"{name} does not resolve: {error}") from error
    found = (parse(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in answers)
    return tuple(dict.fromkeys(address for address in found if public(address)))

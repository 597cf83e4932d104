"""Why a BMC could not be queried or did not follow an order.

Each message states what to do and holds no credential.

The child process names the class of a failure and its parent raises it again: so the reason reaches people.
"""

from __future__ import annotations


class BmcError(Exception):
    """A BMC was not queried or did not follow; the message states the reason and what to do."""


class NotConfigured(BmcError):
    """The host has no entry in bmc.yaml."""


class ConfigError(BmcError):
    """bmc.yaml cannot be used at all; the message names file, line, key and what was expected."""


class UnsafeFile(ConfigError):
    """bmc.yaml can be read or written by too many, has an unexpected owner, or lies below remotes/."""


class ConfigChanged(ConfigError):
    """The host's entry in bmc.yaml changed while an action was under way: nothing was ordered."""


class Unreachable(BmcError):
    """The BMC could not be connected, or did not respond at all."""


class TimedOut(BmcError):
    """The BMC responds, but its answer was not complete in time; an order may have been followed."""


class TlsFailed(BmcError):
    """The TLS connection failed: no common version or cipher, or no TLS on this port."""


class WrongCertificate(BmcError):
    """The certificate is not the pinned one, or no trusted authority has signed it for this address."""


class WrongPassword(BmcError):
    """The BMC rejects this user and password."""


class MissingPrivilege(BmcError):
    """The BMC accepts the login and does not permit the account to do this."""


class WrongMachine(BmcError):
    """The BMC belongs to another machine than the entry names, or does not report its machine."""


class Refused(BmcError):
    """The BMC answered and refused."""


class InvalidAnswer(BmcError):
    """The BMC answered with something that cannot be understood."""


def kinds() -> dict[str, type[BmcError]]:
    """Return every class of failure by its name."""
    found: dict[str, type[BmcError]] = {}
    waiting: list[type[BmcError]] = [BmcError]
    while waiting:
        kind = waiting.pop()
        found[kind.__name__] = kind
        waiting += kind.__subclasses__()
    return found

"""Checks of scoped tokens: what a holder may do through a gateway, which vouches for each call.

`check if operation("vm:info"), resource("vm", 12) trusting ed25519/<gateway's key>`: one alternative for each
operation and object. docs/gateway.md lists the operations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from biscuit_auth import PublicKey

from onext.biscuit.errors import BadBlock

WHOLE = -1  # the id of a pool
_OPERATION = re.compile(r"[a-z]{1,20}:[a-z][a-z0-9_-]{0,39}")
_RESOURCE = re.compile(r"([a-z]{1,20})(?::(\d{1,9}))?")
_MOST = 200  # alternatives of one check


def check(operations: Sequence[str], resources: Sequence[str], key: PublicKey) -> str:
    """Return the datalog of a check; a resource is `vm:12`, or `vmpool` for a whole pool. Raises BadBlock."""
    if not operations or not resources:
        raise BadBlock("name at least one --operation and one object, such as --vm 12 or --resource vmpool")
    for operation in operations:
        if not _OPERATION.fullmatch(operation):
            raise BadBlock(f"{operation!r} is not an operation such as vm:info")
    facts = [_resource(text) for text in resources]
    if len(operations) * len(facts) > _MOST:
        raise BadBlock(f"more than {_MOST} combinations of operations and objects")
    return "check if " + " or ".join(
        f'operation("{operation}"), resource("{kind}", {number}) trusting {key!r}'
        for operation in operations
        for kind, number in facts
    )


def _resource(text: str) -> tuple[str, int]:
    found = _RESOURCE.fullmatch(text)
    if not found:
        raise BadBlock(f"{text!r} is neither an object such as vm:12 nor a pool such as vmpool")
    return found[1], WHOLE if found[2] is None else int(found[2])

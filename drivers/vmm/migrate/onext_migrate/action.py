"""What OpenNebula asks for: five arguments, and the action's XML on standard input, raw or in base64."""

import base64
import binascii
import re
from typing import NamedTuple, Pattern, Sequence, Tuple
from xml.etree import ElementTree

from .errors import BadInputError

# oned's host names and deploy ids are narrower still; nothing here can be an option, a path or a shell word
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}\Z")
_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,252}\Z")
ROOT = "VMM_DRIVER_ACTION_DATA"


class Action(NamedTuple):
    """One migration as it was asked for."""

    domain: str
    destination: str
    source: str
    arguments: Sequence[str]
    xml: bytes
    destination_cluster: str  # the CID of the last HISTORY, "" when the payload does not tell it
    shared: bool  # DATASTORE/TEMPLATE/SHARED: the disks stay where they are
    local: bool  # called on the front-end (base64): the work is the source hypervisor's


def read(arguments: Sequence[str], payload: bytes) -> Action:
    """Check everything that came from outside; raise BadInputError, which states what is wrong."""
    if len(arguments) < 3:
        raise BadInputError(
            f"arguments: deploy_id destination source [vm_id host] are expected, got {len(arguments)}"
        )
    domain, destination, source, *others = arguments
    _check("deploy id", domain, _DOMAIN)
    check_host("destination", destination)
    check_host("source", source)
    for word in others:
        check_host("argument", word)
    xml, local = _decode(payload)
    root = _parse(xml)
    return Action(
        domain,
        destination,
        source,
        tuple(arguments),
        xml,
        (root.findtext("./VM/HISTORY_RECORDS/HISTORY[last()]/CID") or "").strip(),
        (root.findtext("./DATASTORE/TEMPLATE/SHARED") or "").strip().upper() == "YES",
        local,
    )


def check_host(what: str, name: str) -> None:
    """Refuse what is not a host name; raise BadInputError."""
    _check(what, name, _HOST)


def _check(what: str, value: str, allowed: Pattern[str]) -> None:
    if not allowed.match(value):
        raise BadInputError(f"{what}: {value!r} is not a name that OpenNebula gives")


def _decode(payload: bytes) -> Tuple[bytes, bool]:
    stripped = payload.strip()
    if stripped.startswith(b"<"):
        return stripped, False
    try:
        return base64.b64decode(stripped, validate=True), True
    except binascii.Error as error:
        raise BadInputError(f"standard input is neither XML nor base64: {error}") from error


def _parse(xml: bytes) -> ElementTree.Element:
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise BadInputError("standard input: XML with a DOCTYPE or entities is refused")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise BadInputError(f"standard input: the action's XML is cut or broken: {error}") from error
    if root.tag != ROOT:
        raise BadInputError(f"standard input: <{root.tag}> where <{ROOT}> is expected")
    return root

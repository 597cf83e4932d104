"""What oned's hook manager hands to a hook: base64 of `<HOST>`, `<VM>` or `<CALL_INFO>`.

On a hook's fast path: imports nothing but two modules written in C.
"""

import binascii
import pyexpat

LIMIT = 67_108_864  # bytes; a host with 1,000 VMs is 0.1 MB, oned's own limit of a message is 1 GiB

_DIRECT = ("ID", "NAME", "STATE", "LCM_STATE")
_PARAMETER = ("POSITION", "TYPE", "VALUE")
_RESOURCES = {"HOST": "host", "VM": "vm", "CALL_INFO": "call"}


class PayloadError(ValueError):
    """The payload is missing, cut, not base64, not XML or not of oned's form."""


class Event:
    """That an object changed: its kind (`host`, `vm`, `call`), its id and name, and its state where known.

    `state` and `lcm` are STATE and LCM_STATE as numbers, -1 and 0 where the payload has none. Of a call that
    names a VM as its first argument the kind is `vm`.
    """

    __slots__ = ("id", "lcm", "name", "resource", "state")

    def __init__(self, resource: str, number: int, name: str, state: int = -1, lcm: int = 0) -> None:
        self.resource = resource
        self.id = number
        self.name = name
        self.state = state
        self.lcm = lcm


def decode(encoded: bytes) -> bytes:
    """Return the XML in `encoded`: strict base64, as oned writes it, an end of line forgiven."""
    encoded = encoded.strip()
    if not encoded:
        raise PayloadError(
            "no payload: register the hook with ARGUMENTS = $TEMPLATE and ARGUMENTS_STDIN = yes"
        )
    if len(encoded) > LIMIT:
        raise PayloadError(f"the payload is larger than {LIMIT} bytes")
    if len(encoded) % 4:
        raise PayloadError(f"the payload is cut: {len(encoded)} characters are not complete base64")
    try:
        decoded = binascii.a2b_base64(encoded)
    except binascii.Error as error:
        raise PayloadError(f"the payload is not base64: {error}") from None
    if binascii.b2a_base64(decoded, newline=False) != encoded:
        raise PayloadError("the payload has characters that base64 does not")
    return decoded


def event(encoded: bytes) -> Event:
    """Return the event in the payload; raise PayloadError with the reason."""
    reader = _Reader()
    try:
        reader.parser.Parse(decode(encoded), True)
    except pyexpat.ExpatError as error:
        raise PayloadError(f"the payload is not XML: {error}") from None
    return reader.event()


class _Reader:
    """Keeps the root's tag and those of its direct children that count, and refuses document types."""

    def __init__(self) -> None:
        self.parser = pyexpat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._root = ""
        self._kept: dict[str, str] = {}

    def event(self) -> Event:
        """Return the event after the whole document was read."""
        resource = _RESOURCES.get(self._root)
        if resource is None:
            raise PayloadError(f"the payload is a <{self._root[:40]}>, not a HOST, VM or CALL_INFO")
        number = self._kept.get("ID", "")
        if resource == "call":
            argument = self._kept.get("ARGUMENT", "").strip()
            return Event("vm", int(argument), "") if _number(argument) else Event(resource, 0, "")
        if not _number(number):
            raise PayloadError(f"the payload's ID is {number[:40]!r}, not a number")
        name = self._kept.get("NAME", "")
        if resource == "host" and not valid_host_name(name):
            raise PayloadError(f"host {number}: oned gives no host the name {name[:80]!r}")
        state, lcm = self._kept.get("STATE", ""), self._kept.get("LCM_STATE", "0")
        return Event(
            resource, int(number), name, int(state) if _number(state) else -1, int(lcm) if _number(lcm) else 0
        )

    def _start(self, tag: str, _attributes: object) -> None:
        self._path.append(tag)
        if len(self._path) == 1:
            self._root = tag
        wanted = len(self._path) == 2 and tag in _DIRECT
        if self._root == "CALL_INFO":
            wanted = len(self._path) == 4 and tag in _PARAMETER and self._path[2] == "PARAMETER"
        self.parser.CharacterDataHandler = self._text if wanted else None

    def _end(self, tag: str) -> None:
        self._path.pop()
        self.parser.CharacterDataHandler = None
        if tag == "PARAMETER":  # the session is the first argument of a call, the object's id the second
            position, kind, value = (self._kept.pop(name, "") for name in _PARAMETER)
            if (position, kind) == ("2", "IN"):
                self._kept["ARGUMENT"] = value

    def _text(self, text: str) -> None:
        tag = self._path[-1]
        self._kept[tag] = self._kept.get(tag, "") + text

    def _doctype(self, *_declaration: object) -> None:
        raise PayloadError("the payload has a DOCTYPE, which oned never sends")


def _number(text: str) -> bool:
    """Whether a text is a whole number of oned's: an id or a state."""
    return text.isascii() and text.isdigit() and len(text) < 10


def valid_host_name(name: str) -> bool:
    """Whether oned takes `name` for a host: hostname_is_valid in its HostPool.cc, in any release's length."""
    return (
        1 <= len(name) <= 128
        and name.isascii()
        and all(letter.isalnum() or letter in "-._" for letter in name)
        and name[0].isalnum()
        and name[-1].isalnum()
    )

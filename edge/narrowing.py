"""Add a block to a biscuit without a biscuit library: `check if node_key("…")`, and nothing else.

A token that is bound to this node's key before it is sent is worth nothing to whoever sees it on its way.
The format is that of the biscuit specification, version 3 (schema.proto, SPECIFICATION.md).
"""

import base64
import struct
from typing import Dict, List, Tuple, Union

from edge import ed25519
from edge.errors import InvalidToken

_FIRST_SYMBOL = 1024  # below it are the default symbols
_QUERY = 27  # of which one is "query"
_DATALOG = 3  # the version of a block that needs nothing newer
_ED25519 = 0
_Fields = Dict[int, List[Union[int, bytes]]]


def bind(token: str, predicate: str, value: str) -> str:
    """Return the token with the block `check if predicate(value)`; raise InvalidToken."""
    try:
        data = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        return base64.urlsafe_b64encode(_bound(data, [predicate, value])).decode()
    except (ValueError, IndexError, KeyError, TypeError):
        raise InvalidToken("the join token is cut, altered or sealed: copy the whole word") from None


def _bound(data: bytes, words: List[str]) -> bytes:
    fields = _read(data)
    signed = [bytes(item) for item in fields[2] + fields.get(3, [])]
    secret = bytes(_read(bytes(fields[4][0]))[1][0])
    known = [text for block in signed for text in _symbols(block)]
    ids: List[int] = []
    added: List[str] = []
    for word in words:
        if word not in known:
            known.append(word)
            added.append(word)
        ids.append(_FIRST_SYMBOL + known.index(word))
    block = _block(ids, added)
    following = ed25519.generate()
    own = signed_block(block, secret, ed25519.public(following), _read(signed[-1]))
    kept = [_field(2, signed[0])] + [_field(3, item) for item in signed[1:]]
    head = [_field(1, item) for item in fields.get(1, [])]
    return b"".join(head + kept + [_field(3, own), _field(4, _field(1, following))])


def signed_block(block: bytes, secret: bytes, following: bytes, previous: _Fields) -> bytes:
    """Return a SignedBlock; its version is that of the block before, as verifiers demand."""
    version = int(previous.get(5, [0])[0])
    number = struct.pack("<I", _ED25519)
    if version == 0:
        signed = block + number + following
    else:
        signed = b"\0BLOCK\0\0VERSION\0" + struct.pack("<I", version) + b"\0PAYLOAD\0" + block
        signed += b"\0ALGORITHM\0" + number + b"\0NEXTKEY\0" + following
        signed += b"\0PREVSIG\0" + bytes(previous[3][0])
    key = _field(1, _ED25519) + _field(2, following)
    parts = [_field(1, block), _field(2, key), _field(3, ed25519.sign(secret, signed))]
    return b"".join(parts + ([_field(5, version)] if version else []))


def _block(ids: List[int], added: List[str]) -> bytes:
    predicate = _field(1, ids[0]) + _field(2, _field(3, ids[1]))
    rule = _field(1, _field(1, _QUERY)) + _field(2, predicate)
    return b"".join(
        [_field(1, word.encode()) for word in added] + [_field(3, _DATALOG), _field(6, _field(1, rule))]
    )


def _symbols(signed: bytes) -> List[str]:
    """Return the words of a block; one that a third party signed has a table of its own."""
    fields = _read(signed)
    if 4 in fields:
        return []
    return [bytes(word).decode() for word in _read(bytes(fields[1][0])).get(1, [])]


def _read(data: bytes) -> _Fields:
    """Return the fields of a protobuf message by number; raise ValueError for what is not one."""
    found: _Fields = {}
    at = 0
    value: Union[int, bytes]
    while at < len(data):
        key, at = _number(data, at)
        if key & 7 == 0:
            value, at = _number(data, at)
        elif key & 7 == 2:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field ends behind the token")
        else:
            raise ValueError("a field of unknown type")
        found.setdefault(key >> 3, []).append(value)
    return found


def _number(data: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number is too long")


def _field(number: int, value: Union[int, bytes]) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)

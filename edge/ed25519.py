"""Ed25519 (RFC 8032) for a few signatures a day: nodes have no library for it that can be relied upon.

Not in constant time: whoever measures this process is on the node already, where the key is a file.
"""

import hashlib
import os
from typing import Tuple

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = Tuple[int, int, int, int]  # extended coordinates X, Y, Z, T


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(number: int, point: _Point) -> _Point:
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = _add(result, point)
        point = _add(point, point)
        number >>= 1
    return result


def _recover(y: int, sign: int) -> int:
    """Return the x of a point on the curve; raise ValueError where there is none."""
    if y >= _P:
        raise ValueError("not a point of the curve")
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        raise ValueError("not a point of the curve")
    return _P - x if x & 1 != sign else x


_Y = 4 * pow(5, _P - 2, _P) % _P
_X = _recover(_Y, 0)
_BASE = (_X, _Y, 1, _X * _Y % _P)


def _compress(point: _Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decompress(data: bytes) -> _Point:
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    x = _recover(y, number >> 255)
    return x, y, 1, x * y % _P


def _expand(secret: bytes) -> Tuple[int, bytes]:
    digest = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return scalar, digest[32:]


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % _L


def generate() -> bytes:
    """Return a new private key of 32 bytes."""
    return os.urandom(32)


def public(secret: bytes) -> bytes:
    """Return the public key of a private one, both of 32 bytes."""
    return _compress(_multiply(_expand(secret)[0], _BASE))


def sign(secret: bytes, message: bytes) -> bytes:
    """Return the signature of 64 bytes."""
    scalar, prefix = _expand(secret)
    own = _compress(_multiply(scalar, _BASE))
    once = _hash(prefix + message)
    point = _compress(_multiply(once, _BASE))
    return point + ((once + _hash(point + own + message) * scalar) % _L).to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is valid."""
    if len(key) != 32 or len(signature) != 64:
        return False
    number = int.from_bytes(signature[32:], "little")
    if number >= _L:
        return False
    try:
        own, point = _decompress(key), _decompress(signature[:32])
    except ValueError:
        return False
    left = _multiply(number, _BASE)
    right = _add(point, _multiply(_hash(signature[:32] + key + message), own))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % _P == 0

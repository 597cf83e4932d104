"""Tokens to begin with, and ways to damage them: bits, pieces, blocks, and blocks that are signed well."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair, PrivateKey
from hypothesis import strategies as st

from tests.fuzz import wire

USER = "dann1"
ROOT = KeyPair.from_private_key(PrivateKey("ed25519-private/" + "17" * 32))
P256 = KeyPair.from_private_key(PrivateKey("secp256r1-private/" + "19" * 32))
FOREIGN = KeyPair.from_private_key(PrivateKey("ed25519-private/" + "18" * 32))
AUTHORITIES = (
    'user("dann1")',
    'user("dann1"); check if time($t), $t < 2100-01-01T00:00:00Z',
    'user("dann1"); check if time($t), $t < 2020-01-01T00:00:00Z',
    'user("other"); group("dann1")',
    'role("dann1"); user($x) <- role($x)',
)
BLOCKS = (
    "check if true",
    "check if time($t), $t < 2100-01-01T00:00:00Z or false",
    'user("dann1"); f([1, {2, 3}, {"a": null}], hex:00ff, true, 2020-01-01T00:00:00Z)',
    'check all user($u), $u.starts_with("d") && $u.length() < 9 && !($u == "x" || $u.matches("^a*$"))',
    "n(1); n(2); n(3); m($a, $b) <- n($a), n($b), $a + $b * 2 - 1 > 0 trusting previous",
    "reject if [1, 2, 3].any($x -> $x / 0 == 1)",
)


@dataclass(frozen=True)
class Mutation:
    """One change: what is done, where (a fraction of the whole), and with which number."""

    kind: str
    where: int
    number: int


def corpus() -> list[bytes]:
    """Return tokens of every authority block, alone and attenuated, by our key and by a foreign one."""
    tokens: list[Biscuit] = []
    for root in (ROOT, P256, FOREIGN):
        for authority in AUTHORITIES:
            token = BiscuitBuilder(authority).build(root.private_key)
            tokens += [token, token.append(BlockBuilder(BLOCKS[0])).append(BlockBuilder(BLOCKS[1]))]
    signer = KeyPair()
    block = tokens[0].third_party_request().create_block(signer.private_key, BlockBuilder('user("dann1")'))
    tokens.append(tokens[0].append_third_party(signer.public_key, block))
    return [bytes(token.to_bytes()) for token in tokens]


CORPUS = corpus()
PAYLOADS = [
    wire.block_of(wire.take_apart(bytes(BiscuitBuilder(AUTHORITIES[0]).build(ROOT.private_key).append(BlockBuilder(block)).to_bytes()))[1].body)
    for block in BLOCKS
]  # fmt: skip


def apply(token: bytes, mutation: Mutation) -> bytes:
    """Return the token with one change; unchanged where the change has no place in it."""
    try:
        return KINDS[mutation.kind](token, mutation.where, mutation.number)
    except (ArithmeticError, IndexError, ValueError):
        return token  # an earlier change took away what this one needs


def mutations() -> st.SearchStrategy[Mutation]:
    """Return the strategy for one change."""
    return st.builds(
        Mutation, st.sampled_from(sorted(KINDS)), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
    )


def damage(data: bytes, where: int, number: int) -> bytes:
    """Return bytes with a few of them flipped, set, cut out, doubled or put in."""
    position = where * len(data) // 0x10000
    size, byte = number >> 8 & 7, bytes((number >> 16 & 255,))
    changed = (
        data[:position] + bytes((data[position] ^ 1 << size,)) + data[position + 1 :],
        data[:position] + byte + data[position + 1 :],
        data[:position] + data[position + size :],
        data[: position + size] + data[position:],
        data[:position] + byte * size + data[position:],
        data[:position] + data[position + 1 :] + data[position : position + 1],
        data[:position],
    )
    return changed[number % len(changed)]


def _splice(token: bytes, where: int, number: int) -> bytes:
    other = CORPUS[number % len(CORPUS)]
    return token[: where * len(token) // 0x10000] + other[where * len(other) // 0x10000 :]


def _drop(token: bytes, where: int, _number: int) -> bytes:
    fields = wire.take_apart(token)
    del fields[where % len(fields)]
    return wire.put_together(fields)


def _swap(token: bytes, where: int, number: int) -> bytes:
    fields = wire.take_apart(token)
    left, right = where % len(fields), number % len(fields)
    fields[left], fields[right] = fields[right], fields[left]
    return wire.put_together(fields)


def _repeat(token: bytes, where: int, number: int) -> bytes:
    fields = wire.take_apart(token)
    fields[number % len(fields) : 0] = [fields[where % len(fields)]]
    return wire.put_together(fields)


def _renumber(token: bytes, where: int, number: int) -> bytes:
    fields = wire.take_apart(token)
    fields[where % len(fields)] = fields[where % len(fields)]._replace(number=number % 6)
    return wire.put_together(fields)


def _foreign_part(token: bytes, where: int, number: int) -> bytes:
    """Put another token's authority, block or proof in the place of this one's."""
    fields, others = wire.take_apart(token), wire.take_apart(CORPUS[number % len(CORPUS)])
    fields[where % len(fields)] = others[where % len(others)]
    return wire.put_together(fields)


def _append(token: bytes, where: int, number: int) -> bytes:
    return wire.append(token, PAYLOADS[where % len(PAYLOADS)], _secret(where, number))


def _append_damaged(token: bytes, where: int, number: int) -> bytes:
    """Append a damaged block with a good signature: what the holder of a token can do."""
    payload = damage(PAYLOADS[number % len(PAYLOADS)], where, number)
    return wire.append(token, payload, _secret(where, number))


def _secret(where: int, number: int) -> bytes:
    return hashlib.sha256(f"{where} {number}".encode()).digest()


KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "append": _append,
    "append damaged": _append_damaged,
    "append damaged again": _append_damaged,
    "damage": damage,
    "drop": _drop,
    "foreign part": _foreign_part,
    "renumber": _renumber,
    "repeat": _repeat,
    "splice": _splice,
    "swap": _swap,
}


def steps(token: bytes, changes: Sequence[Mutation]) -> list[bytes]:
    """Return the token after each change alone, and after each two that follow one another."""
    single = [apply(token, change) for change in changes]
    following = [*changes[1:], *changes[:1]]
    return single + [apply(mutant, change) for mutant, change in zip(single, following, strict=True)]

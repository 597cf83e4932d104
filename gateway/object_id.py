"""Ids in paths, of bounded length: starlette's `int` fails where Python refuses to read the digits."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class _ObjectId(Convertor[int]):
    regex = "[0-9]{1,10}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


def register() -> None:
    """Let routes have `{name:id}`."""
    register_url_convertor("id", _ObjectId())

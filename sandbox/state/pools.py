"""Pools: objects by id and by name, in oned's order (API_LIST_ORDER = DESC)."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sandbox.errors import InternalError, NoExistsError
from sandbox.state.pool_object import LABELS, PoolObject

T = TypeVar("T", bound=PoolObject)

_FORBIDDEN = set("&|:\\\";/'#{}$<>\t\n\v\f\r")
_LONGEST = 128


def check_name(name: str, also: str = "") -> None:
    """Refuse a name as PoolObjectSQL::name_is_valid does."""
    if not name:
        raise InternalError("Invalid NAME, it cannot be empty")
    for letter in name:
        if letter in _FORBIDDEN or letter in also:
            raise InternalError(f"Invalid NAME, char '{letter}' is not allowed")
    if len(name) > _LONGEST:
        raise InternalError(f"Invalid NAME, max length is {_LONGEST} chars")


class Pool(Generic[T]):
    """All objects of one kind; ids are never given twice."""

    def __init__(self, kind: str, root: str, *, first: int = 0, unique: bool = True) -> None:
        self.kind = kind
        self.root = root
        self._next = first
        self._unique = unique
        self._things: dict[int, T] = {}
        self._names: dict[str, int] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._things.values()))

    def __len__(self) -> int:
        return len(self._things)

    def newest_first(self) -> list[T]:
        """Return the objects in the order of an answer."""
        return sorted(self._things.values(), key=lambda thing: thing.id, reverse=True)

    def add(self, thing: T) -> T:
        """Give the object its id, unless it brought one, and keep it."""
        if self._unique and (taken := self._names.get(thing.name)) is not None:
            raise InternalError(f"NAME is already taken by {self.kind} {taken}.")
        if thing.id < 0:
            thing.id = self._next
        self._next = max(self._next, thing.id + 1)
        self._things[thing.id] = thing
        self._names[thing.name] = thing.id
        return thing

    def find(self, oid: int) -> T | None:
        """Return the object, or nothing."""
        return self._things.get(oid)

    def get(self, oid: int) -> T:
        """Return the object; NoExistsError without one."""
        thing = self._things.get(oid)
        if thing is None:
            raise NoExistsError(LABELS[self.kind], oid)
        return thing

    def named(self, name: str) -> T | None:
        """Return the object of this name, or nothing."""
        oid = self._names.get(name)
        return None if oid is None else self._things.get(oid)

    def rename(self, thing: T, name: str) -> None:
        """Give the object another name."""
        check_name(name)
        if self._unique and name in self._names and self._names[name] != thing.id:
            raise InternalError(f"NAME is already taken by {self.kind} {self._names[name]}.")
        self._forget_name(thing)
        thing.name = name
        self._names[name] = thing.id
        thing.touch()

    def drop(self, thing: T) -> None:
        """Take the object out."""
        self._things.pop(thing.id, None)
        self._forget_name(thing)

    def _forget_name(self, thing: T) -> None:
        if self._names.get(thing.name) == thing.id:
            del self._names[thing.name]

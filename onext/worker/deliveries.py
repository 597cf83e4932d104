"""Which parts an event goes to, and which files of the spool are still needed for that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from onext import events
from onext.part import Key, Part
from onext.worker.inbox import Taken

POOL = "pool"


def whole(part: Part, key: Key) -> Key:
    """Return the key that a part takes instead of `key`: the same, or that of the whole pool."""
    return Key(part.name, POOL, 0) if part.whole_pool else key


def keys(item: Taken, parts: Iterable[Part]) -> list[Key]:
    """Return what is to be reconciled because of an event or a key."""
    here = {part.name: part for part in parts}
    if item.key is not None:
        return [whole(here[item.key.part], item.key)] if item.key.part in here else []
    concerned = events.parts(item.resource, item.state, item.lcm)
    return [whole(here[name], Key(name, item.resource, item.id)) for name in concerned if name in here]


@dataclass
class Deliveries:
    """The files that were taken, until every key that they caused is done."""

    _files: dict[Key, set[str]] = field(default_factory=dict)
    _keys: dict[str, set[Key]] = field(default_factory=dict)

    def add(self, file: str, caused: Collection[Key], in_work: Callable[[Key], bool]) -> bool:
        """Note a file; return whether it is needed.

        A key of a whole pool that waits already has a file that brings it back after a crash.
        """
        needed = {
            key for key in caused if key.resource != POOL or not self._files.get(key) or in_work(key)
        } | self._keys.get(file, set())
        for key in needed:
            self._files.setdefault(key, set()).add(file)
        if needed:
            self._keys[file] = needed
        return bool(needed)

    def answered(self, key: Key) -> list[str]:
        """Note that a key is done; return the files that no other key needs."""
        over = []
        for file in self._files.pop(key, set()):
            self._keys[file].discard(key)
            if not self._keys[file]:
                del self._keys[file]
                over.append(file)
        return over

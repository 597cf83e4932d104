"""Records that authorise something irreversible, as documents of oneadmin.

Managers of the host or the cluster can edit a template. A document of oneadmin with mode 600
cannot, and Raft replicates it to every front-end. A record is one document: `NAME = onext.<kind>.<number>`,
`TEMPLATE/VERSION` and the values. Documents of other users or with another mode are ignored.

`one.document.update` has no condition, so that a write takes the document's lock (`one.document.lock` with
`test`), compares the version, writes the next one, and unlocks. Of two documents with one name, which two
writers may create at the same time, the one with the lowest id counts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from onext import bounds, log
from onext.oned.client import Oned
from onext.oned.errors import NotFound, OnedError, Refused
from onext.oned.template import UnwritableValue, render
from onext.xml import Element

TYPE = 20_411  # OneFlow, OneGate and Sunstone use 100 to 103
OWNER = 0  # oneadmin
ADMIN_LOCK = 3  # refuses what needs ADMIN: a mutex that leaves MANAGE, which update needs
STALE_LOCK = 60.0  # seconds after which the lock of a writer that was killed is taken over
LATE = 15.0  # seconds from the lock to the write, after which the write is given up
TRIES, PAUSE = 20, 0.1
MOST_VALUES, LONGEST_VALUE, LARGEST = 64, 16_384, 65_536  # of one record; lengths in characters
UNREADABLE = -1  # the version of a record whose VERSION is not a number
_HIGHEST_ID, _HIGHEST_VERSION = 2_147_483_648, 1_000_000_000_000_000
_REPLACE = 0  # one.document.update: the whole template
_MODE_600 = (1, 1, 0, 0, 0, 0, 0, 0, 0)
_NAME = re.compile(r"onext\.([a-z]{1,16})\.(\d{1,9})")
_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_log = log.get("documents")

T = TypeVar("T")


class Conflict(OnedError):
    """Another writer was faster, or still holds the lock: read the record again before deciding anew."""


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of record: its name within document names, and how values become text and back.

    `decode` raises ValueError or KeyError for what it does not accept.
    """

    name: str
    encode: Callable[[T], Mapping[str, str]]
    decode: Callable[[Mapping[str, str]], T]


@dataclass(frozen=True)
class Stored(Generic[T]):
    """A record as it is in oned: `value` is None where it is invalid, and `problem` states why."""

    number: int
    document: int
    version: int
    value: T | None
    problem: str = ""


@dataclass
class Documents(Generic[T]):
    """The records of one kind, by number (the id of a host or a cluster)."""

    oned: Oned
    kind: Kind[T]
    now: Callable[[], float] = time.time
    _ids: dict[int, int] = field(default_factory=dict)

    def all(self, pool: Element | None = None) -> dict[int, Stored[T]]:
        """Return every record of this kind by number, with one call or out of a `pool` just read."""
        if pool is None:
            pool = read(self.oned)
        found: dict[int, Stored[T]] = {}
        for element in sorted(pool.iterfind("DOCUMENT"), key=_id):
            number = self._number(element)
            if number is not None and _authoritative(element):
                found.setdefault(number, self._stored(number, element))
        self._ids = {number: stored.document for number, stored in found.items()}
        return found

    def get(self, number: int) -> Stored[T] | None:
        """Return one record as it is now, None when it does not exist."""
        element = self._element(number)
        return None if element is None else self._stored(number, element)

    def put(self, number: int, value: T, version: int | None) -> Stored[T]:
        """Write a record that still has this version (None: that does not exist) and return it.

        Raises Conflict where it has another one, OnedError where oned did not take it.
        """
        text = self._rendered(number, value, _next(version))
        if version is None:
            return self._created(number, text)
        document = self._ids.get(number)
        if document is None and (stored := self.get(number)) is not None:
            document = stored.document
        if document is None:
            raise Conflict(f"record {self._name(number)} was removed by another writer")
        self._compare_and_set(number, document, version, text)
        return Stored(number, document, _next(version), value)

    def remove(self, number: int, version: int) -> None:
        """Delete a record that still has this version; raise Conflict where it has another one."""
        stored = self.get(number)
        if stored is None:
            return
        if stored.version != version:
            raise Conflict(f"record {self._name(number)} has version {stored.version}, expected {version}")
        self.oned.call("document.delete", stored.document)
        self._ids.pop(number, None)

    def _name(self, number: int) -> str:
        return f"onext.{self.kind.name}.{number}"

    def _number(self, element: Element) -> int | None:
        found = _NAME.fullmatch(element.findtext("NAME", ""))
        return int(found[2]) if found and found[1] == self.kind.name else None

    def _element(self, number: int) -> Element | None:
        document = self._ids.get(number)
        if document is None:
            stored = self.all().get(number)
            if stored is None:
                return None
            document = stored.document
        try:
            element = self.oned.document("document.info", document, False)
        except NotFound:
            self._ids.pop(number, None)
            return None
        return element if self._number(element) == number and _authoritative(element) else None

    def _stored(self, number: int, element: Element) -> Stored[T]:
        document, version = _id(element), _version(element)
        try:
            value = self.kind.decode(_values(element))
        except (ValueError, KeyError) as error:
            problem = f"record {self._name(number)} (document {document}) is invalid: {error}"
            return Stored(number, document, version, None, bounds.words(problem, 300))
        return Stored(number, document, version, value)

    def _rendered(self, number: int, value: T, version: int) -> str:
        values = {**self.kind.encode(value), "VERSION": str(version)}
        too_long = [key for key, text in values.items() if len(text) > LONGEST_VALUE]
        wrong = too_long or [key for key in values if not _KEY.fullmatch(key)]
        if wrong or len(values) > MOST_VALUES or sum(map(len, values.values())) > LARGEST:
            raise Refused(f"record {self._name(number)} is too large or has an invalid key: {wrong[:3]}")
        try:
            return render(values)
        except UnwritableValue as error:
            raise Refused(f"record {self._name(number)}: {error}") from error

    def _created(self, number: int, text: str) -> Stored[T]:
        name = self._name(number)
        if number in self.all():
            raise Conflict(f"record {name} was created by another writer")
        document = int(self.oned.call("document.allocate", f'NAME="{name}"\n{text}', TYPE))
        if not _authoritative(self.oned.document("document.info", document, False)):
            self.oned.call("document.chmod", document, *_MODE_600)
        stored = self.all().get(number)
        if stored is None or stored.document != document:
            self.oned.call("document.delete", document)
            raise Conflict(f"record {name} was created by another writer")
        return stored

    def _compare_and_set(self, number: int, document: int, version: int, text: str) -> None:
        name = self._name(number)
        began = time.monotonic()
        self._lock(name, document)
        try:
            stored = self.get(number)
            if stored is None or stored.version != version:
                seen = "none" if stored is None else stored.version
                raise Conflict(f"record {name} has version {seen}, expected {version}")
            if time.monotonic() - began > LATE:
                raise Conflict(f"record {name}: oned took more than {LATE:.0f} s, so it was not written")
            self.oned.call("document.update", document, text, _REPLACE)
        finally:
            self._unlock(document)

    def _lock(self, name: str, document: int) -> None:
        for _ in range(TRIES):
            try:
                self.oned.call("document.lock", document, ADMIN_LOCK, True)
            except NotFound:
                raise Conflict(f"record {name} was removed by another writer") from None
            except Refused:
                self._take_over(document)
            else:
                return
            time.sleep(PAUSE)
        raise Conflict(f"record {name} (document {document}) is locked by another writer")

    def _take_over(self, document: int) -> None:
        """Unlock what a writer that was killed left locked."""
        element = self.oned.document("document.info", document, False)
        since = bounds.number(element.findtext("LOCK/TIME"), 0, 1e12)
        if since is not None and abs(self.now() - since) > STALE_LOCK:
            _log.warning("document %d: its lock is %.0f s old and is removed", document, self.now() - since)
            self.oned.call("document.unlock", document)

    def _unlock(self, document: int) -> None:
        try:
            self.oned.call("document.unlock", document)
        except OnedError as error:  # the next writer takes a stale lock over
            _log.warning("document %d was not unlocked: %s", document, error)


def read(oned: Oned) -> Element:
    """Return the pool of all kinds of records, for those who need several kinds."""
    return oned.document("documentpool.info", OWNER, -1, -1, TYPE)


def _next(version: int | None) -> int:
    return 1 if version is None or version == UNREADABLE else version + 1


def _id(element: Element) -> int:
    found = bounds.whole(element.findtext("ID"), 0, _HIGHEST_ID)
    return -1 if found is None else found


def _authoritative(element: Element) -> bool:
    """Return whether only oneadmin can have written it: owner oneadmin, onext's type, mode 600."""
    bits = tuple(bit.text for bit in element.iterfind("PERMISSIONS/*"))
    return (
        element.findtext("UID") == str(OWNER)
        and element.findtext("TYPE") == str(TYPE)
        and bits == tuple(map(str, _MODE_600))
    )


def _version(element: Element) -> int:
    version = bounds.whole(element.findtext("TEMPLATE/VERSION"), 0, _HIGHEST_VERSION)
    return UNREADABLE if version is None else version


def _values(element: Element) -> dict[str, str]:
    """Return the scalars of a document's template; raise ValueError for what we never write."""
    values: dict[str, str] = {}
    for child in element.iterfind("TEMPLATE/*"):
        if len(child) or child.tag in values or len(child.text or "") > LONGEST_VALUE:
            raise ValueError(f"{bounds.words(child.tag, 40)} is repeated, nested or too long")
        values[child.tag] = child.text or ""
    if len(values) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values")
    return values

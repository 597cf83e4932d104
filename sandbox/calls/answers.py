"""What many calls do: find an object that the caller may use, list a pool, change a template."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from sandbox.errors import ApiError, AuthorizationError
from sandbox.frontend import FrontEnd
from sandbox.rpc.wire import Document
from sandbox.state.access import EVERYTHING, PRIMARY_GROUP, Caller
from sandbox.state.pool_object import PoolObject
from sandbox.state.pools import Pool

T = TypeVar("T", bound=PoolObject)


def the(
    front: FrontEnd, caller: Caller, pool: Pool[T], oid: int, right: int, *, despite_lock: bool = False
) -> T:
    """Return the object, if the caller has this right on it."""
    thing = pool.get(oid)
    front.world.access.demand(caller, right, pool.kind, thing, despite_lock=despite_lock)
    return thing


def admin(caller: Caller) -> None:
    """Refuse users who are not administrators."""
    if not caller.admin:
        raise AuthorizationError(f"User [{caller.uid}] : Not authorized to perform this action.")


def owned(thing: T, caller: Caller) -> T:
    """Make the caller the owner."""
    thing.uid, thing.gid, thing.uname, thing.gname = caller.uid, caller.gid, caller.name, caller.gname
    return thing


def info(thing: PoolObject) -> Document:
    """Return one object."""
    return Document(thing.chunks())


def listing(
    front: FrontEnd,
    caller: Caller,
    pool: Pool[T],
    whose: int = EVERYTHING,
    page: tuple[int, int] = (-1, -1),
    *,
    only: Callable[[T], bool] = lambda _: True,
) -> list[T]:
    """Return the objects of a pool that a call with these arguments shows, newest first.

    `page` is (first id, last id), or (offset, -number) of a page; a last id of -1 means no limit.
    """
    if whose < PRIMARY_GROUP:
        raise ApiError("Incorrect filter_flag")
    wanted = [thing for thing in pool.newest_first() if only(thing)]
    return paged(front.world.access.visible(caller, whose, wanted), page)


def paged(things: list[T], page: tuple[int, int]) -> list[T]:
    """Return the part of a list that the two range arguments mean (PoolSQL::oid_filter and LIMIT)."""
    start, end = page
    if end < -1:
        return things[max(start, 0) :][:-end]
    if start != -1:
        things = [thing for thing in things if thing.id >= start and (end == -1 or thing.id <= end)]
    return things


def document(root: str, things: Iterable[T], after: str = "") -> Document:
    """Return a pool's answer."""
    answer = Document.of(f"<{root}>")
    for thing in things:
        answer.extend(thing.chunks())
    answer.extend(Document.of(f"{after}</{root}>"))
    return answer


def change(front: FrontEnd, thing: PoolObject, source: str, mode: int) -> int:
    """Replace or merge a template, and return the object's id."""
    if mode not in (0, 1):
        raise ApiError("Wrong update type")
    front.update(thing, source, mode)
    return thing.id

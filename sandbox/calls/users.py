"""one.user.* and one.userpool.info."""

import hashlib
import secrets
import time

from sandbox import quotas
from sandbox.auth import NAME_FORBIDS
from sandbox.calls.answers import change, listing, the
from sandbox.errors import ActionError, ApiError, InternalError, NoExistsError
from sandbox.frontend import FrontEnd
from sandbox.markup import tag
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.people import EMPTY_QUOTAS, FOR_EVER, MOST_TOKENS, Login, User
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name

_USERS = 1
_LONGEST = {"ssh": 16384, "x509": 65536, "ldap": 256, "server_cipher": 4096, "core": 256}


def check_password(password: str, driver: str) -> None:
    """Refuse a stored password as User::pass_is_valid does: empty, too long for some drivers, white space."""
    if not password:
        raise InternalError("Invalid password, it cannot be empty.")
    longest = _LONGEST.get(driver)
    if longest and len(password) > longest:
        raise InternalError(
            "Password is longer than max allowed length. "
            f"Max allowed length for the driver {driver} : {longest} bytes."
        )
    for letter in password:
        if letter in " \t\n\v\f\r":
            raise InternalError(f"Invalid password, character '{letter}' is not allowed.")


def stored(password: str, driver: str) -> str:
    """Return what is kept of a password."""
    return hashlib.sha256(password.encode()).hexdigest() if driver == "core" else password


@call("one.user.allocate", "sss?a")
def allocate(
    front: FrontEnd, caller: Caller, name: str, password: str, driver: str, gids: list[int] | None = None
) -> int:
    """Create a user; the first group is the primary one."""
    front.world.access.demand(caller, CREATE, "USER", None)
    driver = driver or "core"
    check_password(password, driver)
    check_name(name, NAME_FORBIDS)
    groups = [front.world.groups.get(gid).id for gid in gids or [_USERS]]
    user = User(name=name, password=stored(password, driver), driver=driver)
    user.template.put("TOKEN_PASSWORD", secrets.token_hex(32))
    front.world.users.add(user)
    front.authentication.join(user, groups)
    return user.id


@call("one.user.info", "i?b", reads=True)
def user_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a user; -1 is the caller."""
    user = the(front, caller, front.world.users, caller.uid if oid == -1 else oid, USE)
    defaults = tag("DEFAULT_USER_QUOTAS", EMPTY_QUOTAS)
    return Document.of(user.xml(quotas.xml(front.world, user) + defaults))


@call("one.user.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a user's template; its user may."""
    user = the(front, caller, front.world.users, oid, MANAGE)
    if not caller.admin:
        taken = front.configuration.restricted("USER") & set(front.parse(source).attributes)
        if taken:
            raise InternalError(
                f"Cannot update template. User Template includes a restricted attribute {min(taken)}"
            )
    return change(front, user, source, mode)


@call("one.user.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a user."""
    user = the(front, caller, front.world.users, oid, ADMIN)
    if oid == 0:
        raise ActionError("oneadmin cannot be deleted.")
    for group in front.world.groups:
        group.members.discard(oid)
        group.touch()
    front.world.users.drop(user)
    return oid


@call("one.user.passwd", "is")
def passwd(front: FrontEnd, caller: Caller, oid: int, password: str) -> int:
    """Change a stored password; sessions and login tokens end."""
    user = the(front, caller, front.world.users, oid, MANAGE)
    if front.configuration.driver(user.driver, "PASSWORD_CHANGE", "NO").upper() != "YES" and not caller.admin:
        raise ActionError(f"Password for driver {user.driver} cannot be changed.")
    check_password(password, user.driver)
    _forget(user, stored(password, user.driver))
    return oid


@call("one.user.chauth", "iss")
def chauth(front: FrontEnd, caller: Caller, oid: int, driver: str, password: str) -> int:
    """Change a user's driver, and the password unless it is empty."""
    user = the(front, caller, front.world.users, oid, ADMIN)
    if password:
        check_password(password, driver)
    user.driver = driver
    _forget(user, stored(password, driver) if password else user.password)
    return oid


def _forget(user: User, password: str) -> None:
    user.password = password
    user.session = None
    user.logins.clear()
    user.touch()


@call("one.user.enable", "ib")
def enable(front: FrontEnd, caller: Caller, oid: int, on: bool) -> int:  # noqa: FBT001  as the call has it
    """Let a user in, or not; either forgets the cached session."""
    user = the(front, caller, front.world.users, oid, ADMIN)
    if oid == 0:
        raise ActionError("Cannot enable/disable oneadmin user")
    user.enabled, user.session = on, None
    user.touch()
    return oid


@call("one.user.login", "ssi?i")
def login(front: FrontEnd, caller: Caller, name: str, token: str, seconds: int, egid: int = -1) -> str:
    """Make a login token (seconds > 0, or -1 without an end), or end one or all (0)."""
    user = front.world.users.named(name)
    if user is None:
        raise NoExistsError("user", -1)
    front.world.access.demand(caller, MANAGE, "USER", user)
    longest = int(front.configuration.driver(user.driver, "MAX_TOKEN_TIME", "-1"))
    if longest == 0:
        user.logins.clear()
        user.touch()
        raise ActionError(f"Login tokens are disabled for driver {user.driver}")
    if longest > 0 and (seconds > longest or seconds == FOR_EVER):
        seconds = longest
    token = _end(user, token) if seconds == 0 else _begin(user, caller, token, seconds, egid)
    user.touch()
    return token


def _end(user: User, token: str) -> str:
    if not token:
        user.logins.clear()
    elif user.logins.pop(token, None) is None:
        raise ApiError(f"Could not find token: {token}")
    return token


def _begin(user: User, caller: Caller, token: str, seconds: int, egid: int) -> str:
    if seconds < FOR_EVER:
        raise ApiError("Wrong valid period for token")
    if egid != -1 and not caller.admin and egid not in user.groups & caller.groups:
        raise ApiError("EGID is not in user group list")
    for old in [old for old in user.logins.values() if not old.valid]:
        del user.logins[old.token]
    if len(user.logins) >= MOST_TOKENS:
        raise ApiError("Max number of tokens limit reached.")
    token = token or secrets.token_hex(32)
    until = FOR_EVER if seconds == FOR_EVER else int(time.time()) + seconds
    user.logins[token] = Login(token, until, egid)
    return token


@call("one.user.chgrp", "ii")
def chgrp(front: FrontEnd, caller: Caller, oid: int, gid: int) -> int:
    """Change a user's primary group."""
    user = the(front, caller, front.world.users, oid, MANAGE)
    the(front, caller, front.world.groups, gid, MANAGE)
    front.authentication.join(user, [gid, *sorted(user.groups - {gid, user.gid})])
    return oid


@call("one.user.addgroup", "ii")
def addgroup(front: FrontEnd, caller: Caller, oid: int, gid: int) -> int:
    """Make a user a member of one more group."""
    user = the(front, caller, front.world.users, oid, MANAGE)
    the(front, caller, front.world.groups, gid, MANAGE)
    if gid in user.groups:
        raise ActionError("User is already in this group")
    front.authentication.join(user, [user.gid, *sorted((user.groups | {gid}) - {user.gid})])
    return oid


@call("one.user.delgroup", "ii")
def delgroup(front: FrontEnd, caller: Caller, oid: int, gid: int) -> int:
    """Take a user out of a secondary group."""
    user = the(front, caller, front.world.users, oid, MANAGE)
    if gid == user.gid:
        raise ActionError("Cannot remove user from the primary group.")
    front.authentication.join(user, [user.gid, *sorted(user.groups - {gid, user.gid})])
    return oid


@call("one.userpool.info", reads=True)
def pool_info(front: FrontEnd, caller: Caller) -> Document:
    """Return all users that the caller may use."""
    users = listing(front, caller, front.world.users)
    listed = "".join(user.xml() + quotas.pooled_xml(front.world, user) for user in users)
    return Document.of(tag("USER_POOL", listed + tag("DEFAULT_USER_QUOTAS", EMPTY_QUOTAS)))


@call("one.user.quota", "is")
def quota(front: FrontEnd, caller: Caller, oid: int, source: str) -> int:
    """Set limits of a user."""
    the(front, caller, front.world.users, oid, ADMIN).quotas.set(front.parse(source))
    return oid

"""The auth manager: sessions, login tokens, and the installed drivers, as src/um/UserPool.cc works.

A driver is `remotes/auth/<name>/authenticate`, started without arguments, with the AUTHN document on standard
input. Of a user that oned knows only its exit code counts.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.configuration import Configuration
from sandbox.errors import AuthenticationError, InternalError
from sandbox.log import OnedLog
from sandbox.markup import escape
from sandbox.processes import Children, Completed
from sandbox.state.access import Caller
from sandbox.state.people import Group, Login, User
from sandbox.state.pools import Pool, check_name

SECONDS = 90  # that oned waits for a driver
NAME_FORBIDS = " :\t\n\v\f\r"
_FAILED = 255
_USERS = 1


class Authentication:
    """Turns a session (`user:secret`) into a caller, or raises AuthenticationError."""

    def __init__(
        self,
        *,
        remotes: Path,
        configuration: Configuration,
        env: Callable[[], dict[str, str]],
        log: OnedLog,
        children: Children,
        lock: threading.RLock,
        users: Pool[User],
        groups: Pool[Group],
        unknown_password: str,
    ) -> None:
        self._remotes, self._configuration, self._env, self._log = remotes, configuration, env, log
        self._unknown_password = unknown_password
        self._children, self._lock, self._users, self._groups = children, lock, users, groups
        self.session_seconds = configuration.number("SESSION_EXPIRATION_TIME", 900)

    def authenticate(self, session: str) -> Caller:
        """Return who this is. The driver runs outside of the lock: other calls continue meanwhile."""
        name, colon, token = session.partition(":")
        try:
            check_name(name, NAME_FORBIDS)
        except InternalError as error:
            self._log.write("E", "AuM", f"User is invalid, {error}")
            raise AuthenticationError from error
        if not colon:
            raise AuthenticationError
        with self._lock:
            user = self._users.named(name)
            known = user and self._known(user, token)
        if known:
            return known
        return self._external(name, token) if user is None else self._internal(user, token)

    def _known(self, user: User, token: str) -> Caller | None:
        if not user.enabled:
            self._log.write("E", "AuM", f"User {user.name} is disabled")
            raise AuthenticationError
        login = user.logins.get(token)
        if login and login.valid:
            return _caller(user, login.egid, self._groups)
        if login:
            del user.logins[token]
            user.touch()
            self._log.write("E", "AuM", "Token has expired.")
            raise AuthenticationError
        if user.session and user.session.token == token and user.session.valid:
            return _caller(user, -1, self._groups)
        return None

    def _internal(self, user: User, token: str) -> Caller:
        if user.driver == "core":
            if user.password != hashlib.sha256(token.encode()).hexdigest():
                raise AuthenticationError
        elif user.driver == "public":
            self._refuse(f"User: {user.name} attempted a direct authentication.")
        else:
            answer = self._drive(user.driver, user.name, user.password, token)
            if self._configuration.driver(user.driver, "DRIVER_MANAGED_GROUPS", "NO").upper() == "YES":
                self._regroup(user, answer)
        with self._lock:
            if self.session_seconds > 0:
                user.session = Login(token, int(time.time()) + self.session_seconds)
            return _caller(user, -1, self._groups)

    def _external(self, name: str, token: str) -> Caller:
        driver = self._configuration.template.get("DEFAULT_AUTH", "default")
        answer = self._drive(driver, name, self._unknown_password, token).split()
        if len(answer) < 3:  # driver, user, password
            self._refuse(
                f"Can't create user: Invalid password, it cannot be empty. Driver response: {answer}"
            )
        with self._lock:
            gids = self._gids(answer[3:]) or [_USERS]
            user = User(name=answer[1], password=answer[2], driver=answer[0])
            self._users.add(user)
            self.join(user, gids)
            return _caller(user, -1, self._groups)

    def join(self, user: User, gids: list[int]) -> None:
        """Make these the user's groups, the first one the primary."""
        for group in self._groups:
            (group.members.add if group.id in gids else group.members.discard)(user.id)
            group.touch()
        user.uid, user.uname = user.id, user.name
        user.groups, user.gid, user.gname = set(gids), gids[0], self._groups.get(gids[0]).name
        user.touch()

    def _regroup(self, user: User, answer: str) -> None:
        with self._lock:
            gids = self._gids(answer.split()[3:])
            if gids and set(gids) != user.groups:
                self.join(user, [user.gid] + [g for g in gids if g != user.gid] if user.gid in gids else gids)

    def _gids(self, words: list[str]) -> list[int]:
        try:
            gids = [int(word.lstrip("*")) for word in words]
        except ValueError:
            self._refuse("An error ocurred parsing the driver message: One or more group IDs are malformed")
        if any(self._groups.find(gid) is None for gid in gids):
            self._refuse("An error ocurred parsing the driver message: One or more group IDs do not exist")
        return gids

    def _drive(self, driver: str, name: str, password: str, token: str) -> str:
        """Run the driver and return what it printed, or refuse."""
        enabled = self._configuration.drivers
        if enabled is not None and driver not in enabled:
            self._refuse(f"Auth Error: Authentication driver '{driver}' not available")
        command = self._remotes / "auth" / driver / "authenticate"
        done = self._start(command, authn(name, password, token).encode())
        printed = done.out.decode(errors="replace")
        if done.code == 0:
            self._log.write("D", "AuM", f"_authenticate: {printed.partition(chr(10))[0] or '-'}")
            return printed
        self._log.write("I", "AuM", f"Command execution failed (exit code: {done.code}): {command}")
        complaint = done.err.decode(errors="replace")
        for line in complaint.splitlines():
            self._log.write("I", "AuM", line)
        return self._refuse(f"Auth Error: {complaint.replace(chr(10), '').strip() or '-'}")

    def _start(self, command: Path, stdin: bytes) -> Completed:
        try:
            return self._children.run(
                [str(command)], stdin=stdin, timeout=SECONDS, env=self._env(), cwd=self._remotes.parent
            )
        except OSError as error:
            return Completed(
                _FAILED, b"", f"Internal error {os.strerror(error.errno or 0)} - {command}".encode()
            )

    def _refuse(self, reason: str) -> str:
        self._log.write("E", "AuM", reason)
        raise AuthenticationError


def authn(name: str, password: str, token: str) -> str:
    """Return the document that a driver reads."""
    fields = (("USERNAME", name), ("PASSWORD", password), ("SECRET", token))
    return f"<AUTHN>\n{''.join(_field(key, value) for key, value in fields)}</AUTHN>"


def _field(name: str, value: str) -> str:
    escaped = escape(value).replace("\r", "&#13;")
    return f"  <{name}>{escaped}</{name}>\n" if value else f"  <{name}/>\n"


def _caller(user: User, egid: int, groups: Pool[Group]) -> Caller:
    if egid == -1:
        return Caller(user.id, user.gid, user.name, user.gname, frozenset(user.groups))
    if egid not in user.groups:
        raise AuthenticationError
    return Caller(user.id, egid, user.name, groups.get(egid).name, frozenset({egid}))

"""What the worker does for the gateway: it publishes the users' public keys, and checks the gateway.

Plans, incidents and events are published by the parts that make them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.actions.socket_place import is_gateway, place
from onext import published
from onext.part import Check, Context, Key, Part, Retry
from onext.unix_service import UnixService
from onext.webconfig import WebConfigError, load
from onext.xml import Element

NAME = "gateway"
_BISCUIT, _SERVER = "biscuit", "server"
_CONNECT = 3.0  # seconds
_THREADS = 4  # orders that are examined at once


@dataclass
class _State:
    """What this process keeps: the context of the last round, for orders, and the socket."""

    context: Context | None = None
    service: UnixService | None = None


_state = _State()


def reconcile(context: Context, keys: Sequence[Key]) -> str:  # noqa: ARG001 - any key means all users
    """Publish which users have which public key, and who acts for others; take orders."""
    _listen(context)
    if not context.settings.gateway.enabled:
        published.remove(context.paths, "users")
        return ""
    pool = context.oned.document("userpool.info").iterfind("USER")
    users = [(one.findtext("NAME", ""), one.findtext("AUTH_DRIVER", ""), one) for one in pool]
    keys_ = {name: _key(one) for name, driver, one in users if driver == _BISCUIT}
    servers = sorted(name for name, driver, _ in users if driver.startswith(_SERVER))
    published.write(context.paths, "users", {"keys": keys_, "servers": servers})
    return f"{len(keys_)} users with public keys"


def _listen(context: Context) -> None:
    """Take orders where the settings enable any."""
    settings = context.settings.gateway
    if not (settings.enabled and settings.actions):
        close()
        return
    _state.context = context
    if _state.service is not None and _state.service.alive:
        return
    from gateway.actions.desk import FILE, Desk
    from gateway.actions.ledger import Ledger
    from gateway.actions.orders import LARGEST

    desk = Desk(lambda: _state.context, Ledger(context.paths.state / FILE))
    file = place(context.paths)
    try:
        _state.service = UnixService(
            file, desk.answer, threads=_THREADS, largest=LARGEST,
            peers=lambda user: is_gateway(context.paths, user),
        )  # fmt: skip
    except OSError as error:
        raise Retry(f"{file}: {error}") from error


def close() -> None:
    """Take no more orders."""
    if _state.service is not None:
        _state.service.close()
        _state.service = None


def _key(user: Element) -> str:
    return user.findtext("PASSWORD", "")[:4096]


def sweep(context: Context) -> Iterable[Key]:
    """Ask for all users once a minute; while it is off, only to take no more orders."""
    return [Key(NAME, "pool", 0)] if context.settings.gateway.enabled or _state.service else []


def checks(context: Context) -> Iterator[Check]:
    """Check whether the gateway answers where the settings say, and how it may be reached."""
    settings = context.settings.gateway
    if not settings.enabled:
        yield Check("listens", "ok", "not enabled")
        return
    if settings.web_config is not None:
        try:
            load(settings.web_config)
        except WebConfigError as error:
            yield Check("web_config", "fail", str(error), "correct the file; the gateway does not start")
    yield _listens(settings.listen)
    host = settings.listen.rpartition(":")[0].strip("[]")
    if settings.web_config is None and host not in ("127.0.0.1", "::1", "localhost"):
        yield Check(
            "TLS",
            "warn",
            f"passwords cross the network in clear to {settings.listen}",
            "set gateway.web_config",
        )
    yield from _sessions(context)


def _listens(listen: str) -> Check:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    try:
        socket.create_connection((address, int(port)), _CONNECT).close()
    except OSError as error:
        return Check("listens", "fail", f"{listen}: {error}", "systemctl enable --now onext-gateway")
    return Check("listens", "ok", listen)


def _sessions(context: Context) -> Iterator[Check]:
    """Explain for how long oned keeps an accepted token, where scoped tokens are used."""
    if context.settings.gateway.scoped_key is None:
        return
    found = context.oned.document("system.config").findtext(".//SESSION_EXPIRATION_TIME", "900")
    yield Check(
        "SESSION_EXPIRATION_TIME",
        "ok",
        f"{found} s: oned accepts a token that long after it was revoked or expired",
        "let only those reach oned's ports (2633, 2634) who need them: a scoped token is restricted here",
    )


PART = Part(NAME, reconcile, sweep, checks, whole_pool=True, leader_only=False)

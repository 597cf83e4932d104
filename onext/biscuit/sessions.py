"""Sessions that outlive a revoked token: which, until when, and how to end them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click

from onext.biscuit.errors import BiscuitError
from onext.biscuit.token_description import stamp
from onext.command import find
from onext.install.oned_conf import DRIVER
from onext.oned.client import Oned
from onext.xml import Element

SUNSTONE_MINUTES = {"session_expiration": 180, "session_remember_expiration": 3600}
CACHE_SECONDS = 900


@dataclass(frozen=True)
class User:
    """A user of OpenNebula."""

    id: int
    name: str


def end(oned: Oned, name: str) -> None:
    """End the cached session of a user in this oned (on a follower: in the leader).

    Disabling empties oned's cache, and enabling lets the user log in again, with a valid token.
    """
    user = _user(oned, name)
    if user.findtext("AUTH_DRIVER") != DRIVER:  # a token may name any user, even oneadmin
        raise BiscuitError(f"{name} is not a biscuit user: the sessions of this user were not changed")
    number = int(user.findtext("ID", "-1"))
    if user.findtext("ENABLED") != "1":
        return  # no session can be open, and a user whom a person disabled stays disabled
    oned.call("user.enable", number, False)
    try:
        oned.call("user.enable", number, True)
    except Exception as error:
        raise BiscuitError(
            f"{name} was disabled and could not be enabled again: run `oneuser enable {name}` ({error})"
        ) from error


def cache_seconds(configuration: Element) -> int:
    """Return SESSION_EXPIRATION_TIME: for how long oned does not ask the driver again."""
    return int(configuration.findtext("SESSION_EXPIRATION_TIME") or CACHE_SECONDS)


def left(
    name: str, now: datetime, seconds: int, fireedge: Path, *, ended: bool, others: bool
) -> Iterator[dict[str, str]]:
    """Yield a row for each kind of session: its name, when it ends at the latest, how to end it sooner."""
    cached = stamp(now + timedelta(seconds=seconds))
    here = "ended" if ended else cached
    yield {
        "session": "oneuser, onevm …, pyone, OneFlow's API (oned's cache)",
        "until": here,
        "end": "-" if ended else "--now, or oneuser disable and enable",
    }
    if others:
        yield {
            "session": "the same, at the other servers of the zone",
            "until": cached,
            "end": f"oneuser disable {name} until then",
        }
    minutes = sunstone_minutes(fireedge)
    until = (stamp(now + timedelta(minutes=minutes[key])) for key in SUNSTONE_MINUTES)
    yield {
        "session": "Sunstone",
        "until": " or, remembered, ".join(until),
        "end": "delete .one/fireedge_key of oneadmin and restart opennebula-fireedge (signs out all users)",
    }
    yield {
        "session": "services that OneFlow runs",
        "until": "they end",
        "end": f"oneflow delete; oneuser disable {name}",
    }
    yield {"session": "OneGate", "until": "the VM ends", "end": "a VM's own token, never a biscuit"}


def sunstone_minutes(configuration: Path) -> dict[str, int]:
    """Return the minutes of Sunstone's sessions from fireedge-server.conf, or those that are shipped."""
    try:
        text = configuration.read_text(errors="replace")
    except OSError:
        text = ""
    found = dict(re.findall(r"(?m)^:?(session_expiration|session_remember_expiration):\s*(\d+)", text))
    return {key: int(found.get(key, default)) for key, default in SUNSTONE_MINUTES.items()}


def _user(oned: Oned, name: str) -> Element:
    """Return a user by name, as a token states it, or by id."""
    users = list(oned.document("userpool.info"))
    for user in users:
        if user.findtext("NAME") == name:
            return user
    items = {User(int(one.findtext("ID", "-1")), one.findtext("NAME", "")): one for one in users}
    try:
        return items[find(items, name, "user")]
    except click.UsageError as error:
        raise BiscuitError(f"{error.message}; give --user") from None

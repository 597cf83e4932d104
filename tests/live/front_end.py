"""The real OpenNebula that the live tests talk to; what they make on it is in scene.py."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyone
import pytest

from onext.oned import credentials
from onext.oned.client import Oned
from onext.oned.errors import Unreachable
from onext.paths import Paths

WANTED = "no real OpenNebula: set ONE_XMLRPC, ONE_AUTH and, where self-contained, ONE_LOCATION"


class NoFrontEnd(Exception):
    """The environment names none, or none that these tests can use; the message says which."""


@dataclass(frozen=True)
class FrontEnd:
    """One front-end, seen with our client and with bare pyone, and where its files are."""

    paths: Paths
    oned: Oned
    one: pyone.OneServer

    @functools.cached_property
    def release(self) -> tuple[int, ...]:
        """The release of OpenNebula, e.g. (7, 4, 0)."""
        return tuple(int(part) for part in self.oned.version().split("."))

    def kept(self, value: str) -> str:
        """Return what oned keeps of a template's value: 7.4 takes off what C's isspace calls blank."""
        return value.strip(" \t\n\v\f\r") if self.release >= (7, 4) else value

    @classmethod
    def find(cls) -> FrontEnd:
        """Return the one that the environment names; raise NoFrontEnd."""
        if not os.environ.get("ONE_XMLRPC") or not os.environ.get("ONE_AUTH"):
            raise NoFrontEnd(WANTED)
        paths = Paths.find()
        if not paths.remotes.is_dir():
            raise NoFrontEnd(f"{WANTED}; {paths.remotes} is not there")
        endpoint, session = credentials.endpoint(paths), credentials.session(paths)
        return cls(paths, Oned(endpoint, session), pyone.OneServer(endpoint, session=session))

    @classmethod
    @functools.cache
    def why_not(cls) -> str:
        """Say why these tests cannot use what the environment names; empty when they can."""
        try:
            cls.find().require_dummy_drivers()
        except (NoFrontEnd, Unreachable) as reason:
            return str(reason)
        return ""

    def require_dummy_drivers(self) -> None:
        """Raise NoFrontEnd where no host can be pretended."""
        names = {item.findtext("NAME") for item in self.oned.document("system.config").iterfind("VM_MAD")}
        if "dummy" not in names:
            raise NoFrontEnd(
                "this OpenNebula has no dummy drivers: add VM_MAD dummy to oned.conf, IM_MAD to monitord.conf"
            )

    def require_biscuit(self) -> None:
        """Skip the test where oned would not ask our driver."""
        entries = self.oned.document("system.config").iterfind("AUTH_MAD_CONF")
        if "biscuit" not in {entry.findtext("NAME") for entry in entries}:
            pytest.skip(
                "oned.conf knows no biscuit: ./install.sh --configure adds it, then restart opennebula"
            )

    def listens_for(self, hook: int) -> bool:
        """Tell whether the hook manager has read a hook; the sandbox, which has no such log, does at once."""
        log = self.paths.one_log / "onehem.log"
        return not log.exists() or f"Hook ({hook}) successfully reloaded" in log.read_text(errors="replace")


def wait_until(what: str, condition: Callable[[], bool], *, seconds: float = 180.0) -> None:
    """Return when `condition` holds; fail the test, saying `what` did not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)

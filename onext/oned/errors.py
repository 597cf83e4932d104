"""What can go wrong in a call to oned; each message has the call, the reason, and what to do."""

from __future__ import annotations


class OnedError(Exception):
    """Any failure of a call to oned."""


class Unreachable(OnedError):
    """oned does not accept the connection, or ended it."""


class TimedOut(Unreachable):
    """oned accepted the connection and did not answer in time."""


class Unauthenticated(OnedError):
    """oned does not know our user or password (error 0x0100)."""


class Unauthorised(OnedError):
    """Our user may not do this (error 0x0200)."""


class NotFound(OnedError):
    """The object is not there, or not any more (error 0x0400)."""


class Refused(OnedError):
    """oned knows the call and will not do it: wrong state, quota, wrong argument (other codes)."""


class Malformed(OnedError):
    """The answer is not what oned sends: cut, not XML, or with a DOCTYPE."""


_BY_CODE = {0x0100: Unauthenticated, 0x0200: Unauthorised, 0x0400: NotFound}


def refusal(method: str, message: str, code: int) -> OnedError:
    """Return what oned's error code means (ErrorCode in its Request.h)."""
    return _BY_CODE.get(code, Refused)(f"{method}: {message}")


_NO_SUCH_METHOD = -506  # of xmlrpc-c


def fault(method: str, code: int, text: str) -> OnedError:
    """Return what a fault of XML-RPC means: oned did not execute the call."""
    if code == _NO_SUCH_METHOD:
        text = "this OpenNebula does not have this call: it is older than the release that introduced it"
    return Refused(f"{method}: {text}")

"""Failures of BMCs in the log: once each, with the reason."""

import logging

import pytest

from onext.hosts.bmc.errors import BmcError, Unreachable, WrongPassword
from onext.hosts.bmc.failure_log import FailureLog
from onext.hosts.bmc.protocol import Power, Reading

GOOD = Reading(Power.ON)


def bad(error: BmcError) -> Reading:
    return Reading(Power.UNKNOWN, error)


def test_E1_a_failure_is_logged_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The log had nothing; with a line each minute nobody would read it either."""
    caplog.set_level(logging.INFO)
    log = FailureLog(logging.getLogger("test"))
    for _ in range(3):
        log.report({1: GOOD, 2: bad(WrongPassword("it rejects this user"))})
    log.report({1: GOOD, 2: bad(Unreachable("no answer within 8 s"))})
    log.report({1: GOOD, 2: bad(Unreachable("no answer within 9 s"))})
    log.report({1: GOOD, 2: GOOD})
    assert caplog.messages == [
        "host 2: its BMC cannot be used: it rejects this user",
        "host 2: its BMC cannot be used: no answer within 8 s",
        "host 2: its BMC can be used again",
    ]


def test_E1_many_failures_at_once_are_a_number(caplog: pytest.LogCaptureFixture) -> None:
    """A switch that fails would log 500 lines."""
    FailureLog(logging.getLogger("test")).report({host: bad(Unreachable("silent")) for host in range(500)})
    assert len(caplog.messages) == 21
    assert caplog.messages[-1] == "480 more BMCs cannot be used: onext power bmc check"


def test_E1_as_many_lines_as_a_screen_has_and_no_empty_number(caplog: pytest.LogCaptureFixture) -> None:
    """`0 more BMCs cannot be used` would be read as a fault."""
    caplog.set_level(logging.INFO)
    log = FailureLog(logging.getLogger("test"))
    log.report({host: bad(Unreachable("silent")) for host in range(20)})
    assert len(caplog.messages) == 20
    log.report({host: bad(Unreachable("silent")) for host in range(1, 22)})
    assert caplog.messages[20:] == [
        "host 20: its BMC cannot be used: silent",
        "host 21: its BMC cannot be used: silent",
    ]
    log.report(dict.fromkeys(range(22), GOOD))
    assert caplog.messages[22:] == [f"host {host}: its BMC can be used again" for host in range(1, 21)]
    log.report(dict.fromkeys(range(22), GOOD))
    assert len(caplog.messages) == 42

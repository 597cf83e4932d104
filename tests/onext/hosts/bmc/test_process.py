"""What the child tells of a failure, and what its parent makes of what it prints."""

from pathlib import Path

import pytest

from onext import process
from onext.hosts.bmc import client
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import Refused
from onext.hosts.bmc.job import Job
from onext.hosts.bmc.process import _failed
from onext.hosts.bmc.protocol import Power
from tests.onext.hosts.actions.cloud_model import entry

SECRET = "Tr0ub4dor&3"
JOB = Job(7, "power", "redfish", "192.0.2.7", 443, user="onext", password=SECRET)


@pytest.mark.parametrize(
    "said",
    [
        f"user onext with {SECRET} is locked",
        "x" * 394 + SECRET,  # it would be cut in the middle
        "Authorization: Basic b25leHQ6VHIwdWI0ZG9yJjM= is wrong",
    ],
)
def test_what_a_bmc_repeats_of_a_password_is_not_told_on(said: str) -> None:
    """A BMC that puts the request into its error would put the password into our log."""
    reason = str(_failed(JOB, Refused(said))["reason"])
    assert not any(SECRET[:length] in reason for length in range(4, len(SECRET) + 1))
    assert "b25leHQ6" not in reason
    assert "***" in reason or len(reason) == 400
    assert SECRET not in repr(JOB)


@pytest.mark.parametrize(
    "printed", [b'{"id": 1, "po', b"Segmentation fault\n", b"[1]\n", b'{"seconds": 1}\n']
)
def test_what_is_no_answer_is_unknown(printed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One garbled line would end the round for all hosts."""
    monkeypatch.setattr(process, "run", lambda *_, **__: process.Completed((), 0, printed, b""))
    said = BmcConfig(Path("bmc.yaml"), {1: entry(1)}).bmc(1).power()
    assert said.power is Power.UNKNOWN
    assert "an invalid answer" in said.reason


def test_passwords_go_through_standard_input_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of the machine reads argument lists, and children inherit an environment."""
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.99")
    seen: dict[str, object] = {}

    def run(argv: list[str], **how: object) -> process.Completed:
        seen.update(argv=argv, **how)
        return process.Completed((), 0, b"", b"")

    monkeypatch.setattr(process, "run", run)
    client.ask([JOB], 3.0)
    data = seen.pop("input")
    assert isinstance(data, bytes)
    assert SECRET.encode() in data
    assert SECRET not in repr(seen)
    assert "PROXY" not in repr(seen["env"])

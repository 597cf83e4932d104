"""For all tests: no processes and no network unless a test declares them."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

pytest_plugins = ["tests.fixtures_sandbox", "tests.fixtures_bundle", "tests.fixtures_bmc"]
FIXTURES = Path(__file__).parent / "fixtures"
# How long an example takes says how busy the machine is, nothing of the code.
settings.register_profile("own", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A red CI speaks of the change that it runs on; the search for new counterexamples is everybody's own run.
settings.register_profile("ci", settings.get_profile("own"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "own")

ALLOWED = ("process", "lab", "live")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make lab` ask for every combination instead of the pairwise selection."""
    parser.addoption("--lab", default="pairwise", choices=["pairwise", "all"])


@pytest.fixture(autouse=True)
def no_processes_no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a unit test that starts a process or opens a connection; loopback only for the others."""
    if any(request.node.get_closest_marker(name) for name in ALLOWED):
        enable_socket()
        if not request.node.get_closest_marker("live"):
            socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
        return

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"this test started a process without @pytest.mark.process: {args[1:]}")

    disable_socket(allow_unix_socket=True)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(os, "posix_spawn", refuse)


@pytest.fixture
def recordings() -> Path:
    """Return the folder of answers and payloads recorded from OpenNebula 7.0.2."""
    return FIXTURES / "opennebula-7.0.2"


@pytest.fixture
def shared() -> Path:
    """Return the folder of larger test data, or skip where it is not there."""
    folder = Path(os.environ.get("ONEXT_SHARED", "../shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} (ONEXT_SHARED) is not there: larger test data left out")
    return folder

"""From the first version to this checkout and back, on a running sandbox: hooks, files, the worker."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from onext.install import service
from onext.install.front_end import FrontEnd
from tests.fixtures_sandbox import Sandbox

from .conftest import ROOT

pytestmark = [pytest.mark.process, pytest.mark.timeout(1500)]
FIRST = "458469e"  # 0.1.0 as it was first tried on front-ends


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout of the first version, from this repository's history."""
    done = subprocess.run(["git", "-C", ROOT, "archive", FIRST], capture_output=True, check=False)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"commit {FIRST} is not in this clone's history: fetch all of it")
        pytest.skip(f"commit {FIRST} is not in this clone's history")
    target = tmp_path_factory.mktemp("first")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(target, filter="data")
    return target


def run(sandbox: Sandbox, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = {**sandbox.env, "PYTHON": getattr(sys, "_base_executable", sys.executable)}
    command = [str(checkout / "install.sh"), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=900, check=False)


def hooks(sandbox: Sandbox) -> dict[str, str]:
    """Return each registered hook of onext and the executable that it starts."""
    pool = ET.fromstring(sandbox.call("hookpool.info", -2, -1, -1))
    found = {one.findtext("NAME", ""): one.findtext("TEMPLATE/COMMAND", "") for one in pool}
    return {name: command for name, command in found.items() if command.startswith("onext/")}


def onext(sandbox: Sandbox, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(sandbox.location / "bin/onext"), *words]
    return subprocess.run(command, env=sandbox.env, capture_output=True, text=True, timeout=120, check=False)


def executables(sandbox: Sandbox) -> set[str]:
    folder = sandbox.location / "var/remotes/hooks/onext"
    return {f"onext/{path.name}" for path in folder.iterdir()}


def test_from_the_first_version_and_back(
    first_version: Path, checkout: Path, wheels: Path, sandboxes: Callable[..., Sandbox]
) -> None:
    """An upgrade in place keeps settings and events; one command returns to what ran before; nothing is left at last."""
    sandbox = sandboxes()
    settings = sandbox.location / "etc/onext.yaml"
    before = {path.relative_to(sandbox.location) for path in sandbox.location.rglob("*")}
    done = run(sandbox, first_version)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        old_hooks, old_files = hooks(sandbox), executables(sandbox)
        assert len(old_hooks) > 30
        settings.write_text("geolocation:\n  ssh_timeout: 7\n")

        done = run(sandbox, checkout, "--offline", str(wheels))
        assert done.returncode == 0, done.stdout + done.stderr
        new_hooks = hooks(sandbox)
        assert 0 < len(new_hooks) < len(old_hooks)  # one for each state
        assert set(new_hooks.values()) <= executables(sandbox)
        assert settings.read_text() == "geolocation:\n  ssh_timeout: 7\n"
        assert onext(sandbox, "status").returncode == 0
        checked = run(sandbox, checkout, "--check")
        assert checked.returncode == 0, checked.stdout

        done = run(sandbox, checkout, "--rollback")
        assert done.returncode == 0, done.stdout + done.stderr
        assert hooks(sandbox) == old_hooks
        assert executables(sandbox) == old_files
        assert onext(sandbox, "status").returncode == 0

        done = run(sandbox, checkout, "--offline", str(wheels))
        assert done.returncode == 0, done.stdout + done.stderr
        assert hooks(sandbox) == new_hooks
        gone = run(
            sandbox, checkout, "--uninstall", "--backup", str(sandbox.location.parent / "settings.tar.gz")
        )
        assert gone.returncode == 0, gone.stdout + gone.stderr
        assert hooks(sandbox) == {}
        left = {path.relative_to(sandbox.location) for path in sandbox.location.rglob("*")} - before
        assert not [path for path in left if "onext" in str(path)], left
    finally:
        service.stop(FrontEnd.self_contained(sandbox.location))

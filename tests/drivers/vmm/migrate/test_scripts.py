"""The shell around the driver: what OpenNebula starts, and the virsh that its own migrate finds."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

DRIVER = Path(__file__).parents[4] / "drivers/vmm/migrate"
pytestmark = pytest.mark.process
XML = b"<VMM_DRIVER_ACTION_DATA/>"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Return a node's /var/tmp/one with the driver and a stock migrate that says how it was called."""
    kvm = tmp_path / "one/vmm/kvm"
    shutil.copytree(
        DRIVER / "onext_migrate", kvm / "onext_migrate", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(DRIVER / "migrate", kvm / "migrate")
    (tmp_path / "one/etc/vmm/kvm").mkdir(parents=True)
    stock = kvm / "migrate_default"
    stock.write_text('#!/bin/sh\necho "stock: $* $(cat)"\nexit 7\n')
    stock.chmod(0o755)
    return tmp_path / "one"


def migrate(
    node: Path, *words: str, stdin: bytes = XML, path: str = "/usr/local/bin:/usr/bin:/bin"
) -> "subprocess.CompletedProcess[bytes]":
    """Run the driver as OpenNebula does."""
    env = {"PATH": path, "HOME": str(node), "RES_OPTIONS": "timeout:1 attempts:1"}  # resolv.conf(5)
    return subprocess.run(
        [str(node / "vmm/kvm/migrate"), *words],
        input=stdin,
        capture_output=True,
        env=env,
        timeout=PATIENCE,
        check=False,
    )


def configure(node: Path, text: str) -> None:
    """Write onext-migrate.conf."""
    (node / "etc/vmm/kvm/onext-migrate.conf").write_text(text)


def test_never_is_as_if_we_were_not_there(node: Path) -> None:
    """Arguments, standard input, output and exit code are the stock script's."""
    configure(node, 'TUNNEL="never"\n')
    done = migrate(node, "one-1", "node-b", "node-a", "1", "node-a")
    assert done.returncode == 7
    assert done.stdout == b"stock: one-1 node-b node-a 1 node-a " + XML + b"\n"
    assert done.stderr == b""


def test_without_a_tunnel_directly_with_a_warning(node: Path) -> None:
    """A flush of a failing host must not end because a node has no name, or no driver, yet."""
    done = migrate(node, "one-1", "no-such-host.invalid", "node-a")
    assert done.returncode == 7
    assert b"WARNING: migrate: no tunnel to no-such-host.invalid" in done.stderr


@pytest.mark.parametrize("rule", ['REQUIRE_TUNNEL="YES"', 'ON_TUNNEL_FAILURE="refuse"'])
def test_or_not_at_all(node: Path, rule: str) -> None:
    """Who requires the tunnel must not get a migration in the clear."""
    configure(node, rule)
    done = migrate(node, "one-1", "no-such-host.invalid", "node-a")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ERROR: migrate: no tunnel" in done.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "conf"),
    [
        (("-oProxyCommand=x", "node-b", "node-a"), XML, ""),
        (("one-1", "node-b;id", "node-a"), XML, ""),
        (("one-1", "node-b", "node-a"), XML[:-4], ""),
        (("one-1", "node-b", "node-a"), b"<!DOCTYPE a []>" + XML, ""),
        (("one-1", "node-b", "node-a"), XML, 'TUNNEL="sure"'),
    ],
)
def test_bad_input_gets_one_line(node: Path, words: tuple[str, ...], stdin: bytes, conf: str) -> None:
    """A clear line and exit code 1, the guest untouched."""
    configure(node, conf)
    done = migrate(node, *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"ERROR: migrate: ")
    assert len(done.stderr.splitlines()) == 1


def test_without_python(node: Path, tmp_path: Path) -> None:
    """A node without python3 migrates as it always did, and says so."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "uname", "cat"):
        (tools / name).symlink_to(shutil.which(name) or name)
    if Path("/usr/libexec/platform-python").exists():
        pytest.skip("this machine has a platform-python")
    done = migrate(node, "one-1", "node-b", "node-a", path=str(tools))
    if shutil.which("python3", path="/usr/sbin:/sbin") is None:
        assert done.returncode == 7
        assert b"no python3" in done.stderr


def test_half_a_sync(node: Path) -> None:
    """The folder beside it is missing: still a migration."""
    shutil.rmtree(node / "vmm/kvm/onext_migrate")
    done = migrate(node, "one-1", "node-b", "node-a")
    assert done.returncode == 7
    assert b"onehost sync --force" in done.stderr


def test_as_a_local_action(node: Path, tmp_path: Path) -> None:
    """On the front-end the driver hands over to the source hypervisor, with the XML decoded."""
    import base64

    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text(
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\necho "ssh: $* $(cat)"\nexit 3\n'
    )
    (tools / "ssh").chmod(0o755)
    done = migrate(
        node,
        "one-1",
        "node-b",
        "node-a",
        "1",
        "node-a",
        stdin=base64.b64encode(XML),
        path=f"{tools}:/usr/bin:/bin",
    )
    assert done.returncode == 3
    assert (
        done.stdout
        == b"ssh: -- node-a exec /var/tmp/one/vmm/kvm/migrate one-1 node-b node-a 1 node-a " + XML + b"\n"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-c", "x", "domstate", "one-1"], ["-c", "x", "domstate", "one-1"]),
        (["migrate", "--live", "d", "u"], ["migrate", "--live", "d", "u", "--ours", "1"]),
        (
            ["migrate", "--live", "--unsafe", "--migrateuri", "tcp://x", "--listen-address=0", "d", "u"],
            ["migrate", "--live", "--unsafe", "d", "u", "--ours", "1"],
        ),
        (["migrate", "--live", "a b", "u"], ["migrate", "--live", "a b", "u", "--ours", "1"]),
    ],
)
def test_the_virsh_in_front(node: Path, tmp_path: Path, words: list[str], expected: list[str]) -> None:
    """A --migrateuri in kvmrc led around the tunnel; a word with a blank must stay one word."""
    real = tmp_path / "real"
    real.mkdir()
    (real / "virsh").write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    (real / "virsh").chmod(0o755)
    shim = node / "vmm/kvm/onext_migrate/bin"
    env = {
        "PATH": f"{shim}:{real}:/usr/bin:/bin",
        "ONEXT_SHIM": str(shim),
        "ONEXT_DRIVER": str(os.getpid()),
        "ONEXT_OPTIONS": "--ours 1",
    }
    done = subprocess.run(
        ["virsh", *words], env=env, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.splitlines() == expected


def test_no_migration_begins_after_the_driver_died(node: Path) -> None:
    """An orphan that went on would move the guest to where OpenNebula does not look for it."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    shim = node / "vmm/kvm/onext_migrate/bin"
    env = {"PATH": f"{shim}:/usr/bin:/bin", "ONEXT_SHIM": str(shim), "ONEXT_DRIVER": str(gone.pid)}
    done = subprocess.run(
        [str(shim / "virsh"), "migrate", "--live", "d", "u"],
        env=env,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert b"the migrate driver is gone" in done.stderr

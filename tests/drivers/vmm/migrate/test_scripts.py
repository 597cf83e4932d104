"""The shell around the driver: what OpenNebula starts, and the virsh that its own migrate finds."""

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
    """A clear line and exit code 1, the VM untouched."""
    configure(node, conf)
    done = migrate(node, *words, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"ERROR: migrate: ")
    assert len(done.stderr.splitlines()) == 1


def tools_without_python(folder: Path) -> str:
    """Return a PATH on which there is no python3."""
    folder.mkdir(exist_ok=True)
    for name in ("sh", "dirname", "uname", "cat"):
        if not (folder / name).exists():
            (folder / name).symlink_to(shutil.which(name) or name)
    if Path("/usr/libexec/platform-python").exists() or shutil.which("python3", path="/usr/sbin:/sbin"):
        pytest.skip("this machine has another python")
    return str(folder)


def test_without_python(node: Path, tmp_path: Path) -> None:
    """A node without python3 migrates as it always did, and reports it."""
    done = migrate(node, "one-1", "node-b", "node-a", path=tools_without_python(tmp_path / "tools"))
    assert done.returncode == 7
    assert b"WARNING: migrate: no python3" in done.stderr


RULES = [
    ('REQUIRE_TUNNEL="YES"', True),
    ("  export REQUIRE_TUNNEL=yes", True),
    ('REQUIRE_TUNNEL="YES"  # not NO', True),
    ('REQUIRE_TUNNEL="sure"', True),
    ('ON_TUNNEL_FAILURE="refuse"', True),
    ('REQUIRE_ENCRYPTION="YES"', True),
    ("export REQUIRE_ENCRYPTION=yes # NO", True),
    ('REQUIRE_ENCRYPTION="perhaps"', True),
    ('REQUIRE_ENCRYPTION="NO"', False),
    ('#REQUIRE_TUNNEL="YES"', False),
    ('REQUIRE_TUNNEL="NO"\nON_TUNNEL_FAILURE="direct"', False),
    ('TUNNEL="always"', False),
]


@pytest.mark.parametrize(("rule", "refused"), RULES)
@pytest.mark.parametrize("fault", ["no python", "no driver", "half a driver", "another half"])
def test_B1_a_required_tunnel_is_required_without_the_driver(
    node: Path, tmp_path: Path, rule: str, refused: bool, fault: str
) -> None:
    """The memory went in the clear, with exit code 0, because the program that reads the rule was missing."""
    configure(node, rule)
    path = tools_without_python(tmp_path / "tools") if fault == "no python" else "/usr/bin:/bin"
    if fault == "no driver":
        shutil.rmtree(node / "vmm/kvm/onext_migrate")
    elif fault == "half a driver":
        (node / "vmm/kvm/onext_migrate/main.py").unlink()
    elif fault == "another half":
        (node / "vmm/kvm/onext_migrate/refcount.py").unlink()
    done = migrate(node, "one-1", "node-b", "node-a", path=path)
    assert done.returncode == (1 if refused else 7)
    assert (b"requires the tunnel" in done.stderr) == refused
    assert (b"migrating without a tunnel" in done.stderr) == (not refused)


@pytest.mark.parametrize(
    ("kvmrc", "code"),
    [
        ("", 1),
        ('MIGRATE_OPTIONS="--tls"', 7),
        ("QEMU_PROTOCOL=qemu+tls", 1),
        ('MIGRATE_OPTIONS="--p2p --tunnelled"', 1),
        ('QEMU_PROTOCOL=qemu+tls\nMIGRATE_OPTIONS="--p2p --tunnelled"', 7),
    ],
)
@pytest.mark.parametrize(
    "conf", ['TUNNEL="never"', 'TUNNEL_EXCEPTIONS="*,*=never"', 'TUNNEL="always"', 'REQUIRE_TUNNEL="NO"']
)
def test_required_encryption_is_required_without_a_tunnel_too(
    node: Path, kvmrc: str, code: int, conf: str
) -> None:
    """qemu+tls alone encrypts libvirt's conversation: the memory went in the clear beside it."""
    configure(node, f'{conf}\nREQUIRE_ENCRYPTION="YES"')
    (node / "etc/vmm/kvm/kvmrc").write_text(kvmrc + "\n")
    done = migrate(node, "one-1", "no-such-host.invalid", "node-a")
    assert done.returncode == code, done.stderr
    assert (b"not migrated" in done.stderr) == (code == 1)


@pytest.mark.parametrize("conf", ['REQUIRE_TUNNEL="YES"', 'TUNEL="never"', 'TUNNEL="always"'])
@pytest.mark.parametrize("fault", ["", "no python", "no driver"])
def test_a_move_between_datastores_is_opennebulas_own(
    node: Path, tmp_path: Path, conf: str, fault: str
) -> None:
    """Since 7.2 the same script copies disks on one host: it was refused, or waited for a tunnel to itself."""
    configure(node, conf)
    path = tools_without_python(tmp_path / "tools") if fault == "no python" else "/usr/bin:/bin"
    if fault == "no driver":
        shutil.rmtree(node / "vmm/kvm/onext_migrate")
    done = migrate(node, "one-1", "node-a", "node-a", "1", "node-a", path=path)
    assert (done.returncode, done.stderr) == (7, b"")
    assert done.stdout == b"stock: one-1 node-a node-a 1 node-a " + XML + b"\n"


@pytest.mark.parametrize(("required", "code"), [("NO", 7), ("YES", 1)])
def test_B1_kvmrc_that_sets_path_is_noticed_before(node: Path, required: str, code: int) -> None:
    """`export PATH=/usr/bin:/bin` in kvmrc hides the driver's virsh: a line in the log came after the memory."""
    (node / "etc/vmm/kvm/kvmrc").write_text("export PATH=/usr/bin:/bin\n")
    configure(node, f'REQUIRE_TUNNEL="{required}"')
    done = migrate(node, "one-1", "node-b.invalid", "node-a")
    assert done.returncode == code
    assert b"kvmrc sets PATH" in done.stderr


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

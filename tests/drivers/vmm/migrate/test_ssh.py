"""How the driver asks for its one ssh connection."""

import pytest

from drivers.vmm.migrate.onext_migrate import ssh
from drivers.vmm.migrate.onext_migrate.commands import Completed, run
from drivers.vmm.migrate.onext_migrate.errors import CommandError

PQ, CURVE, NIST = "sntrup761x25519-sha512@openssh.com", "curve25519-sha256", "ecdh-sha2-nistp256"


@pytest.mark.parametrize(
    ("said", "option"),
    [
        (f"hostname b\nkexalgorithms {PQ},{CURVE},{NIST}\nport 22\n", f"KexAlgorithms={CURVE},{PQ},{NIST}"),
        (f"kexalgorithms {CURVE},{NIST}\n", ""),  # first already
        (f"kexalgorithms {NIST}\n", ""),  # FIPS
        (f"kexalgorithms {PQ}\n", ""),  # nothing but post-quantum is allowed
        ("hostname b\n", ""),
        ("", ""),
    ],
)
def test_only_the_order_is_ours(monkeypatch: pytest.MonkeyPatch, said: str, option: str) -> None:
    """A key exchange that the system's policy forbids would leave every migration without its tunnel."""
    monkeypatch.setattr(ssh, "run", lambda *_, **__: Completed(0, said, ""))
    assert ssh.quick_key_exchange("b") == (["-o", option] if option else [])


def test_an_ssh_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ssh too old for the question, or a broken configuration: as if we had not asked."""

    def fail(argv: list[str], **_: float) -> Completed:
        raise CommandError(argv, 255, "unknown option -- G")

    monkeypatch.setattr(ssh, "run", fail)
    assert ssh.quick_key_exchange("b") == []


@pytest.mark.process
def test_this_machines_ssh() -> None:
    """What is asked for must be what ssh understands."""
    option = ssh.quick_key_exchange("127.0.0.1")
    said = run([*ssh.SSH, *option, "-G", "--", "127.0.0.1"]).stdout
    assert option == [] or ssh.read_key_exchanges(said)[0] == CURVE
    assert ssh.read_key_exchanges(said)

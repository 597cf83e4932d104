"""What is run as root is what OpenNebula's stock sudoers allow on a node, and nothing else."""

import fnmatch
import re
from pathlib import Path

import pytest

from drivers.vmm.migrate.onext_migrate import endpoint_device, endpoint_kernel, endpoint_ovs
from drivers.vmm.migrate.onext_migrate.endpoint_spec import KERNEL, OVS, EndpointSpec
from drivers.vmm.migrate.onext_migrate.identity import identify

SUDOERS = Path(__file__).parents[3] / "lab/sudoers"


def allowed(argv: list[str], file: Path = SUDOERS) -> bool:
    """Tell whether the sudoers file has a command like this one."""
    aliases = re.findall(r"Cmnd_Alias \w+ = (.*)", file.read_text().replace("\\:", ":"))
    commands = [one.strip().rpartition("bin/")[2] for line in aliases for one in line.split(",")]
    return any(one == argv[0] or fnmatch.fnmatchcase(" ".join(argv), one) for one in commands)


@pytest.mark.parametrize("kind", [KERNEL, OVS])
@pytest.mark.parametrize("family", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
@pytest.mark.parametrize("follows", [True, False])
def test_stock_sudoers(
    kind: str, family: tuple[str, str], follows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference needed `ip address`: another file on every node."""
    seen: list[list[str]] = []

    def as_root(argv: list[str], **_: object) -> object:
        seen.append(list(argv))
        return type("Done", (), {"exit_code": 0, "stdout": "", "stderr": ""})()

    def as_root_together(commands: list[list[str]]) -> None:
        seen.extend(map(list, commands))

    monkeypatch.setattr(endpoint_device, "as_root_together", as_root_together)
    present = {"there": False}
    for room in (endpoint_device, endpoint_kernel, endpoint_ovs):
        monkeypatch.setattr(room, "as_root", as_root)
    monkeypatch.setattr(endpoint_device, "exists", lambda _: present["there"])
    monkeypatch.setattr(endpoint_ovs, "exists", lambda _: True)
    monkeypatch.setattr(endpoint_ovs, "works", lambda: True)
    monkeypatch.setattr(endpoint_device, "address_follows_mac", lambda _: follows)
    monkeypatch.setattr(endpoint_device, "_has_address", lambda *_: True)
    monkeypatch.setattr(endpoint_device, "is_vxlan", lambda _: kind == KERNEL)
    plan = EndpointSpec(kind, identify(*family, kind, 4790), "eth0", 1450, 4790)
    endpoint_device.build(plan)
    endpoint_device.set_mtu(plan, 1400)
    present["there"] = True
    endpoint_device.tear_down(plan.identity.name)
    assert len(seen) >= 4
    for argv in seen:
        assert allowed(argv), argv
    assert not allowed(["ip", "address", "add", "10.0.0.1/24", "dev", "eth0"])


def test_kernel_command() -> None:
    """One remote, its device named (else the kernel guesses an MTU), nothing learnt, nothing fragmented."""
    command = " ".join(
        endpoint_kernel.command(
            EndpointSpec(KERNEL, identify("10.0.0.1", "10.0.0.2", KERNEL, 4790), "eth0", 1450, 4790)
        )
    )
    assert "local 10.0.0.1 remote 10.0.0.2 dev eth0 dstport 4790 nolearning df set" in command
    assert "mtu 1450 arp off type vxlan" in command

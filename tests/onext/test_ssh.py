"""How other machines are reached."""

from pathlib import Path

import pytest

from onext import ssh


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=touch /tmp/x", "a;b", "$(id)", "a b", "", "-", "a\nb", "a@b", "fe80::1%$(id)"]
)
def test_no_command_is_made_from_a_forged_name(name: str) -> None:
    """A delegated manager who can rename hosts must not run commands on the front-end."""
    with pytest.raises(ValueError, match="no command is run"):
        ssh.command(name, ["true"], timeout=10)


def test_ssh_is_strict() -> None:
    """No question, no unknown key, no agent, no forwarding, an end to waiting, the name after `--`."""
    command = ssh.command("node-a1", ["ip", "--json", "address"], timeout=10, config=Path("/x"))
    for option in (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "ConnectTimeout=5",
    ):
        assert option in command
    assert command[:3] == ["ssh", "-F", "/x"]
    assert command[command.index("--") + 1 :] == ["node-a1", "ip --json address"]


def test_a_server_may_be_named_by_its_address() -> None:
    """Endpoints of a zone often hold addresses."""
    assert ssh.command("fd00::1", ["true"], timeout=10)[-2:] == ["fd00::1", "true"]


def test_words_stay_words() -> None:
    """The remote shell must see what we gave, not what it makes of it."""
    assert ssh.command("node", ["echo", "a b", "$(id)"], timeout=10)[-1] == "echo 'a b' '$(id)'"

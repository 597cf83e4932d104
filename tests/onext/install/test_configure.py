"""Files of others: changed only after a look, and as before at the end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from onext.install import configure, manifest, promtool, restricted_attr, service, versions
from onext.install.front_end import FrontEnd
from onext.install.manifest import Manifest

ONED = b"""\
# a latin-1 letter in a comment: \xe9
AUTH_MAD = [
    EXECUTABLE = "one_auth_mad",
    AUTHN = "ssh,x509"
]
VM_RESTRICTED_ATTR = "CONTEXT/FILES"
VM_RESTRICTED_ATTR = "NIC/MAC"
AUTH_MAD_CONF = [ NAME = "core", MAX_TOKEN_TIME = "-1" ]
"""


@pytest.fixture
def front_end(
    bare: tuple[Path, FrontEnd],
    make_home: Callable[[FrontEnd, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> FrontEnd:
    _, found = bare
    monkeypatch.setattr(service, "renew", lambda _: None)  # there is no systemd
    (found.paths.etc / "oned.conf").write_bytes(ONED)
    manifest.make_folder(found.paths.lib)
    versions.switch(found.paths.lib, make_home(found, "1"))
    return found


def oned_conf(front_end: FrontEnd) -> bytes:
    return (front_end.paths.etc / "oned.conf").read_bytes()


def test_nothing_changes_without_a_yes(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The diff is shown first; whoever says no, or cannot be asked, keeps the file."""
    shown: list[str] = []
    (front_end.paths.etc / "prometheus").mkdir()
    (front_end.paths.etc / "prometheus/prometheus.yml").write_text("scrape_configs: []\n")
    monkeypatch.setattr(promtool, "check", lambda *_: None)
    monkeypatch.setattr(configure, "say", shown.append)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert configure.configure(front_end, yes=False) == 1
    assert oned_conf(front_end) == ONED
    assert "+AUTH_MAD_CONF" in "".join(shown)
    assert "job_name: opennebula_vms" in "".join(shown)


def test_put_in_once_and_taken_out_byte_for_byte(front_end: FrontEnd) -> None:
    """Our lines stand in oned.conf until the uninstall, which brings back every byte."""
    assert configure.left(front_end)
    assert configure.configure(front_end, yes=True) == 0
    changed = oned_conf(front_end)
    assert b"ssh,x509,biscuit" in changed
    assert b"\xe9" in changed
    assert not any(
        check.level == "warn" and "oned.conf" in check.name for check in configure.checks(front_end)
    )
    assert configure.configure(front_end, yes=True) == 0
    assert oned_conf(front_end) == changed
    (told,) = configure.take_out(front_end, Manifest.load(front_end.paths.lib))
    assert oned_conf(front_end) == ONED
    assert "oned.conf: onext's lines are removed; to make that effective: " in told
    assert told.endswith(("restart opennebula", "restart oned"))


def test_a_persons_later_change_stays(front_end: FrontEnd) -> None:
    """What an administrator wrote after us is kept when our lines are taken out."""
    configure.configure(front_end, yes=True)
    path = front_end.paths.etc / "oned.conf"
    path.write_bytes(path.read_bytes() + b"PORT = 2634\n")
    configure.take_out(front_end, Manifest.load(front_end.paths.lib))
    assert oned_conf(front_end) == ONED + b"PORT = 2634\n"


def test_pins_are_restricted_and_free_again() -> None:
    """Tenants cannot pin VMs, nor raise their restart priority; the lines go behind those of their kind."""
    text = ONED.decode("latin-1")
    added = restricted_attr.add(text)
    assert '"NIC/MAC"\n# onext' in added
    for name in ("ONEXT_POWER_PIN", "ONEXT_HA_PRIORITY", "ONEXT_HA_ACTION", "ONEXT_HA_READY"):
        assert f'VM_RESTRICTED_ATTR = "{name}"\n' in added
    assert len(restricted_attr.problems(text)) == 4
    assert not restricted_attr.problems(added)
    assert restricted_attr.add(added) == added
    assert restricted_attr.remove(added) == text


def test_a_line_that_an_administrator_wrote_is_enough() -> None:
    """Where the attributes are restricted already, nothing is added, and nothing taken out."""
    text = "".join(f'VM_RESTRICTED_ATTR="{name}"\n' for name in restricted_attr.ATTRIBUTES)
    assert restricted_attr.add(text) == text
    assert restricted_attr.remove(text) == text
    assert restricted_attr.problems(text.replace("VM_", "#VM_", 1))


def test_an_installation_that_restricts_pins_gets_what_is_new() -> None:
    """After an upgrade the restart priorities would be ignored, while --configure finds nothing to do."""
    text = f'{restricted_attr._MARK}VM_RESTRICTED_ATTR = "ONEXT_POWER_PIN"\nPORT = 2633\n'
    added = restricted_attr.add(text)
    assert restricted_attr.problems(added) == []
    assert restricted_attr.remove(added) == "PORT = 2633\n"

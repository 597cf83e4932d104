"""What OpenNebula hands over, and what another caller might."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import action
from drivers.vmm.migrate.onext_migrate.errors import BadInputError

ARGUMENTS = ["one-7", "node-b", "node-a", "7", "node-a"]
XML = b"<VMM_DRIVER_ACTION_DATA><DATASTORE><TEMPLATE><SHARED>YES</SHARED></TEMPLATE></DATASTORE></VMM_DRIVER_ACTION_DATA>"


def test_over_ssh(recordings: Path) -> None:
    """The default way: raw XML on the source hypervisor, as OpenNebula 7.0.2 sent it."""
    read = action.read(ARGUMENTS, (recordings / "vmm/migrate.over-ssh.stdin.xml").read_bytes())
    assert (read.domain, read.destination, read.source) == ("one-7", "node-b", "node-a")
    assert not read.local
    assert read.destination_cluster == "102"


def test_local_action(recordings: Path) -> None:
    """With `-l migrate` the same comes in base64, to the front-end; what is handed over is the XML."""
    read = action.read(ARGUMENTS, (recordings / "vmm/migrate.local-action.stdin.b64").read_bytes())
    assert read.local
    assert (
        read.xml.rstrip() == (recordings / "vmm/migrate.local-action.stdin.decoded.xml").read_bytes().rstrip()
    )


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize(
    "name", ["-oProxyCommand=touch", "a;b", "$(id)", "a b", "", "a\n", "`id`", "../x", "a'b", "a|b"]
)
def test_names_that_are_options_or_shell(place: int, name: str) -> None:
    """A name becomes a word of ssh and virsh command lines: it must not become more."""
    words = list(ARGUMENTS)
    words[place] = name
    with pytest.raises(BadInputError, match="is not a name"):
        action.read(words, XML)


@given(st.text(max_size=20))
def test_accepted_names_are_harmless(name: str) -> None:
    """Whatever is accepted survives a shell and cannot be taken for an option."""
    try:
        action.check_host("host", name)
    except BadInputError:
        return
    assert name[0].isalnum()
    assert not set(name) & set(" \t\n'\"\\;&|<>()$`*?[]{}~#!/@%=")


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (XML[:60], "cut or broken"),
        (b"", "cut or broken"),
        (b"<!DOCTYPE x [<!ENTITY y 'z'>]>" + XML, "entities"),
        (
            b"<?xml version='1.0'?><!DOCTYPE VMM_DRIVER_ACTION_DATA SYSTEM 'file:///etc/passwd'>" + XML,
            "DOCTYPE",
        ),
        (b"<VM/>", "VMM_DRIVER_ACTION_DATA"),
        (b"not xml, not base64", "neither"),
        (base64.b64encode(XML[:60]), "cut or broken"),
        (b"*" + base64.b64encode(XML), "neither"),
    ],
)
def test_bad_payloads(payload: bytes, why: str) -> None:
    """A clear line instead of a migration on half of an order."""
    with pytest.raises(BadInputError, match=why):
        action.read(ARGUMENTS, payload)


def test_too_few_arguments() -> None:
    """A person calls it by hand."""
    with pytest.raises(BadInputError, match="deploy_id destination source"):
        action.read(["one-7"], XML)


def test_the_least_that_is_an_order() -> None:
    """OpenNebula's older drivers give three words: refusing them would refuse every migration."""
    read = action.read(ARGUMENTS[:3], XML)
    assert (read.domain, read.destination, read.source) == ("one-7", "node-b", "node-a")
    with pytest.raises(BadInputError, match="got 2"):
        action.read(ARGUMENTS[:2], XML)


@pytest.mark.parametrize(
    ("shared", "expected"), [(b"YES", True), (b" yes ", True), (b"NO", False), (b"", False)]
)
def test_whether_the_disks_stay_where_they_are(shared: bytes, expected: bool) -> None:
    """With local disks OpenNebula deletes the source's folder afterwards; a mistake costs the snapshots."""
    assert action.read(ARGUMENTS, XML.replace(b"YES", shared)).shared is expected
    assert not action.read(ARGUMENTS, b"<VMM_DRIVER_ACTION_DATA/>").shared

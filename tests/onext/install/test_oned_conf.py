"""oned.conf: what is added is right, everything else stays, and all of it can be taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.install.oned_conf import OnedConfError, add, attributes, diff, problems, remove

SHIPPED = """\
#*******************************************************************************
# Auth Manager Configuration
#   authn     : list of authentication modules separated by commas
#*******************************************************************************
LOG = [
  SYSTEM      = "file",
  DEBUG_LEVEL = 3
]
PORT = 2633
SCRIPTS_REMOTE_DIR=/var/tmp/one

AUTH_MAD = [
    EXECUTABLE = "one_auth_mad",
    AUTHN = "ssh,x509,ldap,server_cipher,server_x509"
]

#DEFAULT_AUTH = "default"
SESSION_EXPIRATION_TIME = 900

AUTH_MAD_CONF = [
    NAME = "core",
    PASSWORD_CHANGE = "YES",
    DRIVER_MANAGED_GROUPS = "NO",
    MAX_TOKEN_TIME = "-1"
]

AUTH_MAD_CONF = [
    NAME = "ldap",
    MAX_TOKEN_TIME = "86400"
]

VN_MAD_CONF = [
    NAME = "dummy",
    BRIDGE_TYPE = "linux"
]
"""
ENTRY = """
AUTH_MAD_CONF = [
    NAME = "biscuit",
    MAX_TOKEN_TIME = "-1"  # for ever
]
"""
READY = add(SHIPPED)


def test_adds_what_is_missing() -> None:
    """Biscuit users cannot log in, or mint tokens that bypass the driver."""
    assert len(problems(SHIPPED)) == 2
    assert problems(READY) == []
    assert 'AUTHN = "ssh,x509,ldap,server_cipher,server_x509,biscuit"\n' in READY
    assert READY.index('NAME = "biscuit"') > READY.index('NAME = "ldap"')


def test_adds_lines_only() -> None:
    """An administrator's own lines change under his hands."""
    gone = [line for line in diff(SHIPPED, READY, "oned.conf").splitlines() if line.startswith("-")]
    assert gone == ["--- oned.conf", '-    AUTHN = "ssh,x509,ldap,server_cipher,server_x509"']
    assert diff(READY, READY, "oned.conf") == ""


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED,
        SHIPPED + ENTRY,
        SHIPPED + ENTRY.rstrip("\n"),
        SHIPPED.rstrip("\n") + "\n" + ENTRY + ENTRY.replace("-1", "86400"),
        'AUTH_MAD=[authn="ssh"]',
        'FOO=1 AUTH_MAD = [ AUTHN = "ssh" ] BAR=2\n',
        '  auth_mad = [ executable = one_auth_mad, AuthN = "ssh" ] # mine\n# end, no newline',
        'AUTH_MAD = [\n  # AUTHN = "x",\n  AUTHN = "ssh, x509", # two\n  THREADS = 3\n]\n\n\n',
        'AUTH_MAD = [ EXECUTABLE = "one_auth_mad" ]\nA = "]\\"#["\n',
        'AUTH_MAD = [ AUTHN = "" ]\nEMPTY =\n',
        SHIPPED.replace('server_x509"', 'server_x509,biscuit"'),
        SHIPPED.replace('"ssh,x509', '"biscuit,ssh,x509') + ENTRY.replace('"-1"', '"0"'),
        'AUTH_MAD = [ AUTHN = "ssh" ] NEXT = [\n A = "1" ]\nLAST = 1',
        SHIPPED + "# caf\udce9 in latin-1\n",
    ],
)
def test_right_once_and_can_be_undone(text: str) -> None:
    """The second run adds it again, or the uninstallation leaves another file than there was."""
    ready = add(text)
    assert problems(ready) == []
    assert add(ready) == ready
    assert remove(ready) == text
    assert remove(text) == text


def test_a_wrong_entry_is_replaced_and_kept_as_a_comment() -> None:
    """The entry that a user exploits stays in force beside ours, or is lost."""
    before = SHIPPED + ENTRY
    assert [p for p in problems(before) if "MAX_TOKEN_TIME" in p]
    after = add(before)
    assert '#onext#     MAX_TOKEN_TIME = "-1"  # for ever\n' in after
    assert problems(after) == []


def test_an_administrators_later_changes_stay() -> None:
    """Whoever edits the file after the installation loses that with the uninstallation."""
    edited = READY.replace('biscuit"\n', 'biscuit,saml"\n').replace("PORT = 2633", "PORT = 2634")
    undone = remove(edited)
    assert undone == SHIPPED.replace("server_x509", "server_x509,saml").replace("2633", "2634")


def test_what_the_administrator_added_is_his() -> None:
    """The uninstallation takes biscuit out of a list into which somebody else put it."""
    own = SHIPPED.replace('server_x509"', 'server_x509,biscuit"')
    assert 'server_x509,biscuit"' in remove(add(own))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PORT = 2633\n", "AUTH_MAD"),
        ('AUTH_MAD = [\n AUTHN = "ssh"\n', "line 3"),
        ('A = 1\nAUTH_MAD = [ AUTHN = "ssh" B = 2 ]', "line 2: a comma"),
        ("A = 1\nAUTH_MAD = [ AUTHN = ssh ]", "line 2: put the value of AUTHN in quotes"),
        ('AUTH_MAD = [ AUTHN = "ssh" ] AUTH_MAD_CONF = [ NAME = "biscuit" ]', "line 1: put this AUTH_MAD_CONF"),
        ("!", "line 1: NAME = value"),
        ("A = ,", "line 1: A has no value"),
    ],
)  # fmt: skip
def test_refuses_with_the_line(text: str, message: str) -> None:
    """A file that oned would not read either is made worse."""
    with pytest.raises(OnedConfError, match=message):
        add(text)


def test_reads_every_attribute() -> None:
    """A bracket in a value or a comment hides the rest of the file."""
    names = [attribute.name for attribute in attributes(SHIPPED)]
    assert names == [
        "LOG", "PORT", "SCRIPTS_REMOTE_DIR", "AUTH_MAD", "SESSION_EXPIRATION_TIME",
        "AUTH_MAD_CONF", "AUTH_MAD_CONF", "VN_MAD_CONF",
    ]  # fmt: skip


SCALAR = st.sampled_from(['A = "x"', "B=2", 'C = "#[,]="', "d =", "E = [ ]", 'F = [ G = "1", H = i ]'])
MAD = st.sampled_from(
    ['AUTH_MAD = [ AUTHN = "ssh" ]', 'AUTH_MAD=[EXECUTABLE=x,\n\tAUTHN="a, b" # c\n]', "AUTH_MAD = [ ]"]
)
CONF = st.sampled_from(
    [
        'AUTH_MAD_CONF = [ NAME = "core" ]',
        'AUTH_MAD_CONF = [\n NAME = "biscuit" ]',
        '\tAUTH_MAD_CONF = [\n\n NAME = biscuit,\n MAX_TOKEN_TIME = "5" ] # x',
    ]
)
SPACE = st.sampled_from(["\n", "\n\n", "  \n", "\n# AUTH_MAD = [\n", "\n\t# ]\n"])


@given(st.lists(SCALAR), MAD, st.lists(CONF), SPACE, st.booleans())
def test_undo_of_any_file(scalars: list[str], mad: str, confs: list[str], space: str, newline: bool) -> None:
    """Some layout of the file cannot be given back as it was."""
    text = space.join([*scalars, mad, *confs, *scalars]) + ("\n" if newline else "")
    ready = add(text)
    assert problems(ready) == []
    assert add(ready) == ready
    assert remove(ready) == text

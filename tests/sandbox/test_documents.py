"""Documents and locks: what records that authorise something rest on."""

import re
from typing import Any

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
USE, MANAGE, ADMIN, ALL = 1, 2, 3, 4
OURS, OTHERS = 4321, 100


def test_a_document_lives(sandbox: Sandbox) -> None:
    """A record could not be written, read again, merged, found by its type, or removed."""
    oid = sandbox.call("document.allocate", 'NAME="lease" HOST="node-1" SEEN="1"', OURS)
    other = sandbox.call("document.allocate", 'NAME="lease"', OTHERS)
    nameless = sandbox.call("document.allocate", 'HOST="node-2"', OURS)
    sandbox.call("document.update", oid, 'SEEN="2" BY="bmc"', 1)
    found = sandbox.call("document.info", oid, True)
    assert re.search(r"<NAME>lease</NAME><TYPE>4321</TYPE><PERMISSIONS>", found)
    for line in ("<HOST><![CDATA[node-1]]>", "<SEEN><![CDATA[2]]>", "<BY><![CDATA[bmc]]>"):
        assert line in found
    sandbox.call("document.update", oid, 'SEEN="3"', 0)
    assert "<HOST>" not in sandbox.call("document.info", oid)
    assert listed(sandbox, OURS) == [nameless, oid]
    assert listed(sandbox, OTHERS) == [other]
    assert f"<NAME>document-{nameless}</NAME>" in sandbox.call("document.info", nameless)
    sandbox.call("document.delete", oid)
    gone = sandbox.answer("one.document.info", oid)
    assert gone[1:3] == [f"[one.document.info] Error getting document [{oid}].", 0x400]


def test_only_oneadmin_writes_its_documents(sandbox: Sandbox) -> None:
    """A tenant could forge a record that lets a host be switched off."""
    oid = sandbox.call("document.allocate", 'NAME="lease"', OURS)
    sandbox.call("document.chmod", oid, 1, 1, 0, 0, 0, 0, 0, 0, 0)
    sandbox.call("user.allocate", "bob", "secret", "core")
    bob = "bob:secret"
    for method, arguments in (("info", ()), ("update", ("A=1", 1)), ("lock", (ALL, True)), ("delete", ())):
        assert sandbox.answer(f"one.document.{method}", oid, *arguments, session=bob)[2] == 0x200, method
    assert listed(sandbox, OURS, session=bob) == []
    own = sandbox.call("document.allocate", "A=1", OURS, session=bob)
    assert "<UNAME>bob</UNAME>" in sandbox.call("document.info", own)


def test_a_lock_that_is_asked_for_is_got_once(sandbox: Sandbox) -> None:
    """Two leaders could both believe that they hold a record."""
    oid = sandbox.call("document.allocate", "A=1", OURS)
    sandbox.call("document.lock", oid, ALL, True)
    second = sandbox.answer("one.document.lock", oid, ALL, True)
    assert (second[0], second[2]) == (False, 0x800)
    sandbox.call("document.lock", oid, ALL, False)  # an administrator takes it over
    assert re.search(
        r"<LOCK><LOCKED>1</LOCKED><OWNER>0</OWNER><TIME>\d+</TIME><REQ_ID>",
        sandbox.call("document.info", oid),
    )
    refused = sandbox.answer("one.document.update", oid, "A=2", 1)
    assert refused[1:3] == [f"[one.document.update] User [0] : DOCUMENT is locked. [{oid}].", 0x200]
    sandbox.call("document.unlock", oid)
    sandbox.call("document.update", oid, "A=2", 1)
    assert "<LOCK>" not in sandbox.call("document.info", oid)


@pytest.mark.parametrize(
    ("level", "kept", "updates"), [(USE, 1, False), (MANAGE, 2, False), (ADMIN, 3, True)]
)
def test_every_lock_refuses_a_migration(sandbox: Sandbox, level: int, kept: int, updates: bool) -> None:
    """A migration of a locked VM would be tried for ever: oned refuses it to oneadmin too."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.call("host.allocate", "node-a2", "kvm", "kvm", 0)
    sandbox.until(lambda: sandbox.call("hostpool.info").count("<STATE>2</STATE>") == 2)
    oid = sandbox.call("vm.allocate", "CPU=1 MEMORY=64", True)
    sandbox.call("vm.deploy", oid, 0)
    sandbox.until(lambda: "<LCM_STATE>3<" in sandbox.call("vm.info", oid))
    sandbox.call("vm.lock", oid, level, False)
    assert f"<LOCK><LOCKED>{kept}</LOCKED><OWNER>" in sandbox.call("vm.info", oid)
    assert f"<LOCK><LOCKED>{kept}</LOCKED></LOCK><TEMPLATE>" in sandbox.call("vmpool.info", -2, -1, -1, -1)
    refused = sandbox.answer("one.vm.migrate", oid, 1, True, False, -1, 0)
    assert refused[1:3] == [f"[one.vm.migrate] User [0] : VM is locked. [{oid}].", 0x200]
    assert sandbox.answer("one.vm.update", oid, "A=1", 1)[0] is updates
    sandbox.call("vm.unlock", oid)
    sandbox.call("vm.migrate", oid, 1, True, False, -1, 0)


def listed(sandbox: Sandbox, kind: int, **session: Any) -> list[int]:
    """Return the ids of the documents of a type, as the pool lists them."""
    found = sandbox.call("documentpool.info", -2, -1, -1, kind, **session)
    return [int(number) for number in re.findall(r"<DOCUMENT><ID>(\d+)<", found)]

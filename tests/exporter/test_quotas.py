"""Quotas: what is used, and the limit that counts, by user and group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import quotas
from exporter.metric_families import QUOTA
from onext.oned.errors import Malformed
from tests.exporter.made_up import GROUPS, USERS


def rendered(document: str, kind: str = "user") -> dict[str, str]:
    """Return the samples of a pool as text."""
    found = quotas.read(document.replace("\n", "").encode(), kind)
    lines = found.samples.render(QUOTA).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def of_alice(metric: str, resource: str, of: str = "") -> str:
    """Return the name of a sample."""
    return f'opennebula_quota_{metric}{{kind="user",id="2",name="alice",resource="{resource}",object="{of}"}}'


def test_what_is_used_and_the_limits() -> None:
    """Memory and disks are in bytes; an administrator's own resource counts like oned's."""
    found = rendered(USERS)
    assert found[of_alice("used", "vm_cpu")] == "2.5"
    assert found[of_alice("limit", "vm_cpu")] == "10.0"
    assert found[of_alice("used", "vm_memory_bytes")] == str(float(2048 << 20))
    assert found[of_alice("used", "datastore_size_bytes", "1")] == str(float(512 << 20))
    assert found[of_alice("limit", "datastore_size_bytes", "1")] == str(float(1024 << 20))
    assert found[of_alice("used", "network_leases", "0")] == "4.0"
    assert found[of_alice("limit", "vm_cpu", "100,101")] == "4.0"
    assert found[of_alice("limit", "vm_gpus")] == "4.0"
    assert found[of_alice("limit", "image_rvms", "7")] == "0.0"  # nothing is allowed, which is a limit


def test_a_limit_that_is_the_default_or_none() -> None:
    """-1 is the default of all users, -2 no limit: neither may be shown as a number below 0."""
    found = rendered(USERS)
    assert found[of_alice("limit", "vm_memory_bytes")] == str(float(4096 << 20))
    assert of_alice("limit", "vm_vms") not in found
    assert of_alice("limit", "datastore_images", "1") not in found
    assert of_alice("limit", "network_leases", "0") not in found  # -1, and there is no default
    assert not any(value.startswith("-") for value in found.values())


def test_groups() -> None:
    """The same for groups."""
    found = rendered(GROUPS, "group")
    name = 'opennebula_quota_{}{{kind="group",id="1",name="users",resource="vm_cpu",object=""}}'
    assert (found[name.format("used")], found[name.format("limit")]) == ("2.5", "100.0")


def test_a_template_is_no_quota() -> None:
    """A user who writes QUOTAS or NAME into a template must not change what is shown."""
    found = rendered(USERS)
    assert not any('id="9"' in name or "mallory" in name for name in found)


def test_C7_a_quota_that_cannot_be_read_hides_no_other() -> None:
    """The others stay, and the loss is counted."""
    broken = USERS.replace("<CPU_USED>2.5<", "<CPU_USED>nan<").replace(
        "<DEFAULT_USER", "<QUOTAS><ID>x</ID></QUOTAS><QUOTAS></QUOTAS><DEFAULT_USER"
    )
    found = quotas.read(broken.replace("\n", "").encode(), "user")
    text = found.samples.render(QUOTA).decode()
    assert found.errors == 2
    assert of_alice("used", "vm_cpu") + " " not in text
    assert of_alice("used", "vm_memory_bytes") + " " in text


@pytest.mark.parametrize("document", ["", "<GROUP_POOL></GROUP_POOL>", "<USER_POOL><USER>", "rubbish"])
def test_a_document_that_is_none(document: str) -> None:
    """Half a pool would look like users without quotas."""
    with pytest.raises(Malformed):
        quotas.read(document.encode(), "user")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_a_name_cannot_leave_its_label(name: str) -> None:
    """A user's name must not add a metric."""
    document = USERS.replace("<NAME>alice</NAME>", f"<NAME><![CDATA[{name.replace(']]>', '')}]]></NAME>")
    text = quotas.read(document.encode(), "user").samples.render(QUOTA).decode()
    assert text.count("\n") == quotas.read(USERS.encode(), "user").samples.render(QUOTA).count(b"\n")
    assert max(map(len, text.split("\n"))) < 1500


def test_a_document_with_line_breaks_is_the_same() -> None:
    """What a tool or a later release writes between the elements must not replace the values."""
    spread = USERS.replace("\n", "").replace("><", ">\n  <")
    text = quotas.read(spread.encode(), "user").samples.render(QUOTA)
    assert text == quotas.read(USERS.replace("\n", "").encode(), "user").samples.render(QUOTA)


def test_so_many_resources_of_a_quota_are_shown() -> None:
    """An administrator's template must not become a thousand series for each user."""
    own = "".join(f"<OWN_{number}_USED>1</OWN_{number}_USED>" for number in range(70))
    found = rendered(
        f"<USER_POOL><USER><ID>2</ID><NAME>alice</NAME></USER><QUOTAS><ID>2</ID><VM_QUOTA><VM>{own}</VM></VM_QUOTA>"
        "</QUOTAS></USER_POOL>"
    )
    assert len(found) == 64
    assert of_alice("used", "vm_own_63") in found

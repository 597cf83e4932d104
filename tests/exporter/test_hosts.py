"""Hosts and datastores that are odd: each is left out whole, counted, and hides no other."""

from __future__ import annotations

import pytest

from exporter import datastores, hosts
from exporter.metric_families import DATASTORE, HOST

SHARE = "".join(
    f"<{key}>{value}</{key}>"
    for key, value in {
        "MEM_USAGE": 1024, "CPU_USAGE": 50, "TOTAL_MEM": 4096, "TOTAL_CPU": 800, "MAX_MEM": 4000, "MAX_CPU": 700,
    }.items()
)  # fmt: skip
HOST_XML = (
    f"<HOST><ID>3</ID><NAME>node-a1</NAME><STATE>2</STATE><CLUSTER_ID>100</CLUSTER_ID><CLUSTER>alpha</CLUSTER>"
    f"<HOST_SHARE>{SHARE}<DATASTORES><DISK_USAGE>0</DISK_USAGE></DATASTORES></HOST_SHARE>"
    "<VMS><ID>7</ID><ID>9</ID></VMS><TEMPLATE><NAME>other</NAME><VMS><ID>1</ID></VMS></TEMPLATE></HOST>"
)
DATASTORE_XML = (
    "<DATASTORE><ID>1</ID><TOTAL_MB>10</TOTAL_MB><USED_MB>4</USED_MB><FREE_MB>6</FREE_MB>"
    "<IMAGES><ID>0</ID></IMAGES></DATASTORE>"
)


def test_a_host() -> None:
    """Memory is in KB, and what a template says is not the host's."""
    found = hosts.read([HOST_XML.encode()])
    text = found.samples.render(HOST).decode()
    assert 'opennebula_host_mem_total_bytes{one_host_id="3"} 4194304\n' in text
    assert 'opennebula_host_cpu_usage_ratio{one_host_id="3"} 50\n' in text
    assert 'opennebula_host_vms{one_host_id="3"} 2\n' in text
    assert 'name="node-a1",one_cluster_id="100",cluster="alpha"' in text
    assert (found.places, found.errors) == ({3: "node-a1"}, 0)


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("<STATE>2</STATE>", "<STATE>x</STATE>"),
        ("<STATE>2</STATE>", "<STATE>" + "2" * 30 + "</STATE>"),
        ("<NAME>node-a1</NAME>", ""),
        ("</HOST_SHARE>", ""),
    ],
)
def test_C7_a_host_that_cannot_be_read_hides_no_other(part: str, instead: str) -> None:
    """The others stay, and the loss is counted."""
    broken = HOST_XML.replace(part, instead)
    found = hosts.read([broken.encode(), HOST_XML.replace("<ID>3<", "<ID>4<").encode()])
    text = found.samples.render(HOST).decode()
    assert found.errors == 1
    assert 'one_host_id="3"' not in text
    assert 'opennebula_host_state{one_host_id="4"} 2\n' in text
    assert "opennebula_host_total 2\n" in text


@pytest.mark.parametrize(
    "instead", ["", "<MAX_CPU></MAX_CPU>", "<MAX_CPU>x</MAX_CPU>", "<MAX_CPU>-1</MAX_CPU>"]
)
def test_C7_a_value_that_cannot_be_read_is_no_sample(instead: str) -> None:
    """A host whose monitoring is incomplete is still in error or off, and has its VMs: alerts need its state."""
    found = hosts.read([HOST_XML.replace("<MAX_CPU>700</MAX_CPU>", instead).encode()])
    text = found.samples.render(HOST).decode()
    assert "cpu_maximum_ratio" not in text
    assert 'opennebula_host_state{one_host_id="3"} 2\n' in text
    assert 'opennebula_host_mem_total_bytes{one_host_id="3"} 4194304\n' in text
    assert found.errors == 1


def test_C7_a_broken_datastore_hides_no_other() -> None:
    """The same for datastores."""
    nameless = DATASTORE_XML.replace("<ID>1<", "<ID>x<", 1)
    partly = DATASTORE_XML.replace("<FREE_MB>6<", "<FREE_MB><")
    found = datastores.read(
        [nameless.encode(), partly.encode(), DATASTORE_XML.replace("<ID>1<", "<ID>2<", 1).encode()],
        named=False,
    )
    text = found.samples.render(DATASTORE).decode()
    assert found.errors == 2
    assert 'opennebula_datastore_free_bytes{one_datastore_id="1"}' not in text
    assert 'opennebula_datastore_used_bytes{one_datastore_id="1"} 4194304\n' in text
    assert 'opennebula_datastore_free_bytes{one_datastore_id="2"} 6291456\n' in text
    assert 'opennebula_datastore_images{one_datastore_id="2"} 1\n' in text
    assert "opennebula_datastore_total 3\n" in text


def test_types_of_datastores() -> None:
    """The labels of 7.4; a type that a later release adds stays what it is."""
    backup = DATASTORE_XML.replace("</ID>", '</ID><TYPE>3</TYPE><NAME><![CDATA[a"b]]></NAME>', 1)
    text = datastores.read([backup.encode(), backup.replace("<TYPE>3", "<TYPE>9").encode()]).samples.render(
        DATASTORE
    )
    assert b'{one_datastore_id="1",one_datastore_type="BACKUP",one_datastore_name="a\\"b"} 6291456' in text
    assert b'one_datastore_type="9"' in text


@pytest.mark.parametrize(
    ("state", "on"),
    [(0, False), (1, True), (2, True), (3, False), (4, True), (5, False), (6, False), (7, True), (8, False)],
)
def test_which_hosts_are_asked_for_their_power(state: int, on: bool) -> None:
    """One that is off costs a timeout in each scrape; one that is disabled still draws its power."""
    found = hosts.read([HOST_XML.replace("<STATE>2<", f"<STATE>{state}<").encode()])
    assert found.places == ({3: "node-a1"} if on else {})


def test_the_hosts_of_chosen_clusters() -> None:
    """Whoever sees the metrics of one cluster must not see the others'; an unreadable one is in none."""
    other = HOST_XML.replace("<ID>3<", "<ID>4<", 1).replace("<CLUSTER_ID>100<", "<CLUSTER_ID>101<")
    without = HOST_XML.replace("<ID>3<", "<ID>5<", 1).replace("<CLUSTER_ID>100</CLUSTER_ID>", "")
    incomplete = other.replace("<MAX_CPU>700</MAX_CPU>", "")
    found = hosts.read([one.encode() for one in (HOST_XML, other, without, incomplete)], (100,))
    text = found.samples.render(HOST).decode()
    assert (found.places, found.errors) == ({3: "node-a1"}, 0)
    assert "opennebula_host_total 1\n" in text
    assert text.count("opennebula_host_state{") == 1


def test_each_value_is_in_its_unit_and_its_host() -> None:
    """A value that is shifted to another metric or host is worse than none."""
    second = HOST_XML.replace("<ID>3<", "<ID>4<", 1).replace("<TOTAL_MEM>4096<", "<TOTAL_MEM>x<")
    text = hosts.read([second.encode(), HOST_XML.encode()]).samples.render(HOST).decode()
    for metric, value in {
        "mem_total_bytes": 4096 * 1024, "mem_maximum_bytes": 4000 * 1024, "mem_usage_bytes": 1024 * 1024,
        "cpu_total_ratio": 800, "cpu_maximum_ratio": 700, "cpu_usage_ratio": 50,
    }.items():  # fmt: skip
        assert f'opennebula_host_{metric}{{one_host_id="3"}} {value}\n' in text
        assert (f'opennebula_host_{metric}{{one_host_id="4"}} {value}\n' in text) == (
            metric != "mem_total_bytes"
        )


def test_a_host_that_was_never_monitored() -> None:
    """It has no HOST_SHARE yet: its state is what an alert needs."""
    start, end = HOST_XML.index("<HOST_SHARE>"), HOST_XML.index("<VMS>")
    found = hosts.read([(HOST_XML[:start] + HOST_XML[end:]).encode()])
    text = found.samples.render(HOST).decode()
    assert 'opennebula_host_state{one_host_id="3"} 2\n' in text
    assert 'opennebula_host_vms{one_host_id="3"} 2\n' in text
    bare = "<HOST><ID>3</ID><NAME>node-a1</NAME><STATE>2</STATE></HOST>"
    text = hosts.read([bare.encode()]).samples.render(HOST).decode()
    assert '{one_host_id="3",name="node-a1",one_cluster_id="-1",cluster=""} 1\n' in text

"""Nodes behind two NATs join over real WireGuard, are logged in to by certificate, move, leave and are cut off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import overlay
from onext.oned.client import Oned
from onext.oned.objects import Host
from tests.fixtures_sandbox import Sandbox
from tests.lab.edge_network import IPV4, IPV6, Network, Node, network, why_not
from tests.waiting import PATIENCE, until

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(why_not()) and not os.environ.get("CI"), reason=why_not() or "ready"),
]
CONNECT = "import socket,sys; s=socket.create_connection((sys.argv[1], int(sys.argv[2])), 3); print('open')"
_LISTEN = "import socket; s=socket.create_server(('::', {}), family=socket.AF_INET6, dualstack_ipv6=True); [s.accept() for _ in iter(int, 1)]"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the overlay IPv6 addresses; IPv4 ones too in what differs, or in all with --lab=all."""
    if "pool" in metafunc.fixturenames:
        both = metafunc.config.getoption("--lab") == "all" or "join_roam" in metafunc.function.__name__
        metafunc.parametrize(
            "pool", [IPV6, IPV4] if both else [IPV6], ids=lambda pool: pool.replace("/", "-")
        )


@pytest.fixture
def net(tmp_path: Path, sandboxes: Callable[..., Sandbox], pool: str) -> Iterator[Network]:
    """Return the network with a front-end that is ready."""
    assert not why_not()
    with network(tmp_path, sandboxes, pool) as made:
        yield made


def reaches(node: Node, address: str, port: int) -> bool:
    """Whether a node can open a connection."""
    return "open" in node.run("python3", "-c", CONNECT, address, str(port), check=False).stdout


def listen(node: Node, port: int) -> None:
    """Let a node listen at a port."""
    node.start("python3", "-c", _LISTEN.format(port))


_OWN_HOSTS = "127.0.0.1 localhost\n192.168.1.9 printer\n"


def test_join_roam_restart_leave_and_revoke(net: Network) -> None:
    """What an operator of edge sites does in a year, over real tunnels, NATs and sshd."""
    token = net.token("--name", "a*", "--uses", "2")
    a1, a2, b1 = net.node("a1", "a", 10), net.node("a2", "a", 11), net.node("b1", "b", 12)
    hosts = _own_hosts(a1)
    for node in (a1, a2):
        assert "the host is MONITORED" in node.join(token).stdout
    assert "onext" in hosts.read_text()
    assert "used 2 of 2" in b1.join(token, name="a3", check=False).stderr
    b1.join(net.token("--name", "b1", "--cluster", "101"))
    _logs_in(net, a1)
    _clusters_are_apart(net, a1, a2, b1)
    _one_name_twice(net, a1)
    _roams(net, a1)
    _reboots(net, a1)
    _is_installed_anew(net, a1)
    _hub_restarts(net, a1)
    _is_revoked(net, a2)
    if ":" in net.hub_address:  # it does not differ with IPv4
        _keys_are_rotated(net, a1)
    _leaves(net, a1)


def _logs_in(net: Network, node: Node) -> None:
    """Log in by the certificate only: no question, no other authority, no other network."""
    done = net.ssh(node.name, "echo", "in")
    assert (done.stdout, done.stderr) == ("in\n", "")
    assert net.ssh(node.address, "echo", "in").stdout == "in\n"
    foreign = net.folder / "foreign"
    for name in ("ca", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{foreign}-{name}"], check=True)
    words = ["-s", f"{foreign}-ca", "-I", "x", "-n", "oneadmin,root", f"{foreign}-user.pub"]
    subprocess.run(["ssh-keygen", "-q", *words], check=True)
    options = [
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"CertificateFile={foreign}-user-cert.pub",
        "-i",
        f"{foreign}-user",
    ]
    denied = net.front.run("ssh", *options, "-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o",
                           "UserKnownHostsFile=/dev/null", "-l", "root", node.address, "true", check=False)  # fmt: skip
    assert "Permission denied" in denied.stderr
    ours = ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-l", "root"]
    ours += ["-o", "UserKnownHostsFile=/dev/null", "-i", str(net.bundle.var / "edge/user_key")]
    outside = net.nats["a"].run("ssh", *ours, "192.168.1.10", "true", check=False)
    assert "Permission denied" in outside.stderr, "the authority counts for overlay addresses only"


def _clusters_are_apart(net: Network, a1: Node, a2: Node, b1: Node) -> None:
    """Reach ssh and migration ports of one's own cluster through the hub, and nothing else."""
    for node in (a1, b1):
        listen(node, 49152)
        listen(node, 8080)
    until(lambda: reaches(a2, a1.address, 49152), "a migration port within the cluster")
    assert reaches(a2, a1.address, 22)
    assert not reaches(a2, a1.address, 8080)
    assert not reaches(a2, b1.address, 22)
    assert not reaches(b1, a1.address, 49152)
    hub = net.hub_address
    net.front.start("python3", "-c", _LISTEN.format(2633))
    assert reaches(a2, hub, 8443)
    assert not reaches(a2, hub, 2633), "oned is not for nodes"
    net.front.run("nft", "flush", "ruleset")
    until(lambda: not reaches(a2, hub, 2633), "the rules again, after a firewall's restart")
    assert not reaches(a2, b1.address, 22)
    ip, stolen_address = overlay.ip(b1.address), overlay.single(b1.address)
    a2.run(*ip, "addr", "add", stolen_address, "dev", "onext-edge")
    stolen = CONNECT.replace(", 3)", f", 3, ('{b1.address}', 0))")
    assert "open" not in a2.run("python3", "-c", stolen, hub, "8443", check=False).stdout
    a2.run(*ip, "addr", "del", stolen_address, "dev", "onext-edge")


def _one_name_twice(net: Network, a1: Node) -> None:
    """Refuse a second machine with a name that is taken."""
    twin = net.node("twin", "b", 20)
    done = twin.join(net.token("--name", "a*"), name="a1", check=False)
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert net.ssh("a1", "echo", "still").stdout == "still\n"


def _roams(net: Network, a1: Node) -> None:
    """Move a node to another network: another NAT, another public address, the same host."""
    before = net.listed()["a1"]
    a1.serve()
    time.sleep(3)  # it looks at its addresses first
    a1.run("ip", "link", "del", "eth0")
    net.plug(a1, "b", 30)
    until(lambda: net.ssh("a1", "echo", "moved").stdout == "moved\n", "the tunnel from the other network")
    endpoints = net.front.run("wg", "show", "onext-edge", "endpoints").stdout
    assert "203.0.113.194" in endpoints
    assert a1.edge("rejoin", "--wait", "30").returncode == 0
    assert net.listed()["a1"] == before


def _reboots(net: Network, a1: Node) -> None:
    """Lose power: the service brings the tunnel up again, to the same host."""
    before = net.listed()["a1"]
    a1.power_off()
    a1.serve()
    until(lambda: net.ssh("a1", "echo", "up").stdout == "up\n", "the tunnel after the reboot")
    assert net.listed()["a1"] == before


def _is_installed_anew(net: Network, a1: Node) -> None:
    """Replace the disk: a token for this name gives the host back, and the old machine is out."""
    before, old = net.listed()["a1"], a1.run("wg", "show", "onext-edge", "public-key").stdout.strip()
    token = net.token("--name", "a1")
    a1.power_off()
    a1.install_anew()
    _own_hosts(a1)
    assert "the host is MONITORED" in a1.join(token).stdout
    a1.serve()
    until(lambda: net.ssh("a1", "echo", "new").stdout == "new\n", "the tunnel of the new installation")
    assert net.listed()["a1"]["host"] == before["host"]
    assert old not in net.front.run("wg", "show", "onext-edge", "peers").stdout


def _hub_restarts(net: Network, a1: Node) -> None:
    """Restart the hub's process without a cut, then lose its interface as at a reboot."""
    assert net.hub is not None
    net.hub.kill()
    net.hub.wait()
    assert net.ssh("a1", "echo", "on").stdout == "on\n"
    net.front.run("ip", "link", "del", "onext-edge")
    net.start_hub()
    until(lambda: net.ssh("a1", "echo", "again").stdout == "again\n", "the tunnel after the hub's start")


def _keys_are_rotated(net: Network, a1: Node) -> None:
    """Replace the hub's key and oneadmin's while the node's service runs, and no person visits the node."""
    former = net.front.run("wg", "show", "onext-edge", "public-key").stdout
    net.bundle.onext("edge", "rotate", "hub")
    until(
        lambda: net.front.run("wg", "show", "onext-edge", "public-key").stdout != former, "the hub's new key"
    )
    until(lambda: net.ssh("a1", "echo", "found").stdout == "found\n", "the tunnel with it", 3 * PATIENCE)
    copies = [net.folder / "copy", net.folder / "copy-cert.pub"]
    for name, copy in zip(("user_key", "user_key-cert.pub"), copies, strict=True):
        shutil.copy(net.bundle.var / "edge" / name, copy)
    options = ["IdentitiesOnly=yes", "BatchMode=yes", f"CertificateFile={copies[1]}"]
    options += ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    given = [word for option in options for word in ("-o", option)]
    stolen = ["ssh", "-F", "/dev/null", *given, "-i", str(copies[0]), "-l", "root", a1.address, "echo", "in"]
    assert net.front.run(*stolen, check=False).stdout == "in\n"
    net.bundle.onext("edge", "rotate", "user")
    assert net.ssh("a1", "echo", "new").stdout == "new\n", "at once: the same authority certifies it"
    a1.serve()  # it asks at once, not within two minutes
    until(lambda: "denied" in net.front.run(*stolen, check=False).stderr, "the former key is refused")
    assert net.ssh("a1", "echo", "still").stdout == "still\n"
    for name, copy in zip(("user_key", "user_key-cert.pub"), copies, strict=True):
        shutil.copy(net.bundle.var / "edge" / name, copy)
    assert net.front.run(*stolen, check=False).stdout == "in\n"
    certificate = a1.root / "etc/onext-edge/ssh_host_ed25519_key-cert.pub"
    before, answers = certificate.read_text(), a1.state["key"]
    servers = a1.state["servers"]
    net.lose_certificate()
    for key in ("user-ca", "host-ca", "answers"):
        net.bundle.onext("edge", "rotate", key)
        assert net.ssh("a1", "echo", "on").stdout == "on\n", "before the node knows"
    a1.serve()
    until(lambda: "denied" in net.front.run(*stolen, check=False).stderr, "the former authority is refused")
    until(lambda: certificate.read_text() != before, "the node has a new certificate")
    until(lambda: a1.state["key"] != answers, "the node knows the new key of answers")
    assert a1.state["servers"] != servers, "and the endpoint's new certificate"
    assert net.ssh("a1", "echo", "still").stdout == "still\n"


def _is_revoked(net: Network, a2: Node) -> None:
    """Cut a node off within two seconds of the command's end, ssh too."""
    until(lambda: net.ssh("a2", "echo", "in").stdout == "in\n", "the tunnel of the other node")
    net.bundle.onext("edge", "revoke", "a2")
    ended = time.monotonic()
    until(
        lambda: (
            str(a2.state["address"]) not in net.front.run("wg", "show", "onext-edge", "allowed-ips").stdout
        ),
        "it",
    )
    assert time.monotonic() - ended < 2 or os.environ.get("CI")
    assert not reaches(a2, net.hub_address, 8443)
    assert net.ssh("a2", "true").returncode != 0
    refused = a2.edge("rejoin", "--wait", "5", check=False)
    assert refused.returncode == 1


def _leaves(net: Network, a1: Node) -> None:
    """Leave no host, no peer, no file."""
    assert json.loads(a1.edge("status", "--json").stdout)["joined"] is True
    assert a1.edge("leave").stdout.endswith("left\n")
    assert net.listed()["a1"]["state"] == "left"
    assert "a1" not in {found.name for found in _hosts(net)}
    files = {str(path.relative_to(a1.root)) for path in a1.root.rglob("*") if path.is_file()}
    assert not any("onext-edge" in name for name in files), files
    assert (a1.root / "etc/hosts").read_text() == _OWN_HOSTS
    assert a1.run("ip", "link", "show", "onext-edge", check=False).returncode == 1


def _own_hosts(node: Node) -> Path:
    """Give a node the hosts file that its administrator wrote."""
    hosts = node.root / "etc/hosts"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(_OWN_HOSTS)
    return hosts


def _hosts(net: Network) -> list[Host]:
    return Oned(net.sandbox.endpoint, net.sandbox.session, 30).hosts()


def carries(node: Node, other: Node) -> bool:
    """Whether a node sends to another one without the hub."""
    shown = node.run("wg", "show", "onext-edge", "allowed-ips").stdout
    return "\t" + overlay.single(other.address) in shown


def test_nodes_reach_each_other_without_the_hub_and_fall_back_to_it(net: Network) -> None:
    """Migrations between two sites cross the hub's line, or stop when a direct way is lost.

    No command is given on the nodes: the hub notifies them when a peer has a new endpoint.
    """
    token = net.token("--name", "*", "--uses", "3")
    a1, a2, b1 = net.node("a1", "a", 10), net.node("a2", "a", 11), net.node("b1", "b", 12)
    for node in (a1, a2, b1):
        node.join(token)
        node.serve()
    for port in (49152, 8080):
        listen(b1, port)
    pairs = ((a1, b1), (b1, a1), (a1, a2), (a2, a1))
    until(lambda: all(carries(one, other) for one, other in pairs), "direct peers")
    endpoints = a1.run("wg", "show", "onext-edge", "endpoints").stdout
    assert "203.0.113.194" in endpoints, "the other site by its NAT"
    assert "192.168.1.11" in endpoints, "the neighbour in the own network"
    net.front.run("ip", "link", "set", "wan", "down")
    until(lambda: reaches(a1, b1.address, 49152), "the way without the hub")
    assert not reaches(a1, b1.address, 8080), "the hub's rules count without the hub"
    b1.run("nft", "flush", "ruleset")
    until(lambda: not reaches(a1, b1.address, 8080), "the rules again, after a firewall's restart")
    net.front.run("ip", "link", "set", "wan", "up")
    net.front.run("ip", "route", "replace", "default", "via", "203.0.113.1")
    net.bundle.onext("edge", "revoke", "a2")
    ended = time.monotonic()
    until(lambda: not carries(a1, a2) and not carries(b1, a2), "the neighbours give it up too")
    assert time.monotonic() - ended < 15 or os.environ.get("CI"), "not when they ask next, in two minutes"
    net.nats["b"].run("iptables", "-I", "FORWARD", "-s", "203.0.113.130", "-j", "DROP")
    net.nats["b"].run("iptables", "-I", "FORWARD", "-d", "203.0.113.130", "-j", "DROP")
    until(lambda: not carries(a1, b1) and not carries(b1, a1), "the hub takes over")
    until(lambda: reaches(a1, b1.address, 49152), "the way through the hub")


def udp(net: Network, *, passes: bool) -> None:
    """Let a site's firewall drop all UDP, or pass it again."""
    net.nats["a"].run("iptables", "-D" if passes else "-I", "FORWARD", "-p", "udp", "-j", "DROP")


def hub_of(node: Node) -> dict[str, object]:
    """Return what a node shows of its hub."""
    found = json.loads(node.edge("status", "--json").stdout)["hubs"][0]
    assert isinstance(found, dict)
    return found


def test_a_site_that_drops_udp_is_reached_over_tls_until_udp_passes(net: Network) -> None:
    """Hotels, hospitals and universities let nothing but TCP out."""
    udp(net, passes=False)
    a1 = net.node("a1", "a", 10)
    joined = a1.join(net.token("--name", "a1")).stdout
    assert "reached over TLS, as UDP gets no answer" in joined
    assert "the host is MONITORED" in joined
    a1.serve("--probe", "5")
    until(lambda: net.ssh("a1", "echo", "tls").stdout == "tls\n", "the tunnel of the service")
    until(lambda: net.over("a1") == "tls", "the hub's report")
    until(lambda: hub_of(a1)["over"] == "tls", "the node's report, between two trials of UDP")
    until(lambda: "tunnel runs over TLS" in a1.edge("doctor", check=False).stdout, "the doctor's")
    udp(net, passes=True)
    until(lambda: net.over("a1") == "udp", "UDP again")
    until(lambda: net.ssh("a1", "echo", "udp").stdout == "udp\n", "the tunnel over UDP")
    assert "203.0.113.130" in net.front.run("wg", "show", "onext-edge", "endpoints").stdout
    assert hub_of(a1)["over"] == "udp"
    udp(net, passes=False)
    until(lambda: net.over("a1") == "tls", "TLS while the node is joined", 2 * PATIENCE)
    until(lambda: net.ssh("a1", "echo", "again").stdout == "again\n", "the tunnel over TLS")


def wan(net: Network, size: int) -> None:
    """Give a site's line an MTU."""
    for space, name in ((net.nats["a"], "wan"), (net.internet, "nata")):
        space.run("ip", "link", "set", name, "mtu", str(size))


def moves_much(net: Network, node: Node) -> bool:
    """Whether a transfer both ways passes, whose packets are as large as they may be."""
    there = net.ssh(node.name, "head", "-c", "300000", "/dev/zero")
    text = "x" * 100_000
    back = net.ssh(node.name, "echo", text, "|", "wc", "-c")
    return len(there.stdout) == 300_000 and back.stdout.strip() == "100001"


def test_the_mtu_is_what_passes_though_routers_say_nothing(net: Network) -> None:
    """A line that drops large packets without an ICMP message answers pings, and stalls at the first transfer."""
    for space in (net.nats["a"], net.internet):
        for chain in ("OUTPUT", "FORWARD", "INPUT"):
            space.run(
                "iptables", "-I", chain, "-p", "icmp", "--icmp-type", "fragmentation-needed", "-j", "DROP"
            )
    # what routers do for TCP on such a line, and not for UDP
    clamped = ("-p", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--set-mss", "1200")
    net.nats["a"].run("iptables", "-t", "mangle", "-A", "FORWARD", *clamped)
    wan(net, 1400)
    a1 = net.node("a1", "a", 10)
    a1.join(net.token("--name", "a1"))
    a1.serve()
    until(lambda: 1300 < int(str(hub_of(a1)["mtu"])) <= 1340, "the size that passes")
    until(lambda: moves_much(net, a1), "a transfer with this size")
    wan(net, 1500)
    a1.serve()
    until(lambda: hub_of(a1)["mtu"] == 1420, "the largest size on a better line")
    wan(net, 1360)
    until(lambda: 1280 < int(str(hub_of(a1)["mtu"])) <= 1300, "less on a worse line", 2 * PATIENCE)
    until(lambda: moves_much(net, a1), "a transfer with less")


def test_a_man_in_the_middle_receives_nothing(net: Network) -> None:
    """A token that is sent to an impostor would be his."""
    a1 = net.node("a1", "a", 10)
    token = net.token()
    net.nats["a"].run(
        "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "8443", "-j", "REDIRECT"
    )
    heard = net.folder / "heard"
    keys = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"]
    pair = [str(net.folder / "mitm.key"), str(net.folder / "mitm.pem")]
    subprocess.run(["openssl", *keys, "-keyout", pair[0], "-out", pair[1]], check=True, capture_output=True)
    server = (
        "import ssl,socket,sys\nc=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain(sys.argv[2], sys.argv[1])\n"
        "s=socket.create_server(('0.0.0.0', 8443))\nwhile True:\n a,_=s.accept()\n"
        " try:\n  t=c.wrap_socket(a, server_side=True); open(sys.argv[3],'ab').write(b'['+t.recv(9999)+b']')\n"
        " except OSError as e: open(sys.argv[3],'ab').write(b'[]')\n"
    )
    net.nats["a"].start("python3", "-c", server, *pair, str(heard))
    until(lambda: reaches_plain(a1), "the impostor")
    done = a1.join(token, check=False)
    assert done.returncode == 1
    assert "a certificate that the token does not name: nothing was sent" in done.stderr
    until(heard.exists, "the impostor's record")
    assert set(heard.read_bytes()) <= set(b"[]")
    assert net.listed() == {}


def reaches_plain(node: Node) -> bool:
    """Whether the endpoint's address accepts connections."""
    return reaches(node, "203.0.113.2", 8443)


def test_a_node_that_is_killed_at_any_step_joins_again(net: Network) -> None:
    """A join over a bad line ends anywhere; the next attempt must find its way."""
    a1 = net.node("a1", "a", 10)
    _own_hosts(a1)
    token = net.token("--name", "a1")
    for delay in (0.1, 0.25, 0.5, 1.0, 2.0):
        words = ["--root", str(a1.root), "--account", "root", "join", "--name", "a1", token]
        child = a1.start("timeout", "-s", "KILL", str(delay), "python3", "-I", str(a1.program), *words)
        child.wait(60)
    assert "the host is MONITORED" in a1.join(token).stdout
    assert [
        row["used"] for row in json.loads(net.bundle.onext("edge", "list", "--tokens", "--json").stdout)
    ] == [1]
    assert len(net.listed()) == 1
    a1.serve()
    _leaves(net, a1)

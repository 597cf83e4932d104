"""A remote machine becomes a host with one token; over real WireGuard where root may make networks."""

import json
from functools import partial

from sandbox.ports import free_port
from sandbox.tour import edge_network, tell
from sandbox.tour.scenes.geolocation import located, located_by
from sandbox.tour.stage import CHECKOUT, Stage

NEEDS = "lib/onext/current/parts/hooks/edge/endpoint.py"
_NAME = "edge-amsterdam"
_SECONDS = 240.0  # the worker looks at edge nodes once a minute
_SETTINGS = """\
edge:
  enabled: true
  endpoint: {endpoint}
  hub: {hub}
  im_mad: dummy
  vm_mad: dummy
"""


def prepare(stage: Stage) -> None:
    """Switch the part on, and start its endpoint as its unit does; the worker listens within a minute."""
    real = edge_network.possible()
    endpoint = f"{edge_network.FRONT}:8443" if real else f"127.0.0.1:{free_port()}"
    hub = f"{endpoint.rpartition(':')[0]}:51820"
    settings = stage.location / "etc/onext.yaml"
    settings.write_text(settings.read_text() + _SETTINGS.format(endpoint=endpoint, hub=hub))
    stage.edge = edge_network.Machines(stage) if real else None
    state, publish = stage.folder / "edge-endpoint", stage.location / "var/onext/run/edge-endpoint"
    state.mkdir()
    publish.mkdir(parents=True)
    listen = "[::]:8443" if real else endpoint  # nodes ask at the overlay address, too
    words = ("--state", str(state), "--publish", str(publish / "certificate.pem"), "--listen", listen)
    _start(
        stage, "hooks.edge.endpoint", *words, "--worker", str(stage.location / "var/onext/run/edge/join.sock")
    )
    stage.until("the endpoint publishes its certificate", (publish / "certificate.pem").exists)


def _start(stage: Stage, module: str, *words: str) -> None:
    """Start a service of the front-end, in its network."""
    current = stage.location / "lib/onext/current"
    python = ("env", f"PYTHONPATH={current / 'parts'}", str(current / "venv/bin/python3"))
    command = (*python, "-m", module, *words)
    inside = stage.edge.front(*command) if stage.edge else command
    process = stage.leave_running(*inside, cwd=current / "parts")
    if stage.edge and module == "hooks.edge.hub":
        stage.edge.hub = process


def begin(stage: Stage) -> None:
    """Make the keys and a token, and let a machine join with it."""
    how = "over WireGuard, between two networks" if stage.edge else "its WireGuard is simulated: no root here"
    tell.chapter(f"Edge: a machine in Amsterdam joins with a token ({how})")
    stage.until("the worker listens", (stage.location / "var/onext/run/edge/join.sock").exists, _SECONDS)
    stage.typed("onext edge init")
    if stage.edge:
        files = ("--list", str(stage.location / "var/onext/run/edge/hub.json"))
        _start(stage, "hooks.edge.hub", *files, "--key", str(stage.location / "var/onext/edge/hub.key"))
    stage.typed("onext edge program onext-edge.pyz")
    stage.typed(f"onext edge token --cluster default --name {_NAME} >token && wc -c token")
    node = stage.folder / "node"
    (node / "etc/ssh").mkdir(parents=True)
    (node / "etc/ssh/sshd_config").write_text(f"HostKey {node}/etc/ssh/ssh_host_ed25519_key\n")
    program = (str(stage.folder / "onext-edge.pyz"), "--root", str(node), "--account", "root")
    played = (str(CHECKOUT / "sandbox/tour/played_node.py"), *program)
    words = ("python3", "-I", *program) if stage.edge else ("python3", "-I", *played)
    script = stage.folder / "on-the-node"
    script.write_text(f'#!/bin/sh\nexec {" ".join(stage.edge.node(*words) if stage.edge else words)} "$@"\n')
    script.chmod(0o755)
    tell.line("  on the machine, whose onext-edge.pyz is ./on-the-node here:")
    stage.typed(f"./on-the-node join --name {_NAME} - <token")
    if not stage.edge:
        _dial_in(stage)


def _dial_in(stage: Stage) -> None:
    """Write the node's endpoint, as a hub does."""
    folder = stage.location / "var/onext/run/edge"
    key = json.loads((folder / "hub.json").read_text())["peers"][0]["key"]
    (folder / "endpoints.json").write_text(json.dumps({key: f"{edge_network.NODE}:51820"}))


def play(stage: Stage) -> None:
    """Show the host with the place of the address from which it dials in, and let it leave."""
    tell.chapter("Edge: the machine is a host, located by the address from which it dials in")
    number = int(json.loads(stage.run("onext", "edge", "show", _NAME, "--json"))["host"])
    stage.until(f"{_NAME} has a GEOLOCATION", partial(located, stage, number), _SECONDS)
    row = (number, _NAME, edge_network.NODE, *located_by(stage, number))
    tell.table(("ID", "NAME", "ADDRESS", "GEOLOCATION", "SOURCE"), [row])
    stage.typed("onext edge list")
    stage.typed("./on-the-node leave")
    names = {host.findtext("NAME") for host in stage.document("hostpool.info")}
    tell.line(f"  hosts with this name: {sorted(name for name in names if name == _NAME)}")
    if stage.edge:
        stage.edge.end()

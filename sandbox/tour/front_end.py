"""The front-end as an administrator has it before onext comes: nodes that ssh reaches, a database."""

import json
import shutil

from geolite2 import geolite2_database

from sandbox.tour.stage import Stage

# Names of nodes, and addresses of two well-known institutes of that place.
NODES = {
    "node-stockholm": "130.237.28.40,2001:6b0:1::40",
    "node-amsterdam": "193.0.6.139",
    "node-inside": "10.0.0.7",
}


def prepare(stage: Stage) -> None:
    """Start the nodes and write the settings that an administrator would write."""
    for name, held in NODES.items():
        stage.call("sandbox.node", name, json.dumps({"addresses": held.split(",")}))
    path = stage.location / "etc/onext.yaml"
    path.write_text(f"geolocation:\n  database: {geolite2_database()}\n")
    path.chmod(0o640)


def add_host(stage: Stage, name: str) -> int:
    """Add a node as a host, wait until it is monitored; without ssh the template states its addresses."""
    number = int(stage.call("host.allocate", name, "dummy", "dummy", 0))
    if not shutil.which("ssh"):
        stage.call("host.update", number, f'GEOLOCATION_IP="{NODES[name]}"', 1)
    stage.until(f"{name} is MONITORED", lambda: stage.document("host.info", number).findtext("STATE") == "2")
    return number

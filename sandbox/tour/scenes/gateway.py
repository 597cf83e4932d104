"""The API and the page: a change arrives as an event."""

import base64
import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

from sandbox.ports import free_port
from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "lib/onext/current/parts/gateway/main.py"


def play(stage: Stage) -> None:
    """Start the gateway, as its unit does on a packaged front-end, ask it, and let a host change."""
    tell.chapter("Gateway: a JSON API and a page for OpenNebula's users")
    settings = stage.location / "etc/onext.yaml"
    listen = f"127.0.0.1:{free_port()}"
    settings.write_text(f"{settings.read_text()}gateway:\n  enabled: true\n  listen: {listen}\n")
    current = stage.location / "lib/onext/current"
    stage.page = f"http://{listen}/"
    command = (str(current / "venv/bin/python3"), "-m", "gateway", "--listen", listen)
    stage.leave_running(*command, cwd=current / "parts")
    stage.until("the gateway answers", lambda: asked(stage, "v1/clusters"))
    tell.line(f"  {stage.page}v1/hosts, as oneadmin:")
    for host in asked(stage, "v1/hosts?fields=id,name,condition,vms"):
        tell.line(f"    {json.dumps(host)}")
    number = int(stage.call("host.allocate", "node-for-the-event", "dummy", "dummy", 0))
    events = stage.until("the event of a new host", lambda: about(stage, f"host/{number}"))
    tell.line(f"  {stage.page}v1/events: {events[0]['type']}, {events[0]['subject']}, {events[0]['data']}")
    stage.call("host.delete", number)


def about(stage: Stage, subject: str) -> list[dict[str, Any]]:
    """Return the events about an object."""
    return [event for event in asked(stage, "v1/events?limit=1000") if event["subject"] == subject]


def asked(stage: Stage, path: str) -> list[dict[str, Any]]:
    """Return the objects of a list, none while the gateway does not answer."""
    session = Path(stage.env["ONE_AUTH"]).read_text().strip()
    login = base64.b64encode(session.encode()).decode()
    request = urllib.request.Request(stage.page + path, headers={"Authorization": f"Basic {login}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own, on loopback
            found: list[dict[str, Any]] = json.load(answer)["items"]
            return found
    except URLError:
        return []

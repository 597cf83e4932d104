"""Metrics for Prometheus."""

import urllib.request
from urllib.error import URLError

from sandbox.ports import free_port
from sandbox.tour import tell
from sandbox.tour.stage import Stage

NEEDS = "lib/onext/current/parts/exporter/main.py"
_SHOWN = (
    "opennebula_up",
    "opennebula_host_state",
    "opennebula_vm_state",
    "opennebula_vm_info",
    "opennebula_scrape_errors",
)


def play(stage: Stage) -> None:
    """Start the exporter, as its unit does on a packaged front-end, and scrape it once."""
    tell.chapter("Exporter: what Prometheus scrapes")
    current = stage.location / "lib/onext/current"
    address = f"127.0.0.1:{free_port()}"
    command = (str(current / "venv/bin/python3"), "-m", "exporter", "--listen", address)
    stage.leave_running(*command, cwd=current / "parts")
    page = stage.until("the exporter answers", lambda: scrape(f"http://{address}/metrics"))
    samples = [line for line in page.splitlines() if line and not line.startswith("#")]
    names = {line.split("{")[0].split(" ")[0] for line in samples}
    tell.line(f"  http://{address}/metrics: {len(samples)} samples of {len(names)} metrics, such as")
    tell.indented("\n".join(line for name in _SHOWN for line in samples if line.startswith(name)))


def scrape(address: str) -> str:
    """Return the page, empty while it does not answer."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own, on loopback
            return str(answer.read().decode())
    except URLError:
        return ""

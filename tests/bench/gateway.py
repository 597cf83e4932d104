"""The gateway: a small call through the guarded XML-RPC against a direct one, and the page of 1,250 hosts."""

from __future__ import annotations

import http.client
import shutil
import statistics
import tempfile
import time
import xmlrpc.client
from pathlib import Path
from urllib.parse import urlsplit

from selenium import webdriver

from tests.fixtures_sandbox import Sandbox
from tests.gateway.conftest import Gateway, make_cloud, started
from tests.gateway.test_page import log_in

_CALLS = 300
_HOSTS = 1250
_SETTINGS = "  requests: 10000\n  rpc: true\n"


def main() -> None:
    """Print both."""
    folder = Path(tempfile.mkdtemp(prefix="onext-bench-"))
    try:
        _calls(folder)
        _page(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _calls(folder: Path) -> None:
    sandbox = Sandbox(folder / "calls", "--monitor", "3600")
    try:
        make_cloud(sandbox)
        with started(sandbox, _SETTINGS) as gateway:
            body = xmlrpc.client.dumps((sandbox.session, 0), "one.vm.info").encode()
            ports = urlsplit(sandbox.endpoint).port or 0, gateway.port
            times = [[_once(port, body) for port in ports] for _ in range(_CALLS)]
        direct, through = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"one.vm.info: direct {direct * 1e3:.2f} ms, gateway {through * 1e3:.2f} ms, {through / direct:.1f} x"
        )
    finally:
        sandbox.stop()


def _once(port: int, body: bytes) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
    connection.getresponse().read()
    connection.close()
    return time.perf_counter() - began


def _page(folder: Path) -> None:
    sandbox = Sandbox(folder / "page", "--monitor", "3600", "--hosts", str(_HOSTS), "--vms", "2000")
    try:
        for host in range(_HOSTS):
            sandbox.call(
                "host.update", host, f'GEOLOCATION="{host % 12 * 10 - 40},{host % 25 * 14 - 170}"', 1
            )
        with started(sandbox, _SETTINGS) as gateway:
            _shown(gateway)
    finally:
        sandbox.stop()


def _shown(gateway: Gateway) -> None:
    weights = [len(gateway.get(path, headers={"Accept-Encoding": "gzip"}).body) for path in _LOADED]
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver") or ""))
    try:
        log_in(browser, gateway)
        times = []
        for _ in range(5):
            browser.get(gateway.url)
            time.sleep(1)
            paint = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
            times.append(float(browser.execute_script(paint)))
    finally:
        browser.quit()
    print(
        f"page, {_HOSTS} hosts: first contentful paint {statistics.median(times):.0f} ms (best {min(times):.0f}),"
    )
    print(f"  {sum(weights) / 1000:.0f} KB compressed with everything that it loads")


_LOADED = ("/", "/static/style.css", "/static/live.js", "/static/world.svg", "/static/icon.svg")

if __name__ == "__main__":
    main()

"""The gateway: a small call through the guarded XML-RPC against a direct one, and the page of 1,250 hosts."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import statistics
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
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
    """Compare calls of the sandbox, and of the real oned that ONE_XMLRPC and ONE_AUTH name."""
    sandbox = Sandbox(folder / "calls", "--monitor", "3600")
    try:
        make_cloud(sandbox)
        _compare("sandbox", sandbox, sandbox.endpoint, [sandbox.session])
        endpoint, auth = os.environ.get("ONE_XMLRPC"), os.environ.get("ONE_AUTH")
        if endpoint and auth:
            session = Path(auth).read_text().strip()
            _compare("real oned", sandbox, endpoint, [session])
            with _second_token(endpoint, session) as second:
                _compare("real oned, tokens in turn", sandbox, endpoint, [session, second])
    finally:
        sandbox.stop()


def _compare(name: str, sandbox: Sandbox, endpoint: str, sessions: Sequence[str]) -> None:
    with started(sandbox, _SETTINGS + f"oned:\n  endpoint: {endpoint}\n") as gateway:
        ports = _ports(endpoint, gateway.port)
        for call in ("one.system.version", "one.user.info"):
            extra = (-1,) if call.endswith("info") else ()
            bodies = [xmlrpc.client.dumps((session, *extra), call).encode() for session in sessions]
            times = [
                [_once(port, bodies[number % len(bodies)]) for port in ports] for number in range(_CALLS)
            ]
            for what, at in (("median", 0.5), ("tenth", 0.1)):
                direct, through = (sorted(column)[int(at * _CALLS)] for column in zip(*times, strict=True))
                ratio = f"{through / direct:.2f} x"
                print(
                    f"{name}, {call}, {what}: {direct * 1e3:.2f} ms, gateway {through * 1e3:.2f} ms, {ratio}"
                )
        _repeated(name, endpoint, gateway.port, sessions)


def _ports(endpoint: str, gateway: int) -> tuple[int, int]:
    return urlsplit(endpoint).port or 0, gateway


@contextlib.contextmanager
def _second_token(endpoint: str, session: str) -> Iterator[str]:
    """Return a login token of the same user: oned remembers one session of each."""
    user = session.partition(":")[0]
    with xmlrpc.client.ServerProxy(endpoint) as proxy:
        answer: Any = proxy.one.user.login(session, user, "", 3600, -1)
        assert answer[0], answer[1]
        try:
            yield f"{user}:{answer[1]}"
        finally:
            proxy.one.user.login(session, user, answer[1], 0, -1)


def _repeated(name: str, endpoint: str, port: int, sessions: Sequence[str]) -> None:
    """Compare calls of one client that keeps its connection where the server does, as pyone's: oned does not."""
    sides = [xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port}/RPC2") for port in _ports(endpoint, port)]
    times: list[list[float]] = []
    for number in range(_CALLS):
        times.append([])
        for side in sides:
            began = time.perf_counter()
            answer: Any = side.one.user.info(sessions[number % len(sessions)], -1)
            times[-1].append(time.perf_counter() - began)
            assert answer[0], answer[1]
    direct, through = (sorted(column)[_CALLS // 2] for column in zip(*times, strict=True))
    ratio = f"{through / direct:.2f} x"
    print(
        f"{name}, one client, one.user.info: {direct * 1e3:.2f} ms, gateway {through * 1e3:.2f} ms, {ratio}"
    )


def _once(port: int, body: bytes) -> float:
    """Return the seconds of one call over a connection of its own, as OpenNebula's commands make them."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
    answer = connection.getresponse().read()
    connection.close()
    assert b"<boolean>1</boolean>" in answer, answer
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

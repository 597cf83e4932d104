"""The page in Debian's chromium: map, tables, login, live changes, accessibility, hostile names."""

from __future__ import annotations

import os
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from onext import published
from tests.fixtures_sandbox import Sandbox
from tests.gateway.conftest import Answer, Cloud, Gateway, basic, started
from tests.gateway.test_api import event, incident, plan
from tests.waiting import until

pytestmark = pytest.mark.process
NASTY = "<img src=x onerror=alert(1)>\"'&"
PAGES = ("/", "/hosts/0", "/incidents", "/power")


def form(**fields: str) -> bytes:
    return urllib.parse.urlencode(fields).encode()


def test_login_needs_our_own_form_and_ends(gateway: Gateway, cloud: Cloud) -> None:
    """Another site could log a person in or out, or a stolen form would work."""
    page = gateway.get("/login", None)
    token = re.search(r'name="csrf" value="([^"]+)"', page.body.decode())
    assert token
    cookie = page.headers["set-cookie"].partition(";")[0]
    assert "HttpOnly" in page.headers["set-cookie"]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = {"user": "alice", "secret": "secret-of-alice"}

    def post(path: str, body: bytes, **headers: str) -> Answer:
        return gateway.ask("POST", path, None, {**kind, **headers}, body)

    assert post("/login", form(**fields, csrf=token[1])).status == 403  # without the cookie
    assert post("/login", form(**fields, csrf="x"), Cookie=cookie).status == 403
    foreign = post("/login", form(**fields, csrf=token[1]), Cookie=cookie, Origin="https://evil.example")
    assert foreign.status == 403
    wrong = post("/login", form(user="alice", secret="no", csrf=token[1]), Cookie=cookie)
    assert (wrong.status, b"does not accept" in wrong.body) == (403, True)
    done = post("/login", form(**fields, csrf=token[1]), Cookie=cookie)
    assert (done.status, done.headers["location"]) == (303, "/")
    assert "SameSite=lax" in done.headers["set-cookie"]
    session = {"Cookie": done.headers["set-cookie"].partition(";")[0]}  # the first of two
    shown = gateway.get("/", None, session)
    assert b"alice" in shown.body
    assert b"vm-of-bob" not in shown.body
    assert [one["name"] for one in gateway.get("/v1/vms", None, session).json["items"]] == ["vm-of-alice"]
    assert post("/logout", form(csrf="x"), **session).status == 403
    own = re.search(r'name="csrf" value="([^"]+)"', shown.body.decode())
    assert own
    assert post("/logout", form(csrf=own[1]), **session).headers["location"] == "/login"
    assert gateway.get("/", None, session).status == 303


def test_the_public_view_is_off_unless_it_is_set(gateway: Gateway, cloud: Cloud, tmp_path: Path) -> None:
    """A site would show its cloud to strangers without knowing it."""
    assert gateway.get("/", None).headers["location"] == "/login"
    (tmp_path / "public").write_text(cloud.session("alice") + "\n")
    with started(cloud.sandbox, f"  public_auth: {tmp_path}/public\n") as public:
        shown = public.get("/", None)
    assert shown.status == 200
    assert b"public view" in shown.body


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Start Debian's chromium; in CI it has to be there."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        assert not os.environ.get("CI"), (
            "chromium and chromium-driver are missing: tests/packages.sh installs them"
        )
        pytest.skip("chromium and chromium-driver are not here")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.add_argument("--disable-background-networking")
    running = webdriver.Chrome(options, webdriver.ChromeService(driver))
    running.set_page_load_timeout(60)
    yield running
    running.quit()


def log_in(browser: webdriver.Chrome, gateway: Gateway, session: str = "") -> None:
    """Log in with the keyboard alone."""
    user, _, secret = (session or gateway.sandbox.session).partition(":")
    browser.delete_all_cookies()
    browser.get(f"{gateway.url}/login")
    browser.find_element(By.ID, "user").send_keys(user, Keys.TAB, secret, Keys.ENTER)
    until(lambda: browser.current_url == f"{gateway.url}/", "the page after the login", 20)


def violations(browser: webdriver.Chrome) -> list[str]:
    """Return what axe-core reports about the page that is shown."""
    import axe_core_python  # type: ignore[import-untyped]

    script = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    browser.refresh()
    browser.execute_script(script)
    found: dict[str, Any] = browser.execute_async_script(
        "const done = arguments[0]; axe.run().then(done, error => done({violations: [{id: String(error), nodes: []}]}))"
    )
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    return [f"{one['id']}: {[node['html'] for node in one['nodes']][:3]}" for one in found["violations"]]


def publish_all(gateway: Gateway, cloud: Cloud) -> None:
    """Publish a plan, an incident and a day, with hostile text wherever people write."""
    day = [{"at": 1e9 + 600 * n, "on": n % 3, "off": 2, "saved_kwh": n / 10} for n in range(20)]
    cluster = {
        "id": 0, "name": NASTY, "mode": "auto", "held": NASTY, "on": 2, "off": 1, "saved_kwh": 2.5, "wakes": 1,
        "failed_wakes": 0, "migrations": 3, "day": day,
    }  # fmt: skip
    gateway.publish(
        "power", {"hosts": [plan(0, reason=NASTY), plan(1)], "clusters": [cluster], "watts": {"0": 120.0}}
    )
    found = incident(1, cloud.vms["bob"])
    gateway.publish("availability", {"incidents": [{**found, "reason": NASTY, "name": NASTY}]})


def test_no_page_has_a_barrier_or_leaves_the_origin(
    browser: webdriver.Chrome, gateway: Gateway, cloud: Cloud
) -> None:
    """Somebody with a screen reader could not use it; a name could run script; others would learn who looks."""
    publish_all(gateway, cloud)
    cloud.sandbox.call("host.update", 0, 'GEOLOCATION="59.33,18.07"', 1)
    cloud.sandbox.call("host.update", 1, 'GEOLOCATION="-33.45,-70.67"', 1)
    until(lambda: len(gateway.items("sites")) == 2, "the sites")
    browser.delete_all_cookies()
    browser.get(f"{gateway.url}/login")
    assert violations(browser) == []
    log_in(browser, gateway)
    for scheme in ("light", "dark"):
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        for page in PAGES:
            browser.get(gateway.url + page)
            assert violations(browser) == [], (scheme, page)
            assert browser.find_elements(By.CSS_SELECTOR, "main img, main script") == []
    shown = [gateway.get(page).body.decode() for page in PAGES]
    assert all("<img" not in text for text in shown)
    assert sum("&lt;img" in text for text in shown) >= 3
    messages = [entry["message"] for entry in _log(browser, "performance")]
    requested = {url for text in messages for url in re.findall(r'"url":"(https?://[^"]+)"', text)}
    assert {url for url in requested if not url.startswith(f"{gateway.url}/")} == set()
    refused = [entry for entry in _log(browser, "browser") if "Content Security Policy" in entry["message"]]
    assert refused == []


@pytest.mark.parametrize("count", [0, 3, 1250])
def test_a_cloud_of_any_size_is_shown(browser: webdriver.Chrome, tmp_path: Path, count: int) -> None:
    """A new cloud's page would be an error, or that of a large one would never be ready in a browser."""
    sandbox = Sandbox(tmp_path / "one", "--monitor", "3600", "--hosts", str(count), "--vms", "0")
    try:
        for host in range(count):
            place = f'GEOLOCATION="{host % 12 * 10 - 40},{host % 25 * 14 - 170}"'
            sandbox.call("host.update", host, place, 1)
        with started(sandbox, "  requests: 10000\n") as running:
            log_in(browser, running)
            rows = "return document.querySelectorAll('a[id^=h]').length"
            until(lambda: browser.execute_script(rows) == count, "the table")
            assert len(browser.find_elements(By.CSS_SELECTOR, "svg .mark")) == min(count, 300)
            assert len(browser.find_elements(By.CSS_SELECTOR, "svg .land")) == 1
            if count < 100:  # axe takes minutes for a thousand rows, which are alike
                assert violations(browser) == []
    finally:
        sandbox.stop()


def test_a_host_that_goes_to_sleep_changes_without_a_reload(
    browser: webdriver.Chrome, gateway: Gateway, cloud: Cloud
) -> None:
    """A wall display would show yesterday's cloud."""
    gateway.publish("power", {"hosts": [], "clusters": [], "watts": {}})
    gateway.publish("availability", {"incidents": []})
    log_in(browser, gateway)
    until(lambda: browser.find_element(By.ID, "connection").text == "Live", "the stream", 20)
    browser.execute_script("window.same = true")
    assert _condition(browser, 1) == "up"
    cloud.sandbox.call("host.update", 1, 'ONEXT_POWER_STATE = [ PHASE = "off" ]', 1)
    cloud.sandbox.call("host.status", 1, 2)
    published.append(gateway.paths, [event(900, "host/1", name="node-2", power="off")])
    until(lambda: _condition(browser, 1) == "asleep", "the change", 40)
    assert browser.execute_script("return window.same") is True
    cloud.sandbox.call("host.status", 1, 0)


def _log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return found


def _condition(browser: webdriver.Chrome, host: int) -> str:
    script = (
        "return document.getElementById(arguments[0])?.closest('tr').querySelector('.condition').textContent"
    )
    return str(browser.execute_script(script, f"h{host}"))


def test_the_page_works_by_keyboard_on_a_phone_and_without_script(
    browser: webdriver.Chrome, gateway: Gateway, cloud: Cloud
) -> None:
    """Without a mouse, on a small screen or with scripts off a person would see nothing of the cloud."""
    log_in(browser, gateway)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        browser.get(gateway.url)
        size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})
        assert size["cssContentSize"]["width"] <= 360  # no scrolling to the side
        link = browser.find_element(By.ID, "h0")
        link.send_keys(Keys.ENTER)
        until(lambda: browser.current_url.endswith("/hosts/0"), "the host's page")
        assert "node-1" in browser.title
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_basic_works_for_pages_too(gateway: Gateway, cloud: Cloud) -> None:
    """A monitoring program could not read the page; and an unknown host would be an error of the server."""
    assert gateway.get("/").status == 200
    assert gateway.get("/hosts/99").status == 404
    assert gateway.ask("GET", "/", None, basic("alice:wrong")).status == 401
    assert gateway.get("/static/../app.py").status == 404
    assert gateway.get("/static/world.svg").status == 200

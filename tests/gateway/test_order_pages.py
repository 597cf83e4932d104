"""The page's orders: who sees a button, the form that confirms, the result, in Debian's chromium too."""
# ruff: noqa: F811 - fixtures of other modules

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gateway.actions.offers import WORDS
from tests.gateway.conftest import Answer, started
from tests.gateway.test_api import incident
from tests.gateway.test_orders import Site, add_rule, sandbox_user, site  # noqa: F401
from tests.gateway.test_page import NASTY, browser, log_in, violations  # noqa: F401
from tests.waiting import until

pytestmark = pytest.mark.process
FORM = "application/x-www-form-urlencoded"
ABOUT_HOSTS = ["locate", "off", "drain", "on", "flush", "back", "enroll", "pause", "resume"]
SEEN: Mapping[str, list[str]] = {
    "oneadmin": ABOUT_HOSTS,
    "member": ABOUT_HOSTS,
    "operator": ["off", "drain", "on", "flush", "back"],
    "locator": ["locate"],
}


@pytest.fixture(scope="module", autouse=True)
def seen(site: Site) -> None:
    """Let the operator and the locator see the host, too: USE is a separate right."""
    for name in ("operator", "locator"):
        add_rule(site.sandbox, sandbox_user(site.sandbox, name), "#{} HOST/#0 USE")


def enter(site: Site, user: str) -> dict[str, str]:
    """Log in; return the header with the session's cookie."""
    session = site.sandbox.session if user == "oneadmin" else site.cloud.session(user)
    shown = site.gateway.get("/login", None)
    token = re.search(rb'name="csrf" value="([^"]+)"', shown.body)
    assert token is not None
    name, _, secret = session.partition(":")
    body = urllib.parse.urlencode({"csrf": token[1].decode(), "user": name, "secret": secret}).encode()
    cookie = shown.headers["set-cookie"].partition(";")[0]
    entered = site.gateway.ask("POST", "/login", None, {"Content-Type": FORM, "Cookie": cookie}, body)
    found = re.search(r"onext_session=[^;,]+", entered.headers["set-cookie"])
    assert found is not None
    return {"Cookie": found[0]}


def hidden(page: Answer) -> dict[str, str]:
    """Return the hidden fields of a form."""
    pairs = re.findall(
        r'type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode().partition("<main")[2]
    )
    return dict(pairs)


def send(site: Site, path: str, session: Mapping[str, str], fields: Mapping[str, str]) -> Answer:
    """Send a form."""
    body = urllib.parse.urlencode(fields).encode()
    return site.gateway.ask("POST", path, None, {"Content-Type": FORM, **session}, body)


@pytest.mark.parametrize("user", sorted(SEEN))
def test_a_person_sees_the_orders_that_oned_permits(site: Site, user: str) -> None:
    """A person would press what is refused, or would not find what is permitted."""
    session = enter(site, user)
    page = site.gateway.get("/hosts/0", None, session)
    assert page.status == 200, page.body
    assert re.findall(r'id="order-(\w+)"', page.body.decode()) == SEEN[user]
    for action in ABOUT_HOSTS:
        form = site.gateway.get(f"/hosts/0/orders/{action}", None, session)
        assert form.status == (200 if action in SEEN[user] else 403), action


def test_who_has_no_session_sees_no_orders(site: Site, tmp_path: Path) -> None:
    """The public view could give orders, or another site could give them with the password that a browser remembers."""
    shown = site.gateway.get("/hosts/0")  # by Basic
    assert (shown.status, b"order-" in shown.body) == (200, False)
    assert site.gateway.get("/hosts/0/orders/off").status == 403
    session = enter(site, "oneadmin")
    form = hidden(site.gateway.get("/hosts/0/orders/off", None, session))
    body = urllib.parse.urlencode(form).encode()
    both = site.gateway.ask("POST", "/hosts/0/orders/off", "", {"Content-Type": FORM, **session}, body)
    assert both.status == 403
    (tmp_path / "public").write_text(site.sandbox.session)
    with started(site.sandbox, f"  public_auth: {tmp_path}/public\n  actions: [off]\n") as public:
        shown = public.get("/hosts/0", None)
        assert (shown.status, b"order-" in shown.body) == (200, False)
        assert public.get("/hosts/0/orders/off", None).status == 403
        sent = public.ask("POST", "/hosts/0/orders/off", None, {"Content-Type": FORM}, body)
        assert sent.status == 403


def test_a_form_is_of_its_session_and_orders_once(site: Site) -> None:
    """Another site's page would switch hosts off, or a second click would do it twice."""
    session, other = enter(site, "operator"), enter(site, "operator")
    path = "/hosts/0/orders/on"
    form = hidden(site.gateway.get(path, None, session))
    before = len(site.done)
    assert send(site, path, other, form).status == 403
    assert send(site, path, session, {**form, "csrf": "x"}).status == 403
    assert send(site, path, {**session, "Origin": "https://evil.example"}, form).status == 403
    assert send(site, path, {**session, "Sec-Fetch-Site": "same-site"}, form).status == 403
    assert send(site, path, session, {**form, "key": ""}).status == 400
    assert site.gateway.ask("POST", path, None, session, b"csrf=x").status == 400
    assert len(site.done) == before
    sent = [send(site, path, session, form) for _ in range(3)]
    assert [one.status for one in sent] == [303] * 3
    assert len({one.headers["location"] for one in sent}) == 1
    result = sent[0].headers["location"]
    until(lambda: b"<b>done</b>" in site.gateway.get(result, None, session).body, "the order")
    assert len(site.done) == before + 1
    assert site.done[-1] == "operator power on 0"
    assert site.gateway.get(result, None, enter(site, "locator")).status == 404


def test_a_person_types_the_name_to_confirm(site: Site) -> None:
    """VMs would run twice, because somebody clicked once too often."""
    session = enter(site, "oneadmin")
    path = "/hosts/1/orders/confirm"
    assert (
        site.gateway.get(path, None, session).status == 403
    )  # without an incident there is nothing to confirm
    site.gateway.publish("availability", {"incidents": [incident(1, [])]})
    until(lambda: b"order-confirm" in site.gateway.get("/hosts/1", None, session).body, "the button", 30)
    assert b"order-confirm" not in site.gateway.get("/hosts/1", None, enter(site, "member")).body
    form = hidden(site.gateway.get(path, None, session))
    assert send(site, path, session, form).status == 400
    sent = send(site, path, session, {**form, "name": "node-2"})
    assert sent.status == 303, sent.body
    until(lambda: b"<b>running" not in site.gateway.get(sent.headers["location"], None, session).body, "it")
    assert site.done[-1].startswith("oneadmin ha confirm --name=node-2 --incident=")
    site.gateway.publish("availability", {"incidents": []})


@pytest.mark.parametrize(
    "path",
    [
        "/hosts/0/orders/reboot",
        "/hosts/0/orders/revoke",
        "/hosts/0/orders/",
        "/hosts/99/orders/off",
        "/hosts/0/orders/off%00",
        "/hosts/0/orders/%D0%BEff",
        "/orders/" + "0" * 32,
        "/hosts/99999999999999999999/orders/off",
    ],
)
def test_an_order_that_there_is_not_is_none(site: Site, path: str) -> None:
    """A fault of the server would be shown, or something else would be ordered."""
    session = enter(site, "oneadmin")
    form = hidden(site.gateway.get("/hosts/0/orders/off", None, session))
    before = len(site.done)
    assert site.gateway.get(path, None, session).status in (403, 404)
    assert send(site, path, session, form).status in (403, 404, 405)
    assert len(site.done) == before


def test_without_a_worker_the_page_is_shown(site: Site) -> None:
    """Users would see no host while the worker restarts."""
    session = enter(site, "oneadmin")
    site.kill()
    try:
        until(
            lambda: b"No orders can be given" in site.gateway.get("/hosts/0", None, session).body,
            "the page without orders",
            30,
        )
        assert site.gateway.get("/hosts/0/orders/off", None, session).status == 403
    finally:
        site.start()


def shows(browser: webdriver.Chrome, name: str, text: str) -> bool:
    """Return whether an element has this text now; a live page may replace it while it is read."""
    try:
        return browser.find_element(By.ID, name).text == text
    except (NoSuchElementException, StaleElementReferenceException):
        return False


def test_a_person_orders_by_keyboard_and_sees_the_end(browser: webdriver.Chrome, site: Site) -> None:
    """People would need a command line for what the page shows; names could run script on the way."""
    gateway = site.gateway
    site.gateway.publish("availability", {"incidents": [{**incident(1, []), "name": NASTY, "reason": NASTY}]})
    try:
        log_in(browser, gateway)
        pages = ["/hosts/1", "/hosts/1/orders/off", "/hosts/1/orders/confirm", "/tokens/revoke"]
        for page in pages:
            browser.get(gateway.url + page)
            until(lambda: browser.find_elements(By.CSS_SELECTOR, "main a, main button"), page)
            assert violations(browser) == [], page
            assert browser.find_elements(By.CSS_SELECTOR, "main img, main script") == []
        browser.get(f"{gateway.url}/hosts/1")
        site.hold.touch()
        browser.find_element(By.ID, "order-flush").send_keys(Keys.ENTER)
        until(lambda: browser.current_url.endswith("/orders/flush"), "the form")
        until(lambda: browser.find_elements(By.CSS_SELECTOR, "main button"), "its button")
        browser.find_element(By.CSS_SELECTOR, "main button").send_keys(Keys.ENTER)
        until(
            lambda: "/orders/" in browser.current_url and "/hosts/" not in browser.current_url, "the result"
        )
        until(lambda: shows(browser, "state", "running"), "the state")
        browser.execute_script("window.same = true")
        site.hold.unlink()
        until(lambda: shows(browser, "state", "done"), "the end")
        assert browser.execute_script("return window.same") is True
        assert site.done[-1] == "oneadmin host flush 1"
        browser.get(f"{gateway.url}/hosts/1/orders/confirm")
        browser.find_element(By.ID, "name").send_keys(NASTY, Keys.ENTER)
        until(lambda: browser.find_elements(By.CSS_SELECTOR, ".output"), "what the command reported")
        assert NASTY in browser.find_element(By.CSS_SELECTOR, ".output").text
        assert browser.find_elements(By.CSS_SELECTOR, "main img, main script") == []
        assert violations(browser) == []
    finally:
        site.hold.unlink(missing_ok=True)
        site.gateway.publish("availability", {"incidents": []})


def test_every_order_about_hosts_has_words() -> None:
    """A button would have no name."""
    assert set(ABOUT_HOSTS) | {"confirm"} == set(WORDS)

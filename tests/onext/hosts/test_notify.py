"""What people are told arrives whole, escaped, and keeps no round waiting."""

import datetime as dt
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from onext.hosts import notify
from onext.hosts.actions.actuator import Event
from onext.hosts.notify import VmEvent, address, body, send, syslog_line
from onext.http import HttpError
from onext.settings.notifications import Syslog, Webhook
from onext.settings.power import Power
from tests.misbehaving import MISBEHAVIOURS, servers

EVENT = Event(3, 'node"]3\n<!everyone>', "quarantine", "it did not come\nwithin 600 s")
WHEN = dt.datetime(2026, 11, 21, 4, 5, 6, 789_000, dt.timezone.utc)


def test_syslog_line_has_the_form_of_rfc_5424() -> None:
    """A central log drops, or misreads, what has another form."""
    line = syslog_line("al]pha", EVENT, WHEN).decode()
    assert re.match(r"<132>1 2026-11-21T04:05:06\.789Z \S+ onext-power \d+ quarantine \[onext@32473 ", line)
    assert 'host="3"' in line
    assert 'cluster="al\\]pha"' in line
    assert "\n" not in line, "a name could forge a second message"
    assert syslog_line("a", Event(1, "n", "on", "r"), WHEN).startswith(b"<133>1 ")


def test_a_vm_that_waits_is_told_as_a_vm() -> None:
    """Whoever is called at night would look at host 17, and it is VM 17 that waits."""
    event = VmEvent(17, "web", "vm-waits", "a host with room for it is on its way")
    assert b'[onext@32473 vm="17" name="web"' in syslog_line("alpha", event, WHEN)
    assert syslog_line("alpha", event, WHEN).startswith(b"<132>1 "), "it is an alarm"
    assert json.loads(body("json", "alpha", event))["vm"] == 17
    assert "vm web (17)" in json.loads(body("slack", "alpha", event))["text"]


def test_slack_text_can_mention_nobody() -> None:
    """Whoever names a host could wake a whole channel."""
    text = json.loads(body("slack", "alpha", EVENT))["text"]
    assert "<!everyone>" not in text
    assert "&lt;!everyone&gt;" in text
    assert json.loads(body("json", "alpha", EVENT))["name"] == EVENT.name


def test_an_address_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever knows a webhook's address can write in its name."""
    file = tmp_path / "url"
    file.write_text("https://example.org/secret\n")
    file.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 0640"):
        address(file)
    file.chmod(0o640)
    assert address(file) == "https://example.org/secret"


class Receiver(BaseHTTPRequestHandler):
    """Refuses the first request and takes the others."""

    got: list[bytes] = []  # noqa: RUF012 (one receiver per test)

    def do_POST(self) -> None:
        self.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(503 if len(self.got) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def receiver() -> Iterator[int]:
    """Give the port of a webhook."""
    Receiver.got.clear()
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.process
def test_events_reach_syslog_and_a_webhook_that_fails_once(
    receiver: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one alarm of the night would be the one that was lost."""
    monkeypatch.setattr(notify, "PAUSES", (0.0, 0.0))
    file = tmp_path / "url"
    file.write_text(f"http://127.0.0.1:{receiver}/hook")
    file.chmod(0o600)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(90)
        port = log.getsockname()[1]
        settings = Power(syslog=Syslog(host="127.0.0.1", port=port), webhooks=(Webhook(url_file=file),))
        send(settings, "alpha", EVENT)
        assert b"quarantine" in log.recv(4096)
    assert len(Receiver.got) == 2
    assert json.loads(Receiver.got[1])["what"] == "quarantine"


@pytest.mark.process
@pytest.mark.parametrize("port", [9, None], ids=["nobody", "refuses"])
def test_what_cannot_be_delivered_is_no_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    receiver: int,
    port: int | None,
) -> None:
    """A log server that is down would stop the cluster's power, and the log would give its address away."""
    monkeypatch.setattr(notify, "PAUSES", ())
    file = tmp_path / "url"
    file.write_text(f"http://127.0.0.1:{port or receiver}/services/T0/B0/hush?key=hush")
    file.chmod(0o600)
    send(Power(webhooks=(Webhook(url_file=file), Webhook(url_file=tmp_path / "missing"))), "alpha", EVENT)
    assert "webhook of" in caplog.text
    assert "hush" not in caplog.text
    assert "services" not in caplog.text


@pytest.mark.process
@pytest.mark.parametrize("way", MISBEHAVIOURS)
def test_B6_a_webhook_that_misbehaves_is_reported_and_the_next_one_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, receiver: int, way: str
) -> None:
    """An answer that broke off lost the event without a line in the log, and every webhook after it."""
    monkeypatch.setattr(notify, "PAUSES", (0.0,))
    monkeypatch.setattr(notify, "TIMEOUT", 0.7)
    with servers() as serve:
        addresses = [serve(MISBEHAVIOURS[way][0]), f"http://127.0.0.1:{receiver}/hook"]
        send(Power(webhooks=tuple(webhooks(tmp_path, addresses))), "alpha", EVENT)
    assert json.loads(Receiver.got[-1])["what"] == "quarantine"
    assert f"webhook of {tmp_path}/url-0" in caplog.text


@pytest.mark.process
@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "", "http://x:port/", "\udcff"])
def test_B6_an_address_that_is_none_hides_no_other_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, receiver: int, url: str
) -> None:
    """A slip in one file must not keep the others from being told."""
    monkeypatch.setattr(notify, "PAUSES", (0.0,))
    send(
        Power(webhooks=tuple(webhooks(tmp_path, [url, f"http://127.0.0.1:{receiver}/hook"]))), "alpha", EVENT
    )
    assert json.loads(Receiver.got[-1])["what"] == "quarantine"
    assert f"webhook of {tmp_path}/url-0" in caplog.text


def webhooks(folder: Path, addresses: list[str]) -> Iterator[Webhook]:
    """Yield a webhook for each address, in a file of its own."""
    for number, url in enumerate(addresses):
        file = folder / f"url-{number}"
        file.write_bytes(url.encode("utf-8", "surrogateescape"))
        file.chmod(0o600)
        yield Webhook(url_file=file)


def test_C4_a_silent_webhook_neither_delays_the_exit_nor_fills_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three events for a silent address delayed the worker's exit by 63 s, and their queue had no bound."""
    begun, ends = threading.Event(), threading.Event()

    def slow(_settings: Power, cluster: str, _event: Event) -> None:
        if cluster == "alpha":
            begun.set()
            ends.wait()

    monkeypatch.setattr(notify, "send", slow)
    monkeypatch.setattr(notify, "MOST_WAITING", 5)
    sender = notify.Sender()
    sender.put(Power(), "alpha", EVENT)
    assert begun.wait(60)
    for _ in range(20):
        sender.put(Power(), "alpha", EVENT)
    assert sender._waiting.qsize() == 5
    assert caplog.text.count("more are not sent") == 1
    assert sender._thread is not None
    assert sender._thread.daemon, "an exit would wait for it"
    ends.set()


def test_C4_an_event_that_cannot_be_sent_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """After one fault no alarm would ever be sent again."""
    sent: list[str] = []
    done = threading.Event()

    def send_(_settings: Power, cluster: str, _event: Event) -> None:
        if cluster != "alpha":  # of another test's thread
            sent.append(cluster)
        if cluster == "first":
            raise RuntimeError
        if cluster == "second":
            done.set()

    monkeypatch.setattr(notify, "send", send_)
    sender = notify.Sender()
    sender.put(Power(), "first", EVENT)
    sender.put(Power(), "second", EVENT)
    assert done.wait(60)
    assert sent == ["first", "second"]


@pytest.mark.process
def test_S13_a_webhook_that_redirects_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the receiver could make the front-end send requests to addresses that only it reaches."""
    reached: list[str] = []

    class Redirects(Receiver):
        def do_POST(self) -> None:
            reached.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(307)
            self.send_header("Location", "/inner")
            self.send_header("Content-Length", "0")
            self.end_headers()

    monkeypatch.setattr(notify, "PAUSES", ())
    with HTTPServer(("127.0.0.1", 0), Redirects) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        file = tmp_path / "url"
        file.write_text(f"http://127.0.0.1:{server.server_port}/hook")
        file.chmod(0o600)
        with pytest.raises(notify.Undelivered, match="HTTP 307"):
            notify._post(Webhook(url_file=file), b"{}")
        server.shutdown()
    assert reached == ["/hook"]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[fe80::1]/x", "http://0.0.0.0/x"])
def test_S13_a_webhook_never_reaches_link_local_addresses(tmp_path: Path, url: str) -> None:
    """That is where clouds serve credentials of the machine."""
    file = tmp_path / "url"
    file.write_text(url)
    file.chmod(0o600)
    with pytest.raises(notify.Undelivered, match="link-local"):
        notify._post(Webhook(url_file=file), b"{}")


@pytest.mark.parametrize(
    ("mode", "read"),
    [(0o600, True), (0o640, True), (0o440, True), (0o660, False), (0o641, False), (0o650, False)],
)
def test_who_may_read_an_address(tmp_path: Path, mode: int, read: bool) -> None:
    """Whoever can write the file has alarms sent to an address of his."""
    file = tmp_path / "url"
    file.write_text(" https://example.org/secret \n")
    file.chmod(mode)
    if read:
        assert address(file) == "https://example.org/secret"
    else:
        with pytest.raises(PermissionError, match="is too wide"):
            address(file)


@pytest.mark.parametrize(
    ("host", "forbidden"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("224.0.0.1", True),
        ("ff02::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("::1", False),
        ("chat.example.org", False),
        ("", False),
    ],
)
def test_S13_which_addresses_are_refused(host: str, forbidden: bool) -> None:
    """Clouds serve credentials of the machine at link-local addresses; relays are at private ones."""
    assert notify._forbidden(host) is forbidden


@pytest.mark.parametrize(
    ("url", "message", "shown"),
    [
        ("https://a.example/hook/T1?key=k2", "POST https://a.example/hook/T1?key=k2: 500", "POST https://a.example/***?/***: 500"),
        ("https://a.example/", "POST https://a.example/: 500", "POST https://a.example/: 500"),
        ("https://a.example", "POST https://a.example: 500", "POST https://a.example: 500"),
        ("https://a.example/x", "https://a.example/x", "https://a.example/***"),
    ],
)  # fmt: skip
def test_messages_show_no_part_of_an_address_that_is_secret(url: str, message: str, shown: str) -> None:
    """Whoever reads the log could write in the name of onext."""
    assert notify._redacted(message, url) == shown


class Post:
    """Plays the client: fails so often, and keeps what was sent."""

    def __init__(self, failures: int) -> None:
        self.failures, self.sent, self.closed = failures, list[Any](), 0

    def post(self, url: str, data: bytes, **how: Any) -> None:
        self.sent.append((url, data, how))
        if len(self.sent) <= self.failures:
            raise HttpError(f"{url}: HTTP 503")

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("failures", "pauses", "sent"), [(0, [], 1), (1, [1.0], 2), (2, [1.0, 5.0], 3), (3, [1.0, 5.0], 3)]
)
def test_a_webhook_is_tried_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, pauses: list[float], sent: int
) -> None:
    """The one alarm of the night would be lost, or a receiver that is down be asked for ever."""
    (hook,) = webhooks(tmp_path, ["https://a.example/secret"])
    made, slept = Post(failures), list[float]()
    monkeypatch.setattr(notify, "Http", lambda **_: made)
    monkeypatch.setattr(time, "sleep", slept.append)
    if failures == 3:
        with pytest.raises(notify.Undelivered, match=r"https://a.example/\*\*\*: HTTP 503"):
            notify._post(hook, b"{}")
    else:
        notify._post(hook, b"{}")
    assert (slept, len(made.sent), made.closed) == (pauses, sent, 1)
    assert made.sent[0] == (
        "https://a.example/secret", b"{}", {"timeout": 5.0, "headers": {"Content-Type": "application/json"}},
    )  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_syslog_over_tcp_counts_its_octets(host: str) -> None:
    """A relay would take two messages for one, and drop both."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        target = Syslog(host=host, port=server.getsockname()[1], transport="tcp")
        notify._syslog(target, b"<132>1 \xef\xbb\xbfx")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(100) == b"11 <132>1 \xef\xbb\xbfx"


@pytest.mark.parametrize(
    ("what", "level"),
    [("off", "INFO"), ("wake-failed", "WARNING"), ("quarantine", "WARNING"), ("alarm", "WARNING")],
)
def test_events_are_in_our_own_log_with_their_weight(
    caplog: pytest.LogCaptureFixture, what: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm would be one line among thousands."""
    caplog.set_level("INFO")
    put: list[Any] = []
    monkeypatch.setattr(notify._sender, "put", lambda *event: put.append(event))
    notify.teller(Power(), "alpha")(Event(3, "node", what, "why"))
    assert [(one.levelname, one.message) for one in caplog.records] == [
        (level, f"host 3 (node): {what}: why")
    ]
    assert put == [], "nobody is named"
    settings = Power(syslog=Syslog(host="127.0.0.1"))
    notify.teller(settings, "alpha")(VmEvent(9, "web", "vm-waits", "why"))
    assert put == [(settings, "alpha", VmEvent(9, "web", "vm-waits", "why"))]
    assert caplog.records[-1].levelname == "WARNING"


def test_events_that_were_dropped_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody would know that alarms are missing."""
    begun, ends, sent = threading.Event(), threading.Event(), threading.Event()

    def slow(_settings: Power, cluster: str, _event: Event) -> None:
        if cluster == "first":
            begun.set()
            ends.wait(60)
        if cluster == "last":
            sent.set()

    monkeypatch.setattr(notify, "send", slow)
    monkeypatch.setattr(notify, "MOST_WAITING", 2)
    sender = notify.Sender()
    sender.put(Power(), "first", EVENT)
    assert begun.wait(60)
    for _ in range(5):
        sender.put(Power(), "second", EVENT)
    ends.set()
    for _ in range(600):
        if "3 events were not sent" in caplog.text:
            break
        time.sleep(0.1)
    assert "3 events were not sent" in caplog.text
    sender.put(Power(), "last", EVENT)
    assert sent.wait(60)
    assert caplog.text.count("events were not sent") == 1

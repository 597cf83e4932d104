"""The exporter as a process: paths, compression, TLS and passwords, an end in time."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gzip
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner

from exporter import landing_page, server
from exporter.access import Access
from exporter.collection import Collection, Scrape
from exporter.main import address, main, page
from exporter.site import Site
from onext.oned.stream import Source
from onext.settings.exporter import Exporter, Power
from onext.settings.gateway import Gateway
from onext.webconfig import Tls, WebConfigError, context, load
from sandbox.ports import free_port
from tests.exporter.answers import Answers, recorded, serve
from tests.exporter.monitoring import ROOT, exporter, get
from tests.fixtures_tls import certify
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.process
NO_POWER = "exporter: {power: {sources: []}}\n"


@pytest.fixture
def oned(recordings: Path) -> Iterator[Answers]:
    with serve(recorded(recordings)) as answers:
        yield answers


def test_paths(oned: Answers, tmp_path: Path) -> None:
    """People and load balancers find what they look for, and nothing else is there."""
    with exporter(oned.endpoint, tmp_path, NO_POWER) as listen:
        base = f"http://{listen}"
        assert get(f"{base}/-/healthy")[:2] == (200, b"healthy\n")
        assert get(f"{base}/-/ready")[:2] == (200, b"ready\n")
        assert b"not scraped yet" in get(f"{base}/")[1]
        status, plain, headers = get(f"{base}/metrics")
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        _, squeezed, headers = get(f"{base}/metrics", {"Accept-Encoding": "gzip"})
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(squeezed).count(b"\n") == plain.count(b"\n")
        page = get(f"{base}/")[1].decode()
        assert "15 VMs" in page
        assert "up, since " in page
        assert "figures of 0 of 0 hosts" in page  # the settings name no source
        assert 'href="/metrics"' in page
        assert get(f"{base}/etc/passwd")[0] == 404
        assert get(f"{base}/targets/vms")[0] == 404  # http_sd is off by default


def test_not_ready_while_oned_is_down(tmp_path: Path) -> None:
    """A load balancer must learn it, and the reason must be readable; healthy stays healthy."""
    with exporter("http://127.0.0.1:1/RPC2", tmp_path, NO_POWER) as listen:
        status, body, _ = get(f"http://{listen}/-/ready")
        assert status == 503
        assert b"is opennebula running" in body
        assert get(f"http://{listen}/-/healthy")[0] == 200
        assert b"opennebula_up 0" in get(f"http://{listen}/metrics")[1]
        assert b"secret" not in get(f"http://{listen}/")[1]


def test_http_sd(oned: Answers, tmp_path: Path) -> None:
    """A Prometheus on another machine gets the same targets, and no other file."""
    folder = tmp_path / "targets"
    folder.mkdir()
    (folder / "vms.json").write_text('[{"targets": ["10.0.0.1:1"], "labels": {}}]')
    (tmp_path / "secret.json").write_text("[]")
    settings = "exporter: {http_sd: true, power: {sources: []}}\n"
    with exporter(oned.endpoint, tmp_path, settings, "--targets", str(folder)) as listen:
        status, body, headers = get(f"http://{listen}/targets/vms")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body)[0]["targets"] == ["10.0.0.1:1"]
        for path in ("/targets/../secret", "/targets/secret", "/targets/%2e%2e/secret", "/targets/"):
            assert get(f"http://{listen}{path}")[0] == 404


def test_twenty_scrapes_at_once_ask_oned_twice(oned: Answers, tmp_path: Path) -> None:
    """Twenty Prometheus servers, or one that is impatient, must not be twenty times the load."""
    oned.delay = threading.Event()
    with exporter(oned.endpoint, tmp_path, NO_POWER) as listen:
        found: list[int] = []
        scrapes = [
            threading.Thread(target=lambda: found.append(get(f"http://{listen}/metrics")[0]))
            for _ in range(20)
        ]
        for scrape in scrapes:
            scrape.start()
        until(lambda: "hostpool.info" in oned.calls, "the first call")
        until(lambda: requests_read(listen) == 20, "the requests of all")
        threading.Event().wait(1.0)  # from reading its request to asking is a step in each thread
        oned.delay.set()
        for scrape in scrapes:
            scrape.join(PATIENCE)
        assert found == [200] * 20
        assert oned.calls.count("vmpool.infoextended") <= 2


def requests_read(listen: str) -> int:
    """Return how many connections the exporter has whose request it has read (proc(5), /proc/net/tcp)."""
    local = f"0100007F:{int(listen.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1] == local and line[3] == "01" and line[4].endswith(":00000000") for line in lines)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a self-signed certificate for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    return folder


def test_tls_and_passwords(oned: Answers, tmp_path: Path, certificate: Path) -> None:
    """The file format of exporter-toolkit: whoever has it for node_exporter has it for us."""
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    web = certificate / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: cert.pem, key_file: key.pem}}\nbasic_auth_users: {{prom: '{hashed}'}}\n"
    )
    with exporter(oned.endpoint, tmp_path, NO_POWER, "--web-config", str(web)) as listen:
        trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

        def ask(user: str, password: str) -> int:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            request = urllib.request.Request(
                f"https://{listen}/metrics", headers={"Authorization": f"Basic {token}"}
            )
            try:
                with urllib.request.urlopen(request, context=trust, timeout=PATIENCE) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                return error.code

        assert ask("prom", "right") == 200
        assert ask("prom", "right") == 200
        assert ask("prom", "wrong") == 401
        assert ask("other", "right") == 401
        assert get(f"http://{listen}/metrics")[0] == 0  # no plain text beside TLS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tls_server_config: {cert_file: a}", "key_file"),
        ("tls_server_config: {cert_file: a, key_file: b, cipher_suites: []}", "cipher_suites"),
        ("http_server_config: {http2: false}", "http_server_config"),
        ("basic_auth_users: {a: plain}", "not a bcrypt hash"),
        ("a: [", "cannot be read"),
        ("basic_auth_users: {a: '$2y$31$" + "a" * 53 + "'}", "not a bcrypt hash"),
        ("basic_auth_users:\n", "basic_auth_users"),
        ("a: " + "[" * 5000, "cannot be read"),
        ("a: 2001-99-99", "cannot be read"),
        ("a: \x01", "cannot be read"),
        ("a: 1\na: 2", "cannot be read"),
        ("#" * (1 << 21), "more than"),
    ],
)
def test_a_guard_that_is_not_understood_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    """Serving without the guard that somebody wrote down would be worse than not serving."""
    (tmp_path / "web.yml").write_text(text)
    with pytest.raises(WebConfigError, match=reason):
        load(tmp_path / "web.yml")


def test_client_certificates_need_their_authority(certificate: Path) -> None:
    """`RequireAndVerifyClientCert` without a CA would let in nobody, or everybody."""
    tls = Tls(
        cert_file=Path("cert.pem"), key_file=Path("key.pem"), client_auth_type="RequireAndVerifyClientCert"
    )
    with pytest.raises(WebConfigError, match="client_ca_file"):
        context(tls, certificate)
    whole = tls.model_copy(update={"client_ca_file": Path("cert.pem")})
    assert context(whole, certificate).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(WebConfigError, match=r"tls_server_config.*nowhere/cert\.pem"):
        context(whole, certificate / "nowhere")
    junk = certificate / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(WebConfigError, match=r"junk\.pem"):
        context(whole.model_copy(update={"client_ca_file": Path("junk.pem")}), certificate)


@pytest.mark.parametrize("policy", [{}, {"client_auth_type": "NoClientCert"}])
def test_S9_an_authority_without_a_policy_is_refused(certificate: Path, policy: dict[str, str]) -> None:
    """exporter-toolkit refuses such a file; serving it would let everybody in whom it was to keep out."""
    files = {"cert_file": "cert.pem", "key_file": "key.pem", "client_ca_file": "cert.pem"}
    with pytest.raises(WebConfigError, match="client_auth_type"):
        context(Tls.model_validate(files | policy), certificate)


def test_versions_that_exclude_each_other_are_refused(certificate: Path) -> None:
    """No client could connect, and the log of the exporter would be silent about it."""
    tls = Tls(cert_file=Path("cert.pem"), key_file=Path("key.pem"), min_version="TLS13", max_version="TLS12")
    with pytest.raises(WebConfigError, match="min_version"):
        context(tls, certificate)


@pytest.mark.parametrize("tls", [False, True])
def test_S9_silent_and_dripping_clients_do_not_lock_out(
    oned: Answers, tmp_path: Path, certificate: Path, tls: bool
) -> None:
    """64 connections that send a byte now and then kept Prometheus out, without logging in."""
    web = certificate / "web-drip.yml"
    web.write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n" if tls else "{}\n")
    trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with exporter(oned.endpoint, tmp_path, NO_POWER, "--web-config", str(web)) as listen:
        host, _, port = listen.rpartition(":")
        crowd = []
        try:
            for number in range(150):
                connection = socket.create_connection((host, int(port)))
                connection.sendall(b"GET /metrics HTTP/1.1\r\nX: "[: 1 + number % 26])
                crowd.append(connection)
            url = f"{'https' if tls else 'http'}://{listen}/-/healthy"
            with urllib.request.urlopen(url, context=trust if tls else None, timeout=PATIENCE) as answer:
                assert answer.status == 200
        finally:
            for connection in crowd:
                connection.close()


def test_S9_a_request_has_one_deadline(
    oned: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte every few seconds must not hold a connection for ever."""
    monkeypatch.setattr(server, "REQUEST", 0.5)
    with served(oned, tmp_path) as address_of, socket.create_connection(address_of) as slow:
        slow.settimeout(PATIENCE)
        ended = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    slow.sendall(b"G")

        thread = threading.Thread(target=drip)
        thread.start()
        with contextlib.suppress(ConnectionError):  # a reset is an end, too
            assert slow.recv(1) == b""
        ended.set()
        thread.join()


def test_S9_a_request_has_a_size(oned: Answers, tmp_path: Path) -> None:
    """A hundred headers of 64 KB on each connection would be more memory than the service may have."""
    with served(oned, tmp_path) as address_of, socket.create_connection(address_of) as large:
        large.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            large.sendall(
                b"GET /-/healthy HTTP/1.1\r\n" + b"X: " + b"x" * 60_000 + b"\r\nY: " + b"y" * 60_000
            )
            large.sendall(b"\r\n\r\n")
            assert b"200" not in large.recv(100)


def test_S9_a_body_is_not_taken_for_a_request(oned: Answers, tmp_path: Path) -> None:
    """Behind a proxy that shares its connection, a body would be answered as another client's request."""
    with served(oned, tmp_path) as address_of, socket.create_connection(address_of) as connection:
        inner = b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(
            b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(inner), inner)
        )
        connection.settimeout(PATIENCE)
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65536):
                got += chunk
        assert got.count(b"HTTP/1.1 ") == 1


def test_C4_a_thread_that_cannot_start_leaks_no_place(
    oned: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 64 such moments the exporter would refuse every connection until its restart."""
    start = threading.Thread.start

    def none_left(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    with served(oned, tmp_path) as address_of:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none_left)
            for _ in range(70):
                with socket.create_connection(address_of) as refused:
                    refused.settimeout(PATIENCE)
                    with contextlib.suppress(ConnectionError):
                        assert refused.recv(1) == b""
        for _ in range(70):
            assert get(f"http://{address_of[0]}:{address_of[1]}/-/healthy")[0] == 200


@contextlib.contextmanager
def served(oned: Answers, folder: Path) -> Iterator[tuple[str, int]]:
    """Run the server in a thread of this process; its address."""
    collection = Collection(
        Source(oned.endpoint, "u:p"), Exporter(power=Power(sources=[])), folder, version="1", server="fe"
    )
    site = Site(collection, lambda: "", "1")
    with server.Server(("127.0.0.1", 0), site, Access(None)) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running.server_address  # type: ignore[misc]  # of IPv4
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True), ("deflate, gzip", True), ("gzip;q=0.5", True), ("*", True), ("x-gzip", True), ("GZIP", True),
        ("gzip;q=0", False), ("gzip; q=0.000", False), ("gzip;q=0, *", False), ("", False), ("identity", False),
        ("*;q=0", False), ("deflate", False), ("notgzip", False), ("gzip;q=x", False), ("gzip;q=nan", False),
    ],
)  # fmt: skip
def test_S9_what_a_client_accepts(header: str, expected: bool) -> None:
    """`gzip;q=0` refuses gzip; what cannot be read is answered without."""
    assert server.accepts_gzip(header) is expected


def test_E5_an_old_scrape_is_not_shown_as_current(oned: Answers, tmp_path: Path) -> None:
    """The landing page said `up` from half an hour ago while OpenNebula was down."""
    scrape = Scrape(b"", True, time.time() - 1860, 0.5, {}, 15, time.time() - 9999, (0, 0), b"")
    old = landing_page.render(scrape, 0.0, "1", {}).decode()
    assert "not known: no scrape for 31 min; it was up, since" in old
    assert "31 min ago" in old
    new = landing_page.render(dataclasses.replace(scrape, at=time.time()), 0.0, "1", {}).decode()
    assert "not known" not in new
    assert "<td>up, since" in new


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--settings", "bad.yaml", "--auth", "auth"], "unknown key"),
        (["--auth", "missing"], "missing"),
        (["--auth", "auth", "--clusters", "a"], "ids of clusters"),
        (["--auth", "auth", "--web-config", "missing.yml"], "missing.yml"),
        (["--auth", "auth", "--listen", "127.0.0.1:TAKEN"], "in use"),
        (["--auth", "auth", "--listen", "nowhere"], "address:port"),
        (["--auth", "auth", "--listen", "127.0.0.1:99999"], "address:port"),
        (["--auth", "auth", "--listen", "127.0.0.1:1:2"], "address:port"),
        (["--auth", "auth", "--listen", "no.such.host.invalid:9925"], "no.such.host.invalid"),
        (["--auth", "auth", "--endpoint", "nowhere"], "RPC2 is expected"),
        (["--auth", "auth", "--endpoint", "http://x:port/RPC2"], "RPC2 is expected"),
        (["--auth", "binary"], "user:password"),
        (["--auth", "."], "directory"),
    ],
)
def test_E4_a_start_that_fails_says_why(tmp_path: Path, arguments: list[str], reason: str) -> None:
    """A service that ends at once must say what to do, in one line of the journal."""
    (tmp_path / "auth").write_text("a:b")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "bad.yaml").write_text("exporter: {lisen: x}\n")
    paths = [
        str(tmp_path / a) if a in ("auth", "bad.yaml", "binary", "missing", "missing.yml") else a
        for a in arguments
    ]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [p.replace("TAKEN", str(taken.getsockname()[1])) for p in paths]
        found = CliRunner().invoke(main, ["--endpoint", "http://127.0.0.1:1", *words])
    assert isinstance(found.exception, SystemExit), found.exception
    assert found.exit_code != 0
    assert re.search(reason, found.output)


def test_settings_win_over_the_address_that_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit names where the stock job scrapes; an administrator who wrote `listen` meant it."""
    (tmp_path / "auth").write_text("a:b")
    monkeypatch.setenv("ONEXT_EXPORTER_LISTEN", "127.0.0.2:1")
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        one, two = (f"127.0.0.1:{taken.getsockname()[1]}" for taken in (first, second))
        (tmp_path / "onext.yaml").write_text(f"exporter: {{listen: '{one}'}}\n")
        words = ["--endpoint", "http://127.0.0.1:1", "--auth", str(tmp_path / "auth"), "--settings"]

        def why(settings: str, *more: str) -> str:
            return CliRunner().invoke(main, [*words, str(tmp_path / settings), *more]).output

        assert f"{one}: Address already in use" in why("onext.yaml")
        assert f"{two}: Address already in use" in why("onext.yaml", "--listen", two)
        monkeypatch.setenv("ONEXT_EXPORTER_LISTEN", two)
        (tmp_path / "empty.yaml").touch()
        assert f"{two}: Address already in use" in why("empty.yaml")


def test_addresses() -> None:
    """Prometheus scrapes a routable address, IPv6 too."""
    assert address("127.0.0.1:9925") == ("127.0.0.1", 9925)
    assert address("[::]:9925") == ("::", 9925)


def test_every_address_takes_both_families(oned: Answers, tmp_path: Path) -> None:
    """OpenNebula's own exporter binds `::`: a job that scrapes an IPv4 address must go on."""
    port = free_port()
    with exporter(oned.endpoint, tmp_path, NO_POWER, listen=f"[::]:{port}"):
        for own in ("127.0.0.1", "[::1]"):
            assert get(f"http://{own}:{port}/-/healthy")[0] == 200


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_names_and_addresses_of_either_family(oned: Answers, tmp_path: Path, host: str) -> None:
    """The stock job may name this server by name, and a name may be IPv6."""
    with exporter(oned.endpoint, tmp_path, NO_POWER, listen=f"{host}:{free_port()}") as listen:
        assert get(f"http://{listen}/-/healthy")[0] == 200


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
@pytest.mark.parametrize("name", ["onext-exporter.service", "scaphandre/scaphandre.service"])
def test_units_are_what_systemd_takes(tmp_path: Path, name: str) -> None:
    """A unit with a misspelt guard starts all the same, without the guard."""
    text = (ROOT / "exporter" / name).read_text().replace("/usr/local/bin/scaphandre", "/bin/true")
    for place in ("@LIB@/venv/bin/python3", "@LIB@", "@ETC@", "@RUN@", "@VAR@"):
        text = text.replace(place, "/bin/true" if place.endswith("python3") else str(tmp_path))
    unit = tmp_path / Path(name).name
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exporter_cannot_be_oneadmin() -> None:
    """What the whole network can ask must not hold the keys of the cloud, nor run beside the stock exporter."""
    lines = (ROOT / "exporter/onext-exporter.service").read_text().splitlines()
    assert {"DynamicUser=yes", "Conflicts=opennebula-exporter.service", "NoNewPrivileges=yes"} <= set(lines)
    assert "InaccessiblePaths=-/var/lib/one/.one" in lines
    assert not [line for line in lines if line.startswith(("SupplementaryGroups", "Group="))]


def test_the_landing_page_leads_to_the_gateway_where_there_is_one() -> None:
    """People who find the exporter would not find the map."""
    assert page(Gateway()) == ""
    address = page(Gateway(enabled=True, web_config=Path("web.yml")))
    site = Site(lambda: pytest.fail("no scrape"), lambda: "", "1", gateway=address)
    assert site.links()["https://127.0.0.1:9928/"]
    assert f'href="{address}"'.encode() in site.answer("/", gzip=False).body

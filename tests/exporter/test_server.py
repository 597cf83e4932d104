"""The exporter as a process: paths, compression, TLS and passwords, an end in time."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner

from exporter.main import address, main
from exporter.webconfig import Tls, Users, WebConfigError, context, load
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
        assert b"nothing was scraped yet" in get(f"{base}/")[1]
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
    with pytest.raises(WebConfigError, match="tls_server_config"):
        context(tls, certificate / "nowhere")


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Basic", "Basic !!", "Basic /w==", "Basic YQ=="])
def test_odd_headers_let_nobody_in(header: str | None) -> None:
    """Whatever is sent, only a known user and password open."""
    users = Users({"a": bcrypt.hashpw(b"b", bcrypt.gensalt(4)).decode(), "broken": "$2b$04$x"})
    assert not users.allow(header)
    assert users.allow("Basic " + base64.b64encode(b"a:b").decode())
    assert not users.allow("Basic " + base64.b64encode(b"broken:x").decode())
    assert Users({}).allow(header)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--settings", "bad.yaml", "--auth", "auth"], "no such key"),
        (["--auth", "missing"], "missing"),
        (["--auth", "auth", "--clusters", "a"], "ids of clusters"),
        (["--auth", "auth", "--web-config", "missing.yml"], "missing.yml"),
        (["--auth", "auth", "--listen", "127.0.0.1:TAKEN"], "in use"),
    ],
)
def test_a_start_that_fails_says_why(tmp_path: Path, arguments: list[str], reason: str) -> None:
    """A service that ends at once must say what to do, in one line of the journal."""
    (tmp_path / "auth").write_text("a:b")
    (tmp_path / "bad.yaml").write_text("exporter: {lisen: x}\n")
    paths = [
        str(tmp_path / a) if a in ("auth", "bad.yaml", "missing", "missing.yml") else a for a in arguments
    ]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [p.replace("TAKEN", str(taken.getsockname()[1])) for p in paths]
        found = CliRunner().invoke(main, ["--endpoint", "http://127.0.0.1:1", *words])
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

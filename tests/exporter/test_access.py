"""web.config is followed while the exporter runs: passwords and certificates change without a restart."""

from __future__ import annotations

import base64
import logging
import ssl
import urllib.request
from pathlib import Path

import bcrypt
import pytest

from exporter.access import Access
from onext.webconfig import WebConfigError
from tests.exporter.answers import recorded, serve
from tests.exporter.monitoring import exporter
from tests.fixtures_tls import certify
from tests.waiting import PATIENCE


def write(file: Path, text: str) -> None:
    """Put a file in place of another, as certbot and editors do."""
    draft = file.with_suffix(".new")
    draft.write_text(text)
    draft.replace(file)


def passwords(**users: str) -> str:
    """Return a web.config with these users."""
    hashed = {name: bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode() for name, word in users.items()}
    return f"basic_auth_users: {hashed}\n"


def header(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_without_a_file_everybody_may_ask() -> None:
    """The guard is off until somebody asks for it: a Prometheus on the same machine needs none."""
    assert Access(None).gate().users.allow(None)
    assert Access(None).gate().tls is None


def test_a_password_that_was_changed(tmp_path: Path) -> None:
    """Who was taken out of the file would be let in until the next restart."""
    file = tmp_path / "web.yml"
    write(file, passwords(a="old", b="b"))
    access = Access(file)
    assert access.gate().users.allow(header("a", "old"))
    write(file, passwords(a="new"))
    users = access.gate().users
    assert users.allow(header("a", "new"))
    assert not users.allow(header("a", "old"))
    assert not users.allow(header("b", "b"))
    assert access.gate().users is users  # nothing is read twice


def test_a_file_that_breaks_lets_nobody_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A typing error must not let everybody in, nor keep all out after it was corrected."""
    file = tmp_path / "web.yml"
    write(file, passwords(a="a"))
    access = Access(file)
    write(file, "basic_auth_user: {}\n")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(WebConfigError, match="basic_auth_user"):
                access.gate()
    assert len(caplog.records) == 1
    file.unlink()
    with pytest.raises(WebConfigError, match="cannot be read"):
        access.gate()
    write(file, passwords(a="a"))
    assert access.gate().users.allow(header("a", "a"))


@pytest.mark.process
def test_a_certificate_that_was_renewed(tmp_path: Path, recordings: Path) -> None:
    """A certificate of 90 days ends all scrapes on the day on which nobody thinks of a restart."""
    first = certify(tmp_path)
    web = tmp_path / "web.yml"
    web.write_text("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
    settings = "exporter: {power: {sources: []}}\n"
    words = ("--web-config", str(web))
    with serve(recorded(recordings)) as oned, exporter(oned.endpoint, tmp_path, settings, *words) as listen:

        def ask(trust: ssl.SSLContext) -> int:
            with urllib.request.urlopen(
                f"https://{listen}/-/healthy", context=trust, timeout=PATIENCE
            ) as answer:
                return int(answer.status)

        assert ask(first) == 200
        second = certify(tmp_path)
        assert ask(second) == 200
        with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
            ask(first)

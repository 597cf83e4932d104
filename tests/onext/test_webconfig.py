"""The file of TLS and passwords: each of its rules, at the value where it begins to hold."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from onext import webconfig
from onext.webconfig import Tls, WebConfig, WebConfigError, context, cost, load
from tests.fixtures_tls import certify

pytestmark = pytest.mark.process
SALT = "a" * 53


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate and its key."""
    made = tmp_path_factory.mktemp("tls")
    certify(made)
    return made


@pytest.mark.parametrize(
    ("hashed", "expected"),
    [
        (f"$2b$04${SALT}", 4),
        (f"$2y$16${SALT}", 16),
        (f"$2a$10${SALT}", 10),
        (f"$2b$03${SALT}", None),
        (f"$2b$17${SALT}", None),
        (f"$2x$10${SALT}", None),
        (f"$2b$10${SALT}a", None),
        (f"$2b$10${SALT[1:]}", None),
        ("", None),
    ],
)
def test_a_hash_has_a_cost_that_a_server_can_pay(hashed: str, expected: int | None, tmp_path: Path) -> None:
    """One login takes minutes and all others wait, or an unsafe hash counts."""
    assert cost(hashed) == expected
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users: {{a: '{hashed}'}}\n")
    if expected is None:
        with pytest.raises(
            WebConfigError, match=r"basic_auth_users\.a: not a bcrypt hash with a cost from 4 to 16"
        ):
            load(file)
    else:
        assert load(file) == WebConfig(basic_auth_users={"a": hashed})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 5000, "brackets are nested too deeply"),
        ("a: 1", "a: Extra inputs are not permitted"),
        (
            "tls_server_config: {cert_file: a, key_file: b, min_version: SSL3}",
            "tls_server_config.min_version: ",
        ),
        ("tls_server_config: {cert_file: a}", "tls_server_config.key_file: Field required"),
        ("a: 2001-99-99", "cannot be read: "),
        ("'", "cannot be read: "),
    ],
)
def test_what_is_not_understood_is_an_error(text: str, reason: str, tmp_path: Path) -> None:
    """A protection that somebody wrote down would not be there."""
    (tmp_path / "web.yml").write_text(text)
    with pytest.raises(WebConfigError) as refused:
        load(tmp_path / "web.yml")
    assert str(refused.value).startswith(f"{tmp_path / 'web.yml'}: ")
    assert reason in str(refused.value)


def test_a_file_has_a_largest_size_and_may_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter would read any file that is put there."""
    file = tmp_path / "web.yml"
    file.write_text("")
    assert load(file) == WebConfig()
    file.write_text("{}  ")
    monkeypatch.setattr(webconfig, "_LARGEST", 4)
    assert load(file) == WebConfig()
    file.write_text("{}   ")
    with pytest.raises(WebConfigError, match="more than 4 characters"):
        load(file)


@pytest.mark.parametrize(
    ("given", "mode", "low", "high"),
    [
        ({}, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
        ({"min_version": "TLS13"}, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
        ({"max_version": "TLS12"}, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        (
            {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "cert.pem"},
            ssl.CERT_OPTIONAL, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3,
        ),
        (
            {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "cert.pem"},
            ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3,
        ),
    ],
)  # fmt: skip
def test_the_context_asks_of_clients_what_the_file_asks(
    given: dict[str, str], mode: ssl.VerifyMode, low: ssl.TLSVersion, high: ssl.TLSVersion, folder: Path
) -> None:
    """Anybody would be let in, or a version that was switched off be spoken."""
    made = context(Tls.model_validate({"cert_file": "cert.pem", "key_file": "key.pem", **given}), folder)
    assert (made.verify_mode, made.minimum_version, made.maximum_version) == (mode, low, high)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"client_ca_file": "cert.pem"}, "client_ca_file needs a client_auth_type that asks for one"),
        ({"client_auth_type": "VerifyClientCertIfGiven"}, "VerifyClientCertIfGiven needs client_ca_file"),
        ({"min_version": "TLS13", "max_version": "TLS12"}, "min_version is above max_version"),
        ({"key_file": "none.pem"}, "No such file or directory ({0}/cert.pem {0}/none.pem)"),
        (
            {"client_auth_type": "VerifyClientCertIfGiven", "client_ca_file": "none.pem"},
            "No such file or directory ({0}/cert.pem {0}/key.pem {0}/none.pem)",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], reason: str, folder: Path) -> None:
    """Who believes that client certificates are checked lets everyone in."""
    with pytest.raises(WebConfigError) as refused:
        context(Tls.model_validate({"cert_file": "cert.pem", "key_file": "key.pem", **given}), folder)
    assert str(refused.value).startswith("tls_server_config: ")
    assert str(refused.value).endswith(reason.format(folder))

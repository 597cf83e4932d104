"""What `onext doctor` reports about the gateway."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway import part
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.gateway import Gateway


def levels(tmp_path: Path, **values: object) -> dict[str, str]:
    settings = Settings(gateway=Gateway.model_validate({"enabled": True, **values}))
    return {one.name: one.level for one in part.checks(Context(Paths.self_contained(tmp_path), settings))}


@pytest.mark.process
def test_doctor_finds_what_keeps_people_out(tmp_path: Path) -> None:
    """A gateway that does not run, or sends passwords in clear, would be found by those who use it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert levels(tmp_path, listen=f"127.0.0.1:{port}") == {"listens": "ok"}
        assert levels(tmp_path, listen=f"0.0.0.0:{port}") == {"listens": "ok", "TLS": "warn"}
    assert levels(tmp_path, listen=f"127.0.0.1:{port}") == {"listens": "fail"}
    (tmp_path / "web.yml").write_text("tls_server_config: {}\n")
    assert levels(tmp_path, web_config=str(tmp_path / "web.yml"))["web_config"] == "fail"


def test_nothing_is_checked_or_published_unless_it_is_enabled(tmp_path: Path) -> None:
    """A site without a gateway would get failures, and its users' keys in a file."""
    context = Context(Paths.self_contained(tmp_path), Settings())
    assert [one.level for one in part.checks(context)] == ["ok"]
    assert list(part.sweep(context)) == []
    assert part.reconcile(context, []) == ""

"""`onext power bmc check`: a table that fits, reasons below it, JSON for scripts, an exit code."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hooks.power.commands.group import power
from onext.hosts.bmc import client
from onext.hosts.bmc.job import Job
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.xml import Element, parse

LONG = "rack-7-node-with-a-very-long-name.example.org"
POOL = f"<HOST_POOL><HOST><ID>7</ID><NAME>node-a</NAME></HOST><HOST><ID>1208</ID><NAME>{LONG}</NAME></HOST></HOST_POOL>"
BMC_YAML = """
7: {kind: ipmi, address: 192.0.2.7, user: onext, password: s3cret, serial: A1}
1208: {kind: redfish, address: 192.0.2.8, user: onext, password: s3cret, serial: A2}
"""
GOOD = {"power": "on", "privilege": True, "watts": 12345.6, "source": "DCMI", "uuid": "", "serial": "A1"}
BAD = {"error": "WrongPassword", "reason": "it rejects this user and password: correct them in bmc.yaml"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Play BMCs, the second of which rejects the password; give the hosts whose BMCs were asked."""
    asked: list[int] = []

    def ask(jobs: list[Job], _deadline: float) -> dict[int, Any]:
        asked.extend(job.id for job in jobs)
        return {job.id: {"seconds": 12.34, **(GOOD if job.id == 7 else BAD)} for job in jobs}

    class Oned:
        def document(self, method: str) -> Element:
            assert method == "hostpool.info"
            return parse(POOL.encode())

    monkeypatch.setattr(client, "ask", ask)
    monkeypatch.setattr(Context, "oned", Oned())
    return asked


def run(folder: Path, *words: str) -> Result:
    context = Context(Paths.self_contained(folder), Settings())
    context.paths.own_etc.mkdir(parents=True)
    file = context.paths.own_etc / "bmc.yaml"
    file.write_text(BMC_YAML)
    file.chmod(0o600)
    return CliRunner().invoke(power, ["bmc", "check", *words], obj=context)


def test_E1_the_table_fits_80_columns_and_reasons_are_below(tmp_path: Path, asked: list[int]) -> None:
    """A broken table hides the one host that matters."""
    done = run(tmp_path)
    lines = done.output.splitlines()
    assert done.exit_code == 1
    assert asked == [7, 1208]
    assert all(len(line) <= 80 for line in lines[:3])
    assert lines[0].split() == [
        "ID",
        "HOST",
        "REACH",
        "CERT",
        "LOGIN",
        "IDENT",
        "PRIV",
        "POWER",
        "WATTS",
        "SECS",
    ]
    assert lines[1].split() == ["7", "node-a", "ok", "-", "ok", "ok", "ok", "on", "12346", "12.3"]
    assert lines[2].split()[2:6] == ["ok", "ok", "no", "-"]
    assert lines[3] == "host 1208: it rejects this user and password: correct them in bmc.yaml"
    assert "s3cret" not in done.output


def test_E1_one_host_by_name_or_id(tmp_path: Path, asked: list[int]) -> None:
    """Somebody who repairs one BMC would wait for all."""
    assert run(tmp_path / "a", "node-a").exit_code == 0
    assert run(tmp_path / "b", "7").exit_code == 0
    assert asked == [7, 7]
    for word, message in (("9", "host 9: not found"), ("nothing", "host nothing: not found")):
        done = run(tmp_path / word, word)
        assert done.exit_code == 2
        assert message in done.output


def test_E1_json_is_complete(tmp_path: Path, asked: list[int]) -> None:
    """A script would have to parse a table that shortens names."""
    rows = json.loads(run(tmp_path, "--json").output)
    assert (rows[0]["watts"], rows[0]["watts_source"], rows[0]["seconds"]) == (12345.6, "DCMI", 12.34)
    assert rows[1]["host"] == LONG
    assert (rows[1]["login"], rows[1]["error"], rows[1]["usable"]) == ("failed", "WrongPassword", False)
    assert asked == [7, 1208]

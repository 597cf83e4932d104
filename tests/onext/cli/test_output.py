"""Tables on a terminal of 80 columns, and the same as JSON: of a cloud with long names, all in one sandbox."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from onext.cli.manual import complete
from tests.fixtures_bundle import Bundle
from tests.hooks.power.test_sandbox import SETTINGS

from .test_every_command import COMMANDS

pytestmark = pytest.mark.process
WIDTH = 80
NAMES = ("node-stockholm-rack-12-unit-07.edge.example.org", "node-0001", "kvm-amsterdam-2.edge.example.org")
WORDS = {
    "balance plan": ["100"],
    "doctor": ["--local"],
    "events status": [],
    "geo show": [],
    "ha check": [],
    "ha history": [],
    "ha plan": [NAMES[1]],
    "ha status": [],
    "power asleep": [],
    "power bmc check": [],
    "power plan": ["100"],
    "power report": [],
    "power status": [],
    "status": [],
    "targets list": [],
    "tunnel drivers": [],
    "tunnel list": [],
}
ELSEWHERE = {  # needs a token, a past, minutes, or two hosts; or prints one document a line
    *("biscuit check", "biscuit inspect", "biscuit revoke", "events dead list", "events tail"),
    *(
        "edge init",
        "edge list",
        "edge reset",
        "edge revoke",
        "edge rotate",
        "edge show",
        "edge token",
    ),  # tests/hooks/edge
    *("geo update", "power advise", "power simulate", "power wake", "tunnel check"),
}


def test_the_table_is_complete() -> None:
    """The output of a new command would never be seen before a user sees it."""
    with_json = {
        name for name, command in COMMANDS.items() if "--json" in {o for p in command.params for o in p.opts}
    }
    assert with_json - ELSEWHERE == WORDS.keys()


@pytest.fixture
def cloud(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Return a front-end with hosts and VMs of long names in cluster 100; commands run in this process."""
    sandbox = bundle.sandbox
    cluster = sandbox.call("cluster.allocate", "edge-of-the-network-north")
    for name in NAMES:
        sandbox.call("host.allocate", name, "dummy", "dummy", cluster)
    sink = f"events:\n  sinks:\n  - name: file\n    kind: file\n    path: {bundle.var}/events.json\n"
    bundle.settings(f"{SETTINGS}availability:\n  clusters: [{cluster}]\n{sink}")
    sandbox.control("monitor")
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    return bundle


def run(name: str, *words: str) -> Result:
    done = CliRunner().invoke(complete(), [*name.split(), *WORDS[name], *words], prog_name="onext")
    assert done.exception is None or isinstance(done.exception, SystemExit), (name, done.output)
    return done


def rows_of(document: object) -> list[dict[str, object]]:
    """Return the rows of a document: a list of them, or lists inside."""
    if isinstance(document, dict):
        return [row for value in document.values() if isinstance(value, list) for row in rows_of(value)]
    assert isinstance(document, list)
    return [row for row in document if isinstance(row, dict)]


def test_tables_fit_and_json_is_complete(cloud: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name or an id that is cut cannot be typed into the next command, and a broken line cannot be read."""
    wrong = []
    for name in WORDS:
        documents = json.loads(run(name, "--json").stdout)
        monkeypatch.setattr("onext.table.fits", lambda: True)
        monkeypatch.setattr("onext.cli.doctor.fits", lambda: True)
        text = run(name).stdout

        wide = [line for line in text.splitlines() if len(line) > WIDTH and " " in line[WIDTH:].strip()]
        lost = [
            str(row[key])
            for row in rows_of(documents)
            for key in ("id", "name", "check", "key", "vm")
            if row.get(key) not in (None, "") and str(row[key]) not in text
        ]
        wrong += [f"{name}: {part}" for part in (*wide, *lost)]
    assert not wrong, "\n".join(wrong)

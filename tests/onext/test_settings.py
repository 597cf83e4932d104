"""The administrator's settings."""

from pathlib import Path

import pytest

from onext.settings import Settings, SettingsError, load


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "onext.yaml"
    file.write_text(text)
    return file


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    """The bundle works before anybody configured it."""
    assert load(tmp_path / "none") == Settings()


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    """A file of comments alone is what install.sh places."""
    assert load(write(tmp_path, "# nothing yet\n")) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "geolocation:\n  databse: /x.mmdb\n",
            r"onext.yaml:2: geolocation.databse: unknown key; did you mean 'database'",
        ),
        ("\n\nlocation:\n  a: 1\n", r"onext.yaml:3: location: unknown key; did you mean 'geolocation'"),
        (
            "events:\n  sinks:\n  - name: a\n    zzzz: 1\n",
            r"onext.yaml:4: events.sinks.0.zzzz: unknown key; expected one of: name, kind",
        ),
        (
            "targets:\n  jobs:\n    node_exporter:\n      port: 1\n      zzzz: 1\n",
            r"targets.jobs.node_exporter.zzzz: unknown key; expected one of: \w+",
        ),
        (
            "geolocation:\n  # c\n  ssh_timeout: soon\n",
            r"onext.yaml:3: geolocation.ssh_timeout: .*number.*'soon'",
        ),
        ("geolocation:\n  ssh_timeout: -1\n", r"onext.yaml:2: geolocation.ssh_timeout: .*greater than 0"),
        ("geolocation: [1\n", r"onext.yaml:\d+: not YAML"),
        (
            "geolocation:\n  maxmind:\n    account_id: 1\n",
            r"onext.yaml:2: geolocation.maxmind.license_key_file: .*required",
        ),
        ("- a\n", r"onext.yaml:1: "),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    """An administrator corrects the right line at the first try."""
    with pytest.raises(SettingsError, match=expected):
        load(write(tmp_path, text))


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Nobody wants to find them one by one."""
    with pytest.raises(SettingsError) as failure:
        load(write(tmp_path, "oned:\n  timeout: 0\ngeolocation:\n  x: 1\n"))
    assert len(str(failure.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oned:\n  timeout: 2001-99-99\n", r"onext.yaml:2: oned.timeout: this value is not possible"),
        ("oned:\n  timeout: \x07\n", r"onext.yaml:2: timeout: a control character"),
        ("power:\n  clusters: " + "[" * 2000, r"onext.yaml:2: power.clusters: nested"),
        ("power:\n  clusters: [" + "9" * 5000 + "]\n", r"onext.yaml:2: power.clusters: a number of more"),
        (
            "power:\n  clusters: [0x" + "f" * 5000 + "]\n",
            r"onext.yaml:2: power.clusters: a number of more",
        ),
        ("power:\n  defaults: [1, 2]\n", r"onext.yaml:2: power.defaults: [^\[]*$"),
        ("geolocation:\n  refresh_hours: .inf\n", r"onext.yaml:2: geolocation.refresh_hours: .*finite"),
    ],
)
def test_S10_E4_no_value_ends_a_worker_and_every_message_is_for_people(
    tmp_path: Path, text: str, expected: str
) -> None:
    """A slip in onext.yaml made the worker start and die again and again, without a line in the log."""
    with pytest.raises(SettingsError, match=expected) as caught:
        load(write(tmp_path, text))
    assert "lax-or-strict" not in str(caught.value)
    assert "function-" not in str(caught.value)

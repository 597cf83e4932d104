"""onext-migrate.conf is checked on the front-end, by the driver's own code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from onext import process
from onext.part import Context
from onext.paths import Paths
from onext.tunnel import drivers, validation
from onext.tunnel.commands import tunnel
from onext.tunnel.drivers import Standing

DRIVER = Path(__file__).parents[3] / "drivers/vmm/migrate"
pytestmark = pytest.mark.process


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return a front-end with the driver in remotes/."""
    (tmp_path / "etc").mkdir()
    remotes = tmp_path / "var/remotes"
    shutil.copytree(
        DRIVER / "onext_migrate",
        remotes / "vmm/kvm/onext_migrate",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (remotes / validation.CONF).parent.mkdir(parents=True)
    shutil.copy(DRIVER / "onext-migrate.conf", remotes / validation.CONF)
    return Context(paths=Paths.self_contained(tmp_path))


def write(context: Context, text: str) -> None:
    """Write onext-migrate.conf."""
    (context.paths.remotes / validation.CONF).write_text(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('TUNNEL="never"', ""),
        ('TUNEL="never"', "TUNEL is not a setting"),
        ('PARALLEL="2"\nPOSTCOPY_AFTER="1"', "together lose the VM"),
        ("\x00", "line 1"),
    ],
)
def test_E2_judged_as_the_nodes_judge(context: Context, text: str, problem: str) -> None:
    """With `TUNEL="never"` every migration ended on the nodes, and the front-end reported nothing."""
    write(context, text)
    found = validation.problem(context.paths.remotes)
    assert problem in found
    assert bool(found) == bool(problem)
    assert found == validation.problem(context.paths.remotes, DRIVER / "onext_migrate"), (
        "as the installer asks"
    )
    done = CliRunner().invoke(tunnel, ["validate"], obj=context)
    assert done.exit_code == bool(problem)
    assert (problem or "valid") in done.output


def test_E2_the_shipped_file_is_valid(context: Context) -> None:
    """An installation must not begin with a complaint about its own file."""
    assert validation.problem(context.paths.remotes) == ""
    (context.paths.remotes / validation.CONF).unlink()
    assert validation.problem(context.paths.remotes) == ""


def test_E2_what_cannot_be_checked_is_a_problem(context: Context) -> None:
    """A driver that does not run would not read the settings on a node either."""
    (context.paths.remotes / "vmm/kvm/onext_migrate/settings.py").write_text("x = (")
    assert "cannot be checked" in validation.problem(context.paths.remotes)


def test_E2_invalid_settings_are_not_sent(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once on the nodes they stop, or loosen, what is migrated there."""
    write(context, 'REQUIRE_TUNEL="YES"')
    asked = []
    run = process.run

    def watched(argv: list[str], **options: object) -> process.Completed:
        asked.append(argv[0])
        return run(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "run", watched)
    with pytest.raises(validation.InvalidSettingsError, match="nothing was sent to the nodes"):
        drivers.sync(context)
    assert asked == ["sh"], "onehost was not called"


def test_E2_doctor_and_check_name_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor`, `--check` and `tunnel drivers` were silent: they take these lines."""
    write(context, 'TUNEL="never"')
    trouble = [("node-b", "kvmrc sets PATH")]
    monkeypatch.setattr(drivers, "look", lambda _: Standing(["node-a"], [], [], [], trouble))
    found = {check.name: check for check in drivers.checks(context)}
    assert (found["settings"].level, found["node"].level) == ("fail", "fail")
    assert "TUNEL is not a setting" in found["settings"].message
    assert found["node"].message == "node-b: kvmrc sets PATH"

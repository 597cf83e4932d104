"""Registration templates: read as `onehook create` reads them, stored as oned stores them."""

from pathlib import Path

import pytest

from onext.install import hook_template
from onext.install.front_end import InstallError
from onext.xml import parse

from .conftest import ROOT

HOOK = """\
# one comment
NAME            = "onext-x"
TYPE            = "state"
RESOURCE        = "VM"
ON              = "RUNNING"
COMMAND         = "onext/x"
ARGUMENTS       = "$TEMPLATE"
ARGUMENTS_STDIN = "yes"
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "x.hook"
    file.write_text(text)
    return file


def test_on_running_is_stored_as_two_states(tmp_path: Path) -> None:
    """A registered hook is recognised: else every install.sh would register it anew."""
    hook = hook_template.read(write(tmp_path, HOOK))
    assert (hook.name, hook.type) == ("onext-x", "state")
    assert hook.stored == {
        "RESOURCE": "VM",
        "STATE": "ACTIVE",
        "LCM_STATE": "RUNNING",
        "COMMAND": "onext/x",
        "ARGUMENTS": "$TEMPLATE",
        "ARGUMENTS_STDIN": "yes",
        "REMOTE": "NO",
    }
    assert 'ON="RUNNING"' in hook.text
    assert "NAME=" not in hook.update()


def test_recorded_hooks_are_read(recordings: Path) -> None:
    """What a real oned answers for its hook pool is understood, every hook with its command."""
    pool = parse((recordings / "hookpool.xml").read_bytes())
    hooks = [hook_template.of(element) for element in pool]
    assert {hook.type for hook in hooks} == {"state", "api"}
    assert all(hook.stored["COMMAND"].startswith("test/") for hook in hooks)


def test_every_template_of_this_checkout_is_whole() -> None:
    """No part comes with a hook that would stop the whole installation."""
    hooks = [hook_template.read(file) for file in hook_template.files(ROOT / "hooks")]
    assert hooks
    assert len({hook.name for hook in hooks}) == len(hooks)
    for hook in hooks:
        assert hook.stored["COMMAND"] == "onext/event"
        assert hook.stored.get("ARGUMENTS_STDIN") == "yes"  # an argument dies above 128 KiB


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("NAME onext-x\n", ":1: expected NAME = "),
        ('TYPE = "state"\nCOMMAND = "onext/x"\n', "no NAME"),
        ('NAME = "x"\nTYPE = "state"\nCOMMAND = "onext/x"\n', "must begin with onext-"),
    ],
)
def test_a_wrong_template_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """A broken template says file and line before anything is installed."""
    with pytest.raises(InstallError, match=complaint):
        hook_template.read(write(tmp_path, text))

"""The README: what it points at exists, and what it tells people to type is understood."""

import re
from pathlib import Path

import pytest

from onext.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of headings."""
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link must not end nowhere."""
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        file, _, anchor = target.partition("#")
        there = (page.parent / file) if file else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


def test_every_command_that_is_named_exists() -> None:
    """An administrator types what the README says."""
    named = set(re.findall(r"`onext ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named
    assert named <= COMMANDS.keys()


def test_the_two_commands_stand_at_the_top() -> None:
    """They are what a newcomer looks for."""
    top = (ROOT / "README.md").read_text()[:3000]
    assert "./install.sh --sandbox" in top
    assert "make test" in top

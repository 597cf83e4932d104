"""docs/architecture.md is a map that somebody who is new follows: every file that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text()


def test_every_file_and_folder_that_it_names_is_there() -> None:
    """A map of what was there two versions ago costs a new engineer a day."""
    places = re.findall(r"`((?:onext|hooks|exporter|drivers|sandbox|tests)/[\w/.]*)`", TEXT)
    assert len(places) > 30
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_walks_are_short() -> None:
    """Following an event through thirty files is what made the parts hard to change."""
    for walk in ("A host event", "A VM becomes"):
        section = TEXT.split(f"## {walk}")[1].split("\n## ")[0]
        numbers = [int(number) for number in re.findall(r"(?:^|[ ,])(\d+)\. ", section, re.MULTILINE)]
        assert 10 <= max(numbers) < 25

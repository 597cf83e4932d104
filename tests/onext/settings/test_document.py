"""The settings file that is installed: every key in it, and every default true."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from onext.settings import Settings, load
from onext.settings.document import document
from onext.settings.power import Power


def test_as_installed_it_means_the_defaults(tmp_path: Path) -> None:
    """A front-end that nobody configured works with what the file says it works with."""
    file = tmp_path / "onext.yaml"
    file.write_text(document())
    assert load(file) == Settings()


def test_switched_on_it_means_the_same(tmp_path: Path) -> None:
    """Each `#` that an administrator takes away leaves valid YAML, with the default that it had."""
    file = tmp_path / "onext.yaml"
    lines = document().splitlines()
    file.write_text("\n".join(line.removeprefix("#") for line in lines if not line.startswith("#:")))
    assert load(file) == Settings()


def test_every_key_is_there_with_its_description() -> None:
    """Nobody has to read the source to learn what can be set."""
    words = " ".join(word for line in document().splitlines() for word in line.removeprefix("#:").split())
    for name, description in described(Settings()):
        assert f"{name}:" in words
        assert " ".join(description.split()) in words, name


def described(values: BaseModel) -> Iterator[tuple[str, str]]:
    for name, field in type(values).model_fields.items():
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            yield from described(value)
        else:
            assert field.description, f"{type(values).__name__}.{name} has no description"
            yield name, field.description


def test_lines_fit_a_terminal() -> None:
    """The file is read in an editor over ssh."""
    assert max(map(len, document().splitlines())) <= 110


def test_an_order_ends_before_its_intent() -> None:
    """A BMC with minutes to answer would switch a host that another front-end holds meanwhile."""
    with pytest.raises(ValidationError, match="four times bmc_timeout"):
        Power(lease=60.0, bmc_timeout=20.0)
    assert Power(lease=60.0, bmc_timeout=15.0)

"""Orders by hand beside the worker."""

from pathlib import Path

import pytest

from hooks.power import part
from hooks.power.commands import acting
from onext.part import Context, Retry
from onext.paths import Paths


def test_the_worker_has_its_rounds_while_an_order_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be woken for the hours that emptying a host by hand may take."""
    monkeypatch.setattr(acting, "PAUSE", 0.0)
    context, said = Context(Paths.self_contained(tmp_path)), []
    for line in acting._turns(context, iter(("drained", "off"))):
        said.append(line)
        with part.alone(context):
            pass
    assert said == ["drained", "off"]


def test_a_step_and_a_round_are_never_at_once(tmp_path: Path) -> None:
    """Both would write what is being done with a host."""
    context = Context(Paths.self_contained(tmp_path))
    with part.alone(context), pytest.raises(Retry, match="under way"), part.alone(context):
        pass

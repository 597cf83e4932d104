"""Orders by hand beside the worker, and what OpenNebula itself orders."""

import base64
import io
from pathlib import Path

import click
import pytest

from hooks.power import part
from hooks.power.commands import orders
from onext.part import Context, Retry
from onext.paths import Paths
from tests.onext.hosts.actions.scene import Scene


def test_the_worker_has_its_rounds_while_an_order_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing would be woken for the hours that emptying a host by hand may take."""
    monkeypatch.setattr(orders, "PAUSE", 0.0)
    context, said = Context(Paths.self_contained(tmp_path)), []
    for line in orders._turns(context, iter(("drained", "off")), Scene().actuator):
        said.append(line)
        with part.alone(context):
            pass
    assert said == ["drained", "off"]


def test_a_step_and_a_round_are_never_at_once(tmp_path: Path) -> None:
    """Both would write what is being done with a host."""
    context = Context(Paths.self_contained(tmp_path))
    with part.alone(context), pytest.raises(Retry, match="under way"), part.alone(context):
        pass


def test_the_host_to_fence_comes_as_host_error_gives_it() -> None:
    """High availability would fence nothing, or another host: 7.0.2 writes strict base64 to standard input."""
    template = base64.b64encode(b"<HOST><ID>12</ID><NAME>node-a</NAME></HOST>")
    assert orders._host_id(None, io.BytesIO(template)) == 12
    assert orders._host_id("7", None) == 7


@pytest.mark.parametrize(
    "data", [b"", b"###", b"PEhPU1Q", base64.b64encode(b"<HOST/>"), base64.b64encode(b"<HOST>")]
)
def test_no_host_is_no_fencing(data: bytes) -> None:
    """A cut payload must not be taken for another host."""
    with pytest.raises(click.UsageError, match="the id of a host is needed"):
        orders._host_id(None, io.BytesIO(data))


@pytest.mark.parametrize("host", ["node-7", None])
def test_a_name_is_no_id(host: str | None) -> None:
    """Two hosts may answer to one name; the one in ERROR has an id."""
    with pytest.raises(click.UsageError):
        orders._host_id(host, None)

"""Orders by hand beside the worker, and what OpenNebula itself orders."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from hooks.power import part
from hooks.power.commands import orders, resolve
from onext.cloud.model import Cluster
from onext.oned import stream
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
    assert orders._template_id(io.BytesIO(template)) == 12


@pytest.mark.parametrize(
    "data", [b"", b"###", b"PEhPU1Q", base64.b64encode(b"<HOST/>"), base64.b64encode(b"<HOST>")]
)
def test_no_host_is_no_fencing(data: bytes) -> None:
    """A cut payload must not be taken for another host."""
    with pytest.raises(click.UsageError, match="the id or name of a host is needed"):
        orders._template_id(io.BytesIO(data))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Context:
    """Give a front-end with host 12, named 7, and host 7."""
    form = b"<HOST><ID>%d</ID><NAME>%s</NAME><STATE>2</STATE></HOST>"
    hosts = [form % (12, b"7"), form % (7, b"node")]
    monkeypatch.setattr(stream, "pool", lambda *_, **__: iter(hosts))
    context = Context(Paths.self_contained(tmp_path))
    context.__dict__["oned"] = SimpleNamespace(source=None)
    return context


def test_E5_hosts_and_clusters_are_named_by_id_or_name(named: Context) -> None:
    """One command took names, the next one ids only; an id must never be taken for another host's name."""
    assert [resolve.host_id(named, word) for word in ("12", "7", "node")] == [12, 7, 7]
    with pytest.raises(click.UsageError, match="host gone: not found; there are: "):
        resolve.host_id(named, "gone")
    clusters = [Cluster(100, "alpha")]
    assert [resolve.cluster_id(clusters, word) for word in ("alpha", "100", 100)] == [100, 100, 100]
    with pytest.raises(click.UsageError, match="cluster beta: not found; there are: 100 alpha"):
        resolve.cluster_id(clusters, "beta")

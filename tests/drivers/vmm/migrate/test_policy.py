"""Which migrations are tunnelled."""

import pytest

from drivers.vmm.migrate.onext_migrate import action, policy, settings

MAP = {"node-a": "100", "node-b": "100", "node-c": "101"}


def asked(source: str, destination: str, cluster: str = "") -> action.Action:
    """Return a migration."""
    return action.Action("one-1", destination, source, (), b"", cluster, shared=True, local=False)


@pytest.mark.parametrize(
    ("conf", "source", "destination", "cluster", "tunnelled"),
    [
        ("", "node-a", "node-b", "100", True),
        ('TUNNEL="never"', "node-a", "node-c", "101", False),
        ('TUNNEL="between-clusters"', "node-a", "node-b", "100", False),
        ('TUNNEL="between-clusters"', "node-a", "node-c", "101", True),
        ('TUNNEL="between-clusters"', "node-a", "node-b", "", False),
        # The payload is newer than the map: node-b has moved to another cluster
        ('TUNNEL="between-clusters"', "node-a", "node-b", "101", True),
        # In doubt through the tunnel
        ('TUNNEL="between-clusters"', "stranger", "node-b", "100", True),
        ('TUNNEL="never"\nTUNNEL_EXCEPTIONS="node-a,node-c=always"', "node-c", "node-a", "100", True),
        ('TUNNEL_EXCEPTIONS="node-a,*=never"', "node-b", "node-a", "100", False),
        ('TUNNEL_EXCEPTIONS="node-a,node-b=never"', "node-a", "node-b", "100", False),
        ('TUNNEL_EXCEPTIONS="node-a,node-b=never"', "node-a", "node-c", "101", True),
        ('TUNNEL_EXCEPTIONS="node-a,*=never"', "node-b", "node-c", "101", True),
        ('TUNNEL_EXCEPTIONS="node-a,node-b=always *,node-b=never"', "node-a", "node-b", "100", True),
    ],
)
def test_choice(conf: str, source: str, destination: str, cluster: str, tunnelled: bool) -> None:
    """A wrong choice sends a VM in the clear, or slows a cluster down for nothing."""
    found = policy.choose(asked(source, destination, cluster), settings.parse(conf), MAP)
    assert found.tunnelled is tunnelled, found.reason


@pytest.mark.parametrize(
    ("source", "destination", "unknown"),
    [("node-a", "stranger", "stranger"), ("stranger", "node-a", "stranger"), ("x", "y", "x")],
)
def test_the_host_that_is_not_in_the_map_is_named(source: str, destination: str, unknown: str) -> None:
    """Who reads why a migration inside a cluster was slow has to find the host to add."""
    found = policy.choose(asked(source, destination), settings.parse('TUNNEL="between-clusters"'), MAP)
    assert found == (True, f"the cluster of {unknown} is not in the map (onext tunnel sync, onehost sync)")

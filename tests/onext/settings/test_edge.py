"""Section `edge:`: what the hub's filter would refuse is refused where it is written."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from onext.settings.edge import Edge


@pytest.mark.parametrize(
    "ports", [[], [[9, 1]], [[22, 22], [49215, 49152]], [[0, 9]], [[1, 65536]], [[22, 22]] * 65]
)
def test_ports_that_no_filter_takes(ports: list[list[int]]) -> None:
    """`nft` refuses all rules for one of them: no node joins any more, and none that is revoked is cut off."""
    assert Edge.model_validate({"node_ports": [[1, 1], [1, 65535]]}).node_ports == ((1, 1), (1, 65535))
    assert len(Edge.model_validate({"node_ports": [[22, 22]] * 64}).node_ports) == 64, "as nodes accept"
    with pytest.raises(ValidationError):
        Edge.model_validate({"node_ports": ports})

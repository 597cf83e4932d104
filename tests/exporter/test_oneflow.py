"""OneFlow's services: JSON that tenants may change, read within bounds."""

from __future__ import annotations

import pytest

from exporter import oneflow
from exporter.metric_families import SERVICE
from tests.exporter.made_up import service


def rendered(*documents: str) -> tuple[str, int]:
    """Return the page of these documents, and how many errors there were."""
    found = oneflow.read([document.encode() for document in documents])
    return found.samples.render(SERVICE).decode(), found.errors


def test_states_and_names() -> None:
    """A service that failed is seen in an alert, with its owner."""
    text, errors = rendered(
        service(12, {"state": 2, "roles": [{"name": "web", "state": 5}]}), service(13, {"state": 7})
    )
    assert 'opennebula_service_state{one_service_id="12"} 2\n' in text
    assert 'opennebula_service_state{one_service_id="13"} 7\n' in text
    assert 'opennebula_service_info{one_service_id="12",name="shop",user="alice",group="users"} 1\n' in text
    assert errors == 0


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "null", "2", {}, {"state": None}, {"state": "2"}, {"state": True}, {"state": -1}, {"state": 100},
        {"state": 2.5}, '{"state": NaN}', '{"state": 1e999}', "[" * 50_000, '{"state": ' + "9" * 9000 + "}",
        '{"a": "' + "x" * (5 << 20) + '", "state": 2}', {"other": {"state": 2}},
    ],
)  # fmt: skip
def test_C7_a_service_that_cannot_be_read_hides_no_other(body: object) -> None:
    """Whoever may change a document must not end the scrape, nor hide the services of others."""
    text, errors = rendered(service(12, body), service(13, {"state": 7}))
    assert 'one_service_id="12"' not in text
    assert 'opennebula_service_state{one_service_id="13"} 7\n' in text
    assert errors == 1


@pytest.mark.parametrize("state", [0, 99])
def test_every_state_that_oneflow_has(state: int) -> None:
    """0 is PENDING: a service that waits for its first role."""
    text, errors = rendered(service(12, {"state": state}))
    assert f'opennebula_service_state{{one_service_id="12"}} {state}\n' in text
    assert errors == 0


def test_C7_a_service_without_an_id_is_not_one_with_another() -> None:
    """A number that is cut would show the state of somebody else's service."""
    odd = [service(12, {"state": 2}).replace("<ID>12<", f"<ID>{one}<") for one in ("", "x", "-1", "1" * 19)]
    text, errors = rendered(*odd, service(13, {"state": 2}))
    assert text.count("opennebula_service_state{") == 1
    assert errors == 4

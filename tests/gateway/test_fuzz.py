"""Whatever is asked, within or beyond the OpenAPI document: no fault of the server, no traceback, no secret."""

from __future__ import annotations

import json
import os
import urllib.parse
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.openapi import document
from gateway.refusals import Refusal
from gateway.rpc import table, wire
from onext.settings.gateway import ACTIONS
from tests.gateway.conftest import Answer, Cloud, Gateway, basic, started

EXAMPLES = int(os.environ.get("ONEXT_EXAMPLES", "60"))
bounded = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SPECIFICATION: dict[str, Any] = json.loads(document("0"))
ODD = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.sampled_from(
        ["-1", "0", "1e9", "null", "%00", "../../etc/passwd", "id,name", "id,id", "1.1", "9" * 30, "' or 1=1"]
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """Return a path with a query, and headers: what the document allows, or anything beside it."""
    path = draw(
        st.sampled_from(
            [
                *(one for one in SPECIFICATION["paths"] if "{" not in one),
                "/v1/vms/0",
                "/v1/hosts/99",
                "/",
                "/power",
                "/hosts/0",
            ]
        )
    )
    operation = SPECIFICATION["paths"].get(path, {}).get("get", {})
    query, headers = [], {}
    for parameter in operation.get("parameters", []):
        if not draw(st.booleans()):
            continue
        value = draw(_value(parameter["schema"]))
        if parameter["in"] == "query":
            query.append((parameter["name"], value))
        else:
            headers[parameter["name"]] = urllib.parse.quote(value)
    if draw(st.integers(0, 4)) == 0:
        query.append((draw(ODD), draw(ODD)))
    if draw(st.integers(0, 4)) == 0:
        path += urllib.parse.quote("/" + draw(ODD))
    return path + ("?" + urllib.parse.urlencode(query, errors="replace") if query else ""), headers


def _value(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("type") == "integer":
        within = st.integers(schema.get("minimum", -5), schema.get("maximum", 5000)).map(str)
    elif schema.get("type") == "array":
        names = st.sampled_from(schema["items"]["enum"])
        within = st.lists(names, min_size=1, max_size=5).map(",".join)
    else:
        within = st.sampled_from(["0", "1.1", "59.33,18.07", "*", '"x"'])
    return st.one_of(within, within, ODD)


@pytest.mark.process
def test_no_request_is_a_fault_of_the_server(cloud: Cloud) -> None:
    """One request would take the gateway down, or show what its memory holds."""
    secret = cloud.sandbox.session.partition(":")[2]
    listed = ", ".join(ACTIONS)
    with started(cloud.sandbox, f"  requests: 10000\n  rpc: true\n  actions: [{listed}]\n") as gateway:

        @bounded
        @given(requests(), st.sampled_from([cloud.sandbox.session, cloud.session("alice"), None]))
        def ask(request: tuple[str, dict[str, str]], session: str | None) -> None:
            answer = gateway.get(request[0], session, request[1])
            assert answer.status < 500, (request, answer.body)
            assert b"Traceback" not in answer.body
            assert secret.encode() not in answer.body
            if answer.status >= 400 and request[0].startswith("/v1"):
                assert set(answer.json) == {"title", "status", "detail"}

        @bounded
        @given(st.binary(max_size=300))
        def send(data: bytes) -> None:
            assert raw(gateway, data) < 500

        @bounded
        @given(orders(), st.sampled_from([cloud.sandbox.session, cloud.session("alice"), None]))
        def give(request: tuple[bytes, dict[str, str]], session: str | None) -> None:
            headers = {"Content-Type": "application/json", **request[1]}
            answer = gateway.ask("POST", "/v1/actions", session, headers, request[0])
            assert answer.status < 500 or answer.status == 503, (request, answer.body)  # no worker is here
            assert set(answer.json) == {"title", "status", "detail"}
            assert secret.encode() not in answer.body

        ask()
        send()
        give()
        assert gateway.get("/-/healthy", None).status == 200
        assert "Traceback" not in gateway.output
        assert secret not in gateway.output


@st.composite
def orders(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    """Return the body of an order and headers: what the document allows, or anything beside it."""
    components = SPECIFICATION["components"]["schemas"]
    kinds = SPECIFICATION["paths"]["/v1/actions"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    kind = components[draw(st.sampled_from(kinds["anyOf"]))["$ref"].rpartition("/")[2]]
    body: dict[str, object] = {}
    for field, schema in kind["properties"].items():
        if draw(st.integers(0, 9)):
            known = schema.get("enum") or [True, False, 0, 1, 2**31 - 1, 7.5, "node-1", "AAAA"]
            body[field] = draw(st.one_of(st.sampled_from(known), st.sampled_from(known), ODD))
    if draw(st.integers(0, 5)) == 0:
        body[draw(ODD)] = draw(ODD)
    key = draw(st.sampled_from(["", "a", "a b", "é".encode().decode("latin-1"), "x" * 129]))
    return json.dumps(body).encode(), {"Idempotency-Key": key} if draw(st.booleans()) else {}


def raw(gateway: Gateway, body: bytes) -> int:
    """Send a body to the guarded XML-RPC and to the login, return the worst status."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answers: list[Answer] = [
        gateway.ask("POST", "/RPC2", None, basic("x:y"), body),
        gateway.ask("POST", "/login", None, kind, body),
    ]
    return max(one.status for one in answers)


VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.booleans(),
    st.text(max_size=20),
    st.floats(allow_nan=False),
    st.lists(st.integers(0, 9), max_size=3),
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(table.rows())), st.lists(VALUES, max_size=8))
def test_every_call_has_an_object_or_is_refused(method: str, arguments: list[Any]) -> None:
    """A call without an object would be permitted to every token: all of none pass."""
    try:
        call = table.find(method, arguments)
    except Refusal:
        return
    assert call.resources
    assert ":" in call.operation


@settings(max_examples=150)
@given(st.sampled_from(sorted(table.rows())), st.text(max_size=30), st.lists(VALUES, max_size=8))
def test_what_is_encoded_is_read_as_the_same(method: str, secret: str, arguments: list[Any]) -> None:
    """Oned would get another call than the one that was decided on."""
    try:
        body = wire.encode(method, f"a:{secret}", arguments)
        found = wire.read(body)
    except (Refusal, UnicodeEncodeError):
        return
    assert found.method == method
    again = wire.read(wire.encode(found.method, found.session, found.arguments))
    assert again == found


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_call_or_refused(body: bytes) -> None:
    """A body would be a fault of the server."""
    framed = xmlrpc.client.dumps(("a:b",), "one.vm.info").encode().replace(b"a:b", body)
    for text in (body, framed):
        try:
            assert wire.read(text).method
        except Refusal:
            continue

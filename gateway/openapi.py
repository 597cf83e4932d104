"""The OpenAPI 3.1 document, generated from the types of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.actions.orders import KEY, AnyOrder, Result
from gateway.answers import MOST, USUAL
from gateway.records import (
    Cluster,
    Energy,
    Event,
    Host,
    Incident,
    Page,
    PowerPlan,
    Problem,
    Record,
    Site,
    Target,
    Tunnel,
    Vm,
)

LISTS: Mapping[str, type[Record]] = {
    "hosts": Host,
    "vms": Vm,
    "clusters": Cluster,
    "sites": Site,
    "targets": Target,
    "tunnels": Tunnel,
    "power": PowerPlan,
    "ha": Incident,
    "energy": Energy,
}
_REFERENCE = "#/components/schemas/{name}"
_EXPLAINED = (
    "Authentication is OpenNebula's: Basic with user and password, or Bearer with user:token."
    " Lists hold what the caller may see. Orders are accepted where the settings enable them, from users with"
    " the right at OpenNebula."
)


def document(version: str) -> bytes:
    """Return the document as JSON."""
    pages = [Page[kind] for kind in (*LISTS.values(), Event)]  # type: ignore[valid-type]  # made at run time
    kinds = [*pages, AnyOrder, Result, Problem]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    paths = {
        f"/v1/{name}": {"get": _list(name, kind, schema)}
        for (name, kind), schema in zip(LISTS.items(), schemas, strict=False)
    }
    paths["/v1/events"] = {"get": _events(schemas[len(LISTS)])}
    paths["/v1/sites.geojson"] = {
        "get": _operation("sitesGeojson", "The sites as GeoJSON.", "application/geo+json", {"type": "object"})
    }
    paths |= _orders(*schemas[len(pages) : len(pages) + 2])
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "onext gateway", "version": version, "description": _EXPLAINED},
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "basic": {"type": "http", "scheme": "basic"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
            "security": [{"basic": []}, {"bearer": []}],
        }
    )


def _list(name: str, kind: type[Record], schema: Mapping[str, Any]) -> dict[str, Any]:
    summary = (kind.__doc__ or "").strip().splitlines()[0]
    found = _operation(name, summary, "application/json", schema)
    identifier = msgspec.structs.fields(kind)[0].type
    found["parameters"] = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}),
        _query("after", {"type": "integer" if identifier is int else "string"}),
        {
            **_query("fields", {"type": "array", "items": {"enum": list(kind.__struct_fields__)}}),
            "style": "form",
            "explode": False,
        },
        {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
    ]
    found["responses"]["304"] = {"description": "The client's copy is current."}
    return found


def _events(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = _operation(
        "events",
        "Changes, newest last; with `Accept: text/event-stream` as they happen.",
        "application/json",
        schema,
    )
    found["parameters"] = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}),
        _query("after", {"type": "string", "pattern": r"^\d{1,15}\.\d{1,15}$"}),
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
    ]
    found["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    return found


def _orders(order: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    given = _operation("order", "Give an order.", "application/json", result)
    given["responses"]["202"] = {**given["responses"].pop("200"), "description": "It is accepted."}
    given["responses"]["307"] = {"description": "Another server of the zone leads; Location is its gateway."}
    given["responses"]["422"] = {"description": "The key was used for another order."}
    given["requestBody"] = {"required": True, "content": {"application/json": {"schema": dict(order)}}}
    key = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[\x21-\x7e]+$"}
    given["parameters"] = [
        {"name": KEY, "in": "header", "schema": key, "description": "The same order is not begun twice."},
        {"name": "X-CSRF-Token", "in": "header", "schema": {"type": "string"}},
    ]
    shown = _operation("orderResult", "How far an order is.", "application/json", result)
    shown["parameters"] = [
        {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        }
    ]
    return {"/v1/actions": {"post": given}, "/v1/actions/{id}": {"get": shown}}


def _operation(name: str, summary: str, media_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}}
    refused = {
        "400": "A parameter is invalid.",
        "401": "OpenNebula does not accept the credential.",
        "403": "The credential does not permit this.",
        "429": "Too many requests.",
        "503": "OpenNebula does not answer.",
    }
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": {media_type: {"schema": dict(schema)}}},
            **{status: {"description": text, "content": problem} for status, text in refused.items()},
        },
    }


def _query(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema)}

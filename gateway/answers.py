"""Answers of the API: pages of lists with chosen fields, ETags, and problems (RFC 9457)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.records import Page, Problem, Record
from gateway.refusals import Invalid, Refusal

MOST, USUAL = 1000, 100  # records of a page
JSON, PROBLEM = "application/json", "application/problem+json"
_CHALLENGE = 'Basic realm="OpenNebula", charset="UTF-8"'


def page(request: Request, items: Sequence[Any], kind: type[Record]) -> Response:
    """Answer with the page of a list that `limit`, `after` and `fields` ask for; raise Invalid."""
    only(request, ("limit", "after", "fields"))
    most, numeric = limit(request), _numeric(kind)
    text = request.query_params.get("after")
    after = None if text is None else _after(text, numeric=numeric)
    ordered = sorted(items, key=lambda item: item.id)
    start = ordered if after is None else [one for one in ordered if one.id > after]
    chosen = start[:most]
    following = str(chosen[-1].id) if len(start) > most else None
    found = Page(list(_fields(request, chosen, kind)), len(ordered), following)
    return tagged(request, msgspec.json.encode(found))


def tagged(request: Request, body: bytes, media_type: str = JSON) -> Response:
    """Answer with a body and its ETag, or 304 where the client has it."""
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in given or given == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def problem(refusal: Refusal, *, challenge: bool = True) -> Response:
    """Answer why a request is not served; a `challenge` lets a browser ask for a password."""
    titles = {400: "Invalid", 401: "Unauthorised", 403: "Forbidden", 404: "Not found", 405: "Not allowed"}
    titles |= {307: "Elsewhere", 422: "Conflict", 429: "Too many requests"}
    title = titles.get(refusal.status, "Not served")
    headers = {"Cache-Control": "no-store"}
    if refusal.status == 401 and challenge:
        headers["WWW-Authenticate"] = _CHALLENGE
    if refusal.retry:
        headers["Retry-After"] = str(max(1, round(refusal.retry)))
    body = msgspec.json.encode(Problem(title=title, status=refusal.status, detail=str(refusal)))
    return Response(body, refusal.status, headers, PROBLEM)


def only(request: Request, names: Sequence[str]) -> None:
    """Raise Invalid for a parameter that is unknown or given twice: it would be ignored otherwise."""
    given = [name for name, _ in request.query_params.multi_items()]
    if unknown := sorted(set(given) - set(names)):
        raise Invalid(f"unknown parameter: {unknown[0][:40]!r}; there are {', '.join(names) or 'none'}")
    if len(given) != len(set(given)):
        raise Invalid("a parameter is given twice")


def limit(request: Request) -> int:
    """Return how many records a page has; raise Invalid."""
    text = request.query_params.get("limit", str(USUAL))
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise Invalid(f"limit: a number from 1 to {MOST}")
    return int(text)


def _after(text: str, *, numeric: bool) -> Any:  # noqa: ANN401 - of the type of the ids
    if not numeric:
        return text
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) < 12):
        raise Invalid("after: the id of the last object of the page before")
    return int(text)


def _fields(request: Request, items: Sequence[Record], kind: type[Record]) -> Sequence[Any]:
    text = request.query_params.get("fields")
    if text is None:
        return items
    names = text.split(",")
    known = kind.__struct_fields__
    if unknown := [name for name in names if name not in known]:
        raise Invalid(f"fields: {unknown[0][:40]!r} is unknown; there are {', '.join(known)}")
    return [_chosen(item, names) for item in items]


def _chosen(item: Record, names: Sequence[str]) -> Mapping[str, object]:
    return {name: getattr(item, name) for name in names}


def _numeric(kind: type[Record]) -> bool:
    return msgspec.structs.fields(kind)[0].type is int

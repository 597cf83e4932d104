"""Forms of the page: read within bounds, and only where our own page sent them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.refusals import Forbidden, Invalid
from gateway.sessions import same

_MOST_FIELDS = 8
TYPE = "application/x-www-form-urlencoded"


def require_same_site(request: Request) -> None:
    """Raise Forbidden where a page of another site sent a request."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise Forbidden("this was sent by another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("this was sent by another site")


async def read(request: Request, token: str) -> Mapping[str, str]:
    """Return the fields of a form; raise Forbidden where another site sent it, or without the token."""
    require_same_site(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != TYPE:
        raise Invalid(f"{TYPE} is expected")
    try:
        body = (await request.body()).decode()
        fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise Invalid("the form cannot be read") from None
    if not same(token, fields.get("csrf", "")):
        raise Forbidden("the form has expired: load the page again")
    return fields

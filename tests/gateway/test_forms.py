"""Forms of the page: from our own pages, with the session's token, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway import forms
from gateway.refusals import Forbidden, Invalid

TYPE = {"content-type": forms.TYPE}


def request(headers: Mapping[str, str], body: bytes = b"") -> Request:
    """Return a request to gateway.example."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    given = [(name.encode(), text.encode()) for name, text in {"host": "gateway.example", **headers}.items()]
    return Request({"type": "http", "headers": given}, receive)


def read(body: bytes, headers: Mapping[str, str] = TYPE, token: str = "t") -> Mapping[str, str]:
    """Return the fields of a form."""
    return asyncio.run(forms.read(request(headers, body), token))


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"origin": "https://gateway.example"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"},
        {"origin": "http://gateway.example", "sec-fetch-site": "same-origin"},
    ],
)  # fmt: skip
def test_our_own_pages_may_ask(headers: dict[str, str]) -> None:
    """Nobody could log in."""
    forms.require_same_site(request(headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}, {"origin": "https://gateway.example:444"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"origin": "https://gateway.example", "sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
def test_pages_of_others_may_not(headers: dict[str, str]) -> None:
    """A page that a user visits would act in the user's name."""
    with pytest.raises(Forbidden, match="another site"):
        forms.require_same_site(request(headers))
    with pytest.raises(Forbidden, match="another site"):
        read(b"csrf=t", {**TYPE, **headers})


def test_fields_are_read_once() -> None:
    """If the name or the confirmation is lost, an order runs that no user gave."""
    assert read(b"csrf=t&a=1&b=&c=%C3%A4+x") == {"csrf": "t", "a": "1", "b": "", "c": "\u00e4 x"}
    assert read(b"csrf=t", {"content-type": f"{forms.TYPE} ; charset=utf-8"}) == {"csrf": "t"}
    eight = "&".join(["csrf=t", *(f"f{n}=1" for n in range(7))]).encode()
    assert len(read(eight)) == 8
    for body in (eight + b"&f8=1", b"csrf=\xff"):
        with pytest.raises(Invalid, match="cannot be read"):
            read(body)
    for kind in ("text/plain", "", "multipart/form-data"):
        with pytest.raises(Invalid, match="is expected"):
            read(b"csrf=t", {"content-type": kind})


@pytest.mark.parametrize(
    ("body", "token"), [(b"csrf=x", "t"), (b"a=1", "t"), (b"csrf=", ""), (b"", ""), (b"csrf=t", "")]
)
def test_a_form_without_its_token_is_refused(body: bytes, token: str) -> None:
    """A page of another site knows every field but this one."""
    with pytest.raises(Forbidden, match="expired"):
        read(body, token=token)

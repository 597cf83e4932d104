"""Forms of values that nodes and documents hold."""

from __future__ import annotations

import pytest

from hooks.edge import forms


def test_a_relays_address_is_no_place() -> None:
    """Nodes would be introduced to each other at 127.0.0.1, and located there."""
    assert all(map(forms.own, ("127.0.0.1:5000", "[::1]:5000", "127.8.8.8:1")))
    assert not any(map(forms.own, ("203.0.113.1:5000", "front.example:1", "")))


def test_a_value_has_its_form_as_a_whole() -> None:
    """What is behind it would become a second line of a file."""
    assert forms.matching(forms.HEX_KEY, "0" * 64, "key") == "0" * 64
    for text in ("0" * 65, "0" * 64 + "\n", "", None, 7, b"0" * 64):
        with pytest.raises(ValueError, match="key has not the expected form"):
            forms.matching(forms.HEX_KEY, text, "key")


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("203.0.113.1:5000", "203.0.113.1"),
        ("[fd00::1]:5000", "fd00::1"),
        ("front.example:1", "front.example"),
        ("x", ""),
    ],
)
def test_the_host_of_an_endpoint(endpoint: str, host: str) -> None:
    """A node would be located by its port."""
    assert forms.host_of(endpoint) == host

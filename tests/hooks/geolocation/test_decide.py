"""What is written into a host's template, and what is never touched."""

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.geolocation.decide import decide
from hooks.geolocation.discovery import Discovered
from hooks.geolocation.location import Coordinates, Place, Unplaced
from onext.oned.objects import Attribute, Host, HostState

UNKNOWN = Unplaced("the centre of a country")
STOCKHOLM, AMSTERDAM = Coordinates(59.25, 18.0833), Coordinates(52.3735, 4.8951)
SEEN = Discovered("ssh", (ip_address("130.237.28.40"), ip_address("193.0.6.139")))
NONE = Discovered("dns", ())
OURS: dict[str, Attribute] = {
    "GEOLOCATION": "1.0,2.0",
    "ONEXT_GEOLOCATION": {"SOURCE": "ssh", "TIME": "1", "VALUE": "1.0,2.0"},
}


def host(template: Mapping[str, Attribute] | None = None) -> Host:
    return Host(3, "node", HostState.MONITORED, 0, "default", (), template or {})


def test_the_references_format() -> None:
    """Readers of the reference's attribute go on working: `lat,lon lat,lon`, distinct, in order."""
    made = decide(host(), SEEN, [STOCKHOLM, AMSTERDAM], 99.5)
    assert made.changes["GEOLOCATION"] == "59.25,18.0833 52.3735,4.8951"
    assert made.changes["ONEXT_GEOLOCATION"] == {
        "SOURCE": "ssh",
        "TIME": 99,
        "VALUE": "59.25,18.0833 52.3735,4.8951",
    }


def test_the_same_place_stands_once() -> None:
    """IPv4 and IPv6 of one host are at one place."""
    assert decide(host(), SEEN, [STOCKHOLM, STOCKHOLM], 0).changes["GEOLOCATION"] == "59.25,18.0833"


def test_addresses_without_coordinates_are_left_out() -> None:
    """One unknown address must not hide the known one."""
    assert decide(host(), SEEN, [UNKNOWN, AMSTERDAM], 0).changes["GEOLOCATION"] == "52.3735,4.8951"


@pytest.mark.parametrize(
    "template",
    [
        {"GEOLOCATION": "7,7"},
        {"GEOLOCATION": "7,7", "ONEXT_GEOLOCATION": {"VALUE": "1.0,2.0"}},
        {"GEOLOCATION": "7,7", "ONEXT_GEOLOCATION": "7,7"},
        {**OURS, "GEOLOCATION_LOCK": "YES"},
        {"GEOLOCATION_LOCK": "yes"},
    ],
)
@pytest.mark.parametrize(("found", "places"), [(SEEN, [STOCKHOLM, UNKNOWN]), (NONE, [])])
def test_what_a_person_wrote_is_never_touched(
    template: Mapping[str, Attribute], found: Discovered, places: list[Place]
) -> None:
    """An administrator's value, or lock, is theirs."""
    assert decide(host(template), found, places, 0).changes == {}


def test_ours_is_removed_when_all_agree_that_there_is_none() -> None:
    """A host that moved behind NAT must not stay in the wrong place."""
    assert decide(host(OURS), NONE, [], 0).changes == {"GEOLOCATION": None, "ONEXT_GEOLOCATION": None}


def test_ours_is_renewed() -> None:
    """A host that moved is where it is now."""
    assert decide(host(OURS), SEEN, [STOCKHOLM, UNKNOWN], 0).changes["GEOLOCATION"] == "59.25,18.0833"


def test_unknown_coordinates_leave_what_was_known() -> None:
    """An older database must not erase a place."""
    assert decide(host(OURS), SEEN, [UNKNOWN, UNKNOWN], 0).changes == {}


def test_D4_what_is_left_out_is_named() -> None:
    """Nobody learns why a host has no place, or only one."""
    none = decide(host(), SEEN, [UNKNOWN, Unplaced("anycast")], 0)
    assert none.reason == (
        "no location found, nothing changed: 130.237.28.40: the centre of a country; 193.0.6.139: anycast"
    )
    some = decide(host(), SEEN, [UNKNOWN, AMSTERDAM], 0)
    assert some.reason == "52.3735,4.8951 (ssh) (left out 130.237.28.40: the centre of a country)"


def test_places_of_one_host_are_bounded() -> None:
    """A host with many addresses fills its template."""
    found = Discovered("ssh", tuple(ip_address(f"8.8.8.{n}") for n in range(40)))
    made = decide(host(), found, [Coordinates(1.0, float(n)) for n in range(40)], 0)
    assert len(str(made.changes["GEOLOCATION"]).split()) == 16


def test_an_unchanged_value_is_not_written() -> None:
    """Every write wakes others and fills oned's log."""
    assert decide(host(OURS), Discovered("ssh", SEEN.addresses[:1]), [Coordinates(1.0, 2.0)], 0).changes == {}


@given(
    st.lists(
        st.one_of(st.just(UNKNOWN), st.builds(Coordinates, st.floats(-90, 90), st.floats(-180, 180))),
        max_size=5,
    ),
    st.booleans(),
)
def test_deciding_twice_changes_once(places: list[Place], had: bool) -> None:
    """The same event twice must write once, whatever was found."""
    found = Discovered("ssh", tuple(ip_address(f"8.8.8.{n}") for n in range(len(places))))
    before = host(OURS if had else {})
    first = decide(before, found, places, 5)
    after = {k: v for k, v in {**before.template, **first.changes}.items() if v is not None}
    second = decide(host({k: _stored(v) for k, v in after.items()}), found, places, 6)
    assert second.changes == {}


def _stored(value: object) -> Attribute:
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    return str(value)

"""Databases of cities: MaxMind's nested records, flat ones, and what is neither."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from hooks.geolocation import database
from hooks.geolocation.database import Database, Latest, LookupFailed, NoDatabase, source
from hooks.geolocation.location import Coordinates, Unplaced, place
from onext.settings.geolocation import Geolocation, MaxMind

STOCKHOLM = {"location": {"latitude": 59.25, "longitude": 18.0833}}


def make(file: Path, records: Mapping[str, Any], kind: str = "GeoLite2-City", version: int = 6) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(file))
    return file


def database_of(file: Path) -> Database:
    return Database(file, 500.0)


def test_nested_records(tmp_path: Path) -> None:
    """GeoLite2, GeoIP2 and DB-IP are what most people have."""
    found = database_of(make(tmp_path / "a.mmdb", {"130.237.28.0/24": STOCKHOLM}))
    assert str(found.locate(ip_address("130.237.28.40"))) == "59.25,18.0833"
    assert found.locate(ip_address("8.8.8.8")) == Unplaced("not in the database")


def test_flat_records(tmp_path: Path) -> None:
    """DB-IP from npm has no `location`."""
    record = {"latitude": "52.3735", "longitude": "4.8951"}
    found = database_of(make(tmp_path / "a.mmdb", {"193.0.6.0/24": record}, "ip-location-db"))
    assert found.locate(ip_address("193.0.6.139")) == Coordinates(52.3735, 4.8951)


def test_a_record_without_coordinates_is_no_place(tmp_path: Path) -> None:
    """Some records hold a country alone."""
    found = database_of(make(tmp_path / "a.mmdb", {"214.1.1.0/24": {"country": {"iso_code": "US"}}}))
    assert found.locate(ip_address("214.1.1.7")) == Unplaced("the database has no coordinates")


def test_ipv6_in_a_database_of_ipv4_is_unknown_not_a_failure(tmp_path: Path) -> None:
    """One address that the file cannot know must not keep the others from being found."""
    found = database_of(make(tmp_path / "a.mmdb", {"130.237.28.0/24": STOCKHOLM}, version=4))
    assert found.locate(ip_address("2001:6b0:1::1")) == Unplaced("the database contains IPv4 only")


def with_location(**more: object) -> dict[str, object]:
    return {"location": {"latitude": 59.25, "longitude": 18.0833, **more}}


CITY = {"city": {"names": {"en": "Stockholm"}}, "country": {"iso_code": "SE"}}
COUNTRY = {"country": {"iso_code": "US"}, "registered_country": {"iso_code": "US"}}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (with_location(latitude=591.0), "591.0,18.0833 is not a location on Earth"),
        (with_location(longitude=-181), "59.25,-181 is not a location on Earth"),
        (with_location(latitude=""), "'',18.0833 is not a location on Earth"),
        (with_location(latitude=None), "None,18.0833 is not a location on Earth"),
        (with_location(latitude=True), "True,18.0833 is not a location on Earth"),
        (with_location(latitude=float("nan")), "nan,18.0833 is not a location on Earth"),
        (with_location(latitude=float("inf")), "inf,18.0833 is not a location on Earth"),
        (with_location(latitude="9" * 400), "is not a location on Earth"),
        (with_location(latitude=[59.25]), "is not a location on Earth"),
        ({"latitude": "", "longitude": ""}, "'','' is not a location on Earth"),
        ({"latitude": "x", "longitude": "1"}, "'x','1' is not a location on Earth"),
        (with_location(latitude=0, longitude=0.0), "0,0 means an unknown location"),
        ({"latitude": "0", "longitude": "-0.0"}, "0,0 means an unknown location"),
        (
            {**with_location(accuracy_radius=1000), **COUNTRY},
            "accurate to 1000 km only; at most 500 km are accepted",
        ),
        (
            {**with_location(accuracy_radius=501), **CITY},
            "accurate to 501 km only; at most 500 km are accepted",
        ),
        ({**with_location(accuracy_radius=1e8), **CITY}, "accurate to 1e+08 km only"),
        ({**with_location(accuracy_radius=101), **COUNTRY}, "the centre of a country"),
        ({**with_location(), **COUNTRY}, "the centre of a country"),
        ({**with_location(), **COUNTRY, "city": {}, "subdivisions": []}, "the centre of a country"),
        ({**with_location(), **CITY, "traits": {"is_anycast": True}}, "anycast"),
        ({**with_location(), **CITY, "traits": {"is_satellite_provider": True}}, "satellite"),
        ({"country": {"iso_code": "US"}}, "no coordinates"),
        ({}, "no coordinates"),
        (None, "not in the database"),
        ("text", "not in the database"),
    ],
)
def test_D4_records_that_are_no_place(record: object, reason: str) -> None:
    """A host would be shown in the middle of a country, in the ocean at 0,0, or at one of a hundred anycast sites."""
    found = place(record, 500.0)
    assert isinstance(found, Unplaced)
    assert reason in found.reason


@pytest.mark.parametrize(
    "record",
    [
        {**with_location(accuracy_radius=500), **CITY},
        {**with_location(), **CITY, "traits": {"is_anycast": False}},
        {**with_location(accuracy_radius=100), **COUNTRY},  # a small country
        {**with_location(accuracy_radius=200), **COUNTRY, "subdivisions": [{"iso_code": "AB"}]},
        {**with_location(accuracy_radius="x"), **CITY},
        {**with_location(), "city": {"geoname_id": 5}, "country": {}, "traits": None},
        with_location(),
        {"latitude": "59.25", "longitude": "18.0833", "country": "SE"},
        {"latitude": 59.25, "longitude": 18.0833},
    ],
)
def test_D4_records_that_are_a_place(record: object) -> None:
    """A host in a city has no place because its database writes records in another way."""
    assert place(record, 500.0) == Coordinates(59.25, 18.0833)


def test_D4_the_largest_accuracy_radius_is_a_setting(tmp_path: Path) -> None:
    """An administrator who needs the continent only, or a street, could not set it."""
    file = make(tmp_path / "a.mmdb", {"8.8.8.0/24": {**with_location(accuracy_radius=300), **CITY}})
    address = ip_address("8.8.8.8")
    assert source(Geolocation(database=file)).locate(address) == Coordinates(59.25, 18.0833)
    near = source(Geolocation(database=file, largest_accuracy_radius=299))
    assert near.locate(address) == Unplaced("accurate to 300 km only; at most 299 km are accepted")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
           ["location", "latitude", "longitude", "accuracy_radius", "city", "names", "country", "traits",
            "is_anycast", "subdivisions"]), inner, max_size=6), max_leaves=12))  # fmt: skip
def test_D4_any_record_is_a_place_on_earth_or_none(record: object) -> None:
    """One odd record of a database ends the whole host's location by a traceback."""
    found = place(record, 500.0)
    if isinstance(found, Coordinates):
        assert abs(found.latitude) <= 90
        assert abs(found.longitude) <= 180


def test_what_is_no_database_of_cities_is_named(tmp_path: Path) -> None:
    """`onext doctor` must say which file is wrong, and how."""
    (tmp_path / "corrupt.mmdb").write_bytes(b"x" * 1000)
    make(tmp_path / "asn.mmdb", {"8.8.8.0/24": {"autonomous_system_number": 15169}}, "GeoLite2-ASN")
    for name, reason in {
        "none.mmdb": "does not exist",
        "corrupt.mmdb": "not a MaxMind DB file",
        "asn.mmdb": "GeoLite2-ASN",
    }.items():
        with pytest.raises(NoDatabase, match=reason):
            source(Geolocation(database=tmp_path / name))


def test_a_cut_database_does_not_invent_places(tmp_path: Path) -> None:
    """A download that broke off must fail, or find what the whole file says."""
    whole = make(tmp_path / "a.mmdb", {"130.237.28.0/24": STOCKHOLM}).read_bytes()
    for length in range(0, len(whole), 37):
        cut = tmp_path / "cut.mmdb"
        cut.write_bytes(whole[:length])
        try:
            found = database_of(cut).locate(ip_address("130.237.28.40"))
        except (NoDatabase, LookupFailed):
            continue
        assert isinstance(found, Unplaced) or found == Coordinates(59.25, 18.0833)


def test_usual_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A front-end with geoipupdate needs no setting."""
    monkeypatch.setattr(database, "FOLDERS", (tmp_path,))
    with pytest.raises(NoDatabase, match="geoipupdate"):
        source(Geolocation())
    make(tmp_path / "dbip-city-lite-2026-10.mmdb", {"8.8.8.0/24": STOCKHOLM}, "DBIP-City-Lite")
    make(tmp_path / "dbip-city-lite-2026-11.mmdb", {"8.8.8.0/24": STOCKHOLM}, "DBIP-City-Lite")
    assert source(Geolocation()).name.endswith("2026-11.mmdb")
    make(tmp_path / "GeoLite2-City.mmdb", {"8.8.8.0/24": STOCKHOLM})
    assert source(Geolocation()).name.endswith("GeoLite2-City.mmdb")


def test_a_renewed_file_is_opened_again(tmp_path: Path) -> None:
    """Geoipupdate replaces the file under a worker that runs for months."""
    latest, settings = Latest(), Geolocation(database=tmp_path / "a.mmdb")
    make(tmp_path / "a.mmdb", {"8.8.8.0/24": STOCKHOLM})
    first = latest.get(settings)
    assert latest.get(settings) is first
    make(tmp_path / "b.mmdb", {"8.8.8.0/24": {"location": {"latitude": 1.0, "longitude": 2.0}}}).replace(
        tmp_path / "a.mmdb"
    )
    assert latest.get(settings).locate(ip_address("8.8.8.8")) == Coordinates(1.0, 2.0)


def test_an_account_is_used_only_without_a_database(tmp_path: Path) -> None:
    """The web service costs money and sends addresses away."""
    key = tmp_path / "key"
    key.write_text("secret\n")
    account = MaxMind(account_id=1, license_key_file=key)
    assert source(Geolocation(database=tmp_path / "none", maxmind=account)).name == "geolite.info"
    file = make(tmp_path / "a.mmdb", {"8.8.8.0/24": STOCKHOLM})
    assert source(Geolocation(database=file, maxmind=account)).name == str(file)


def test_the_makers_test_databases(shared: Path) -> None:
    """MaxMind's own files are read as its own library reads them."""
    for name in ("GeoIP2-City-Test.mmdb", "GeoLite2-City-Test.mmdb"):
        found = database_of(shared / "data/geoip" / name)
        assert found.locate(ip_address("89.160.20.112")) == Coordinates(58.4167, 15.6167)
        assert isinstance(found.locate(ip_address("214.1.1.9")), Unplaced)


@pytest.mark.parametrize("sign", [1, -1])
def test_poles_and_the_date_line_are_on_earth(sign: int) -> None:
    """A research station is a place too."""
    found = place(with_location(latitude=90 * sign, longitude=180 * sign), 500.0)
    assert found == Coordinates(90.0 * sign, 180.0 * sign)
    for latitude, longitude in ((90.5, 0.0), (0.0, 180.5)):
        with pytest.raises(ValueError, match="not a location on Earth"):
            Coordinates(latitude * sign, longitude * sign)

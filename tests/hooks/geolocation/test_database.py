"""Databases of cities: MaxMind's nested records, flat ones, and what is neither."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from hooks.geolocation import database
from hooks.geolocation.database import Coordinates, Database, Latest, LookupFailed, NoDatabase, source
from onext.settings.geolocation import Geolocation, MaxMind

STOCKHOLM = {"location": {"latitude": 59.25, "longitude": 18.0833}}


def make(file: Path, records: Mapping[str, Any], kind: str = "GeoLite2-City", version: int = 6) -> Path:
    writer = MMDBWriter(version, kind, ipv4_compatible=version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(file))
    return file


def test_nested_records(tmp_path: Path) -> None:
    """GeoLite2, GeoIP2 and DB-IP are what most people have."""
    found = Database(make(tmp_path / "a.mmdb", {"130.237.28.0/24": STOCKHOLM}))
    assert str(found.locate(ip_address("130.237.28.40"))) == "59.25,18.0833"
    assert found.locate(ip_address("8.8.8.8")) is None


def test_flat_records(tmp_path: Path) -> None:
    """DB-IP from npm has no `location`."""
    record = {"latitude": "52.3735", "longitude": "4.8951"}
    found = Database(make(tmp_path / "a.mmdb", {"193.0.6.0/24": record}, "ip-location-db"))
    assert found.locate(ip_address("193.0.6.139")) == Coordinates(52.3735, 4.8951)


def test_a_record_without_coordinates_is_no_place(tmp_path: Path) -> None:
    """Some records hold a country alone."""
    found = Database(make(tmp_path / "a.mmdb", {"214.1.1.0/24": {"country": {"iso_code": "US"}}}))
    assert found.locate(ip_address("214.1.1.7")) is None


def test_ipv6_in_a_database_of_ipv4_is_unknown_not_a_failure(tmp_path: Path) -> None:
    """One address that the file cannot know must not keep the others from being found."""
    found = Database(make(tmp_path / "a.mmdb", {"130.237.28.0/24": STOCKHOLM}, version=4))
    assert found.locate(ip_address("2001:6b0:1::1")) is None


def test_a_place_that_is_not_on_earth_fails(tmp_path: Path) -> None:
    """A corrupt record must not reach a template."""
    record = {"location": {"latitude": 591.0, "longitude": 18.0}}
    found = Database(make(tmp_path / "a.mmdb", {"130.237.28.0/24": record}))
    with pytest.raises(LookupFailed, match="no place on Earth"):
        found.locate(ip_address("130.237.28.40"))


def test_what_is_no_database_of_cities_is_named(tmp_path: Path) -> None:
    """`onext doctor` must say which file is wrong, and how."""
    (tmp_path / "corrupt.mmdb").write_bytes(b"x" * 1000)
    make(tmp_path / "asn.mmdb", {"8.8.8.0/24": {"autonomous_system_number": 15169}}, "GeoLite2-ASN")
    for name, reason in {
        "none.mmdb": "not there",
        "corrupt.mmdb": "no database",
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
            place = Database(cut).locate(ip_address("130.237.28.40"))
        except (NoDatabase, LookupFailed):
            continue
        assert place in (None, Coordinates(59.25, 18.0833))


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
        found = Database(shared / "data/geoip" / name)
        assert found.locate(ip_address("89.160.20.112")) == Coordinates(58.4167, 15.6167)
        assert found.locate(ip_address("214.1.1.9")) is None

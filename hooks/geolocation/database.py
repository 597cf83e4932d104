"""From an address to coordinates: a database file, else MaxMind's web service."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import geoip2.errors
import geoip2.models
import geoip2.webservice
import maxminddb
import requests

from hooks.geolocation.addresses import Address
from hooks.geolocation.location import Place, Unplaced, place
from onext.settings.geolocation import Geolocation, MaxMind

FOLDERS = (Path("/var/lib/GeoIP"), Path("/usr/share/GeoIP"))
_NO_ANSWER = (geoip2.errors.GeoIP2Error, requests.RequestException)
NAMES = ("GeoLite2-City.mmdb", "GeoIP2-City.mmdb", "dbip-city-lite.mmdb", "dbip-city-lite-*.mmdb")


class NoDatabase(Exception):
    """Neither a usable database nor an account exists: nothing can be located."""


class LookupFailed(Exception):
    """The database or the web service did not answer: the location of the address is unknown."""


class Source(Protocol):
    """Where coordinates come from."""

    name: str

    def locate(self, address: Address) -> Place:
        """Return the location of an address, or why it has none; raise LookupFailed."""


def candidates(settings: Geolocation) -> list[Path]:
    """Return the databases to try: that of the settings alone, else the usual places."""
    if settings.database is not None:
        return [settings.database]
    return [file for folder in FOLDERS for name in NAMES for file in sorted(folder.glob(name), reverse=True)]


def source(settings: Geolocation) -> Source:
    """Return the first source that works; raise NoDatabase, which names what was tried."""
    reasons = []
    for file in candidates(settings):
        try:
            return Database(file, settings.largest_accuracy_radius)
        except NoDatabase as error:
            reasons.append(str(error))
    if settings.maxmind is not None:
        return WebService(settings.maxmind, settings.largest_accuracy_radius)
    tried = "; ".join(reasons) or f"none in {', '.join(map(str, FOLDERS))}"
    raise NoDatabase(
        f"no city database found: {tried}. Get GeoLite2 City (geoipupdate) or DB-IP City Lite,"
        " or name a file as geolocation.database in onext.yaml"
    )


class Database:
    """A MaxMind DB file with cities: nested records (MaxMind, DB-IP) or flat ones (ip-location-db)."""

    def __init__(self, file: Path, largest_radius: float) -> None:
        self.name = str(file)
        self._largest = largest_radius
        try:
            self._reader = maxminddb.open_database(file)
        except FileNotFoundError:
            raise NoDatabase(f"{file} does not exist") from None
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise NoDatabase(f"{file} is not a MaxMind DB file: {error}") from error
        kind = self._reader.metadata().database_type
        if "City" not in kind and not any(_has_coordinates(record) for record in _some(self._reader)):
            raise NoDatabase(f"{file} contains {kind}, not cities")

    def locate(self, address: Address) -> Place:
        """Return the location of an address, or why it has none; raise LookupFailed for a damaged file."""
        if address.version > self._reader.metadata().ip_version:
            return Unplaced("the database contains IPv4 only")
        try:
            return place(self._reader.get(address), self._largest)
        except (maxminddb.InvalidDatabaseError, ValueError, TypeError) as error:
            raise LookupFailed(f"{self.name}: {address}: {error}") from error


class WebService:
    """MaxMind's web service, for those who have an account and no file."""

    def __init__(self, account: MaxMind, largest_radius: float) -> None:
        self.name = account.host
        self._largest = largest_radius
        try:
            key = account.license_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise NoDatabase(f"geolocation.maxmind.license_key_file: {error}") from error
        self._client = geoip2.webservice.Client(account.account_id, key, host=account.host, timeout=10)

    def locate(self, address: Address) -> Place:
        """Ask for one address; raise LookupFailed."""
        try:
            return place(_record(self._client.city(address)), self._largest)
        except geoip2.errors.AddressNotFoundError:
            return Unplaced("unknown to the web service")
        except (*_NO_ANSWER, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LookupFailed(f"{self.name}: {address}: {error}") from error


def _record(answer: geoip2.models.City) -> dict[str, object]:
    """Return what counts of the web service's answer, in the form of a database's record."""
    location = answer.location
    return {
        "location": {
            "latitude": location.latitude,
            "longitude": location.longitude,
            "accuracy_radius": location.accuracy_radius,
        },
        "city": {"names": answer.city.names, "geoname_id": answer.city.geoname_id},
        "subdivisions": list(answer.subdivisions),
        "country": answer.country.iso_code,
        "traits": {"is_anycast": answer.traits.is_anycast},
    }


class Latest:
    """The source of the settings, opened again when its file was replaced: geoipupdate runs weekly."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[object, Source] | None = None

    def get(self, settings: Geolocation) -> Source:
        """Return the current source; raise NoDatabase."""
        stamp = (settings, tuple(_stamps(candidates(settings))))
        with self._lock:
            if self._known is None or self._known[0] != stamp:
                self._known = (stamp, source(settings))
            return self._known[1]


def _stamps(files: list[Path]) -> Iterator[tuple[str, int, int]]:
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue
        yield str(file), found.st_ino, found.st_mtime_ns


def _some(reader: maxminddb.Reader) -> Iterator[object]:
    """Yield the first records of a file: enough to recognise its content."""
    for count, (_, record) in enumerate(reader):
        if count == 100:
            return
        yield record


def _has_coordinates(record: object) -> bool:
    return isinstance(record, Mapping) and {"latitude", "longitude"} <= record.keys()

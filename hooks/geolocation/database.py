"""From an address to coordinates: a database file, else MaxMind's web service."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import geoip2.database
import geoip2.errors
import geoip2.webservice
import maxminddb
import requests

from hooks.geolocation.addresses import Address
from onext.settings.geolocation import Geolocation, MaxMind

FOLDERS = (Path("/var/lib/GeoIP"), Path("/usr/share/GeoIP"))
_NO_ANSWER = (geoip2.errors.GeoIP2Error, requests.RequestException)
NAMES = ("GeoLite2-City.mmdb", "GeoIP2-City.mmdb", "dbip-city-lite.mmdb", "dbip-city-lite-*.mmdb")


class NoDatabase(Exception):
    """There is no usable database and no account: nothing can be located."""


class LookupFailed(Exception):
    """The database or the web service did not answer; that says nothing about the address."""


@dataclass(frozen=True)
class Coordinates:
    """Degrees north and east, as the database has them."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180):
            raise ValueError(f"{self.latitude},{self.longitude} is no place on Earth")

    def __str__(self) -> str:
        return f"{self.latitude},{self.longitude}"


Locate = Callable[[Address], Coordinates | None]


class Source(Protocol):
    """Where coordinates come from."""

    name: str

    def locate(self, address: Address) -> Coordinates | None:
        """Return the coordinates, None where the source knows none; raise LookupFailed."""


def candidates(settings: Geolocation) -> list[Path]:
    """Return the databases to try: that of the settings alone, else the usual places."""
    if settings.database is not None:
        return [settings.database]
    return [file for folder in FOLDERS for name in NAMES for file in sorted(folder.glob(name), reverse=True)]


def source(settings: Geolocation) -> Source:
    """Return the first source that works; raise NoDatabase saying what was tried."""
    reasons = []
    for file in candidates(settings):
        try:
            return Database(file)
        except NoDatabase as error:
            reasons.append(str(error))
    if settings.maxmind is not None:
        return WebService(settings.maxmind)
    tried = "; ".join(reasons) or f"none in {', '.join(map(str, FOLDERS))}"
    raise NoDatabase(
        f"no database of cities: {tried}. Get GeoLite2 City (geoipupdate) or DB-IP City Lite,"
        " or name a file as geolocation.database in onext.yaml"
    )


class Database:
    """A MaxMind DB file with cities: nested records (MaxMind, DB-IP) or flat ones (ip-location-db)."""

    def __init__(self, file: Path) -> None:
        self.name = str(file)
        try:
            self._reader = geoip2.database.Reader(file)
            self._raw = maxminddb.open_database(file)
        except FileNotFoundError:
            raise NoDatabase(f"{file} is not there") from None
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise NoDatabase(f"{file} is no database: {error}") from error
        self._nested = "City" in self._raw.metadata().database_type
        if not self._nested and not any(_flat(record) for _, record in _some(self._raw)):
            raise NoDatabase(f"{file} holds {self._raw.metadata().database_type} and no cities")

    def locate(self, address: Address) -> Coordinates | None:
        """Return the coordinates of an address, None where the file has none; raise LookupFailed."""
        if address.version > self._raw.metadata().ip_version and self._raw.metadata().ip_version == 4:
            return None
        try:
            return self._city(address) if self._nested else _flat(self._raw.get(address))
        except geoip2.errors.AddressNotFoundError:
            return None
        except (maxminddb.InvalidDatabaseError, ValueError, TypeError) as error:
            raise LookupFailed(f"{self.name}: {address}: {error}") from error

    def _city(self, address: Address) -> Coordinates | None:
        location = self._reader.city(address).location
        return _coordinates(location.latitude, location.longitude)


class WebService:
    """MaxMind's web service, for those who have an account and no file."""

    def __init__(self, account: MaxMind) -> None:
        self.name = account.host
        try:
            key = account.license_key_file.read_text().strip()
        except OSError as error:
            raise NoDatabase(f"geolocation.maxmind.license_key_file: {error}") from error
        self._client = geoip2.webservice.Client(account.account_id, key, host=account.host, timeout=10)

    def locate(self, address: Address) -> Coordinates | None:
        """Ask for one address; raise LookupFailed."""
        try:
            location = self._client.city(address).location
            return _coordinates(location.latitude, location.longitude)
        except geoip2.errors.AddressNotFoundError:
            return None
        except (*_NO_ANSWER, ValueError, TypeError, KeyError) as error:
            raise LookupFailed(f"{self.name}: {address}: {error}") from error


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


def _some(raw: maxminddb.Reader) -> Iterator[tuple[object, object]]:
    """Return the first records of a file: enough to tell what it holds."""
    for count, item in enumerate(raw):
        if count == 50:
            return
        yield item


def _flat(record: object) -> Coordinates | None:
    match record:
        case {"latitude": latitude, "longitude": longitude}:
            return _coordinates(float(latitude), float(longitude))
        case _:
            return None


def _coordinates(latitude: float | None, longitude: float | None) -> Coordinates | None:
    if latitude is None or longitude is None or math.isnan(latitude) or math.isnan(longitude):
        return None
    return Coordinates(latitude, longitude)

"""Turn a database's record of an address into a location, or into the reason why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onext import bounds

CENTROID = 100.0  # km: a smaller radius, even of a whole country, means a small country
_MOST = 1e9  # km


@dataclass(frozen=True)
class Coordinates:
    """Degrees north and east, as the database has them."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180):
            raise ValueError(f"{self.latitude},{self.longitude} is not a location on Earth")

    def __str__(self) -> str:
        return f"{self.latitude},{self.longitude}"


@dataclass(frozen=True)
class Unplaced:
    """An address with an unknown location, and why."""

    reason: str


Place = Coordinates | Unplaced


def place(record: object, largest_radius: float) -> Place:
    """Return the place of a record of a city database, nested (MaxMind, DB-IP) or flat (ip-location-db).

    `largest_radius` is in km: a less accurate record is refused. So are the centre of a country, 0,0, and an
    address that many sites announce.
    """
    if not isinstance(record, Mapping):
        return Unplaced("not in the database")
    nested = record.get("location")
    location = nested if isinstance(nested, Mapping) else record
    written = location.get("latitude"), location.get("longitude")
    if written == (None, None):
        return Unplaced("the database has no coordinates")
    latitude, longitude = _number(written[0], 90), _number(written[1], 180)
    if latitude is None or longitude is None:
        shown = ",".join(bounds.words(repr(value), 100) for value in written)
        return Unplaced(f"{shown} is not a location on Earth")
    if latitude == longitude == 0:
        return Unplaced("0,0 means an unknown location")
    return _why_not(record, location, largest_radius) or Coordinates(latitude, longitude)


def _why_not(
    record: Mapping[object, object], location: Mapping[object, object], largest: float
) -> Unplaced | None:
    radius = _number(location.get("accuracy_radius"), _MOST)
    traits = record.get("traits")
    if isinstance(traits, Mapping):
        if traits.get("is_anycast") is True:
            return Unplaced("anycast: announced at many sites")
        if traits.get("is_satellite_provider") is True:
            return Unplaced("a satellite provider's address")
    if radius is not None and radius > largest:
        return Unplaced(f"accurate to {radius:g} km only; at most {largest:g} km are accepted")
    country = "location" in record and record.get("country")
    if country and not _named(record) and (radius is None or radius > CENTROID):
        return Unplaced("the centre of a country")
    return None


def _named(record: Mapping[object, object]) -> bool:
    """Whether a record names a place below the country."""
    city, parts = record.get("city"), record.get("subdivisions")
    return bool(isinstance(city, Mapping) and (city.get("names") or city.get("geoname_id"))) or bool(parts)


def _number(value: object, largest: float) -> float | None:
    """Return a finite number, also one written as text, within [-largest, largest]."""
    return bounds.number(value if isinstance(value, str) else repr(value), -largest, largest)

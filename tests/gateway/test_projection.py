"""Where a place is on the map."""

from __future__ import annotations

from gateway.projection import HEIGHT, WIDTH, project
from gateway.records import Place


def test_points_are_projected_as_the_outline_is() -> None:
    """Sites would be in the sea. The figures are those of d3-geo 3, with the projection of map/make_world.mjs."""
    assert project(Place(latitude=59.3293, longitude=18.0686)) == (486.2, 64.6)
    assert project(Place(latitude=-33.4489, longitude=-70.6693)) == (287.4, 324.4)
    assert project(Place(latitude=-33.8688, longitude=151.2093)) == (797.5, 325.6)


def test_the_whole_earth_is_on_the_map() -> None:
    """A site near a pole or the date line would be outside the picture; a pole is 0.55 times the equator's length."""
    assert project(Place(latitude=0.0, longitude=0.0)) == (WIDTH / 2, HEIGHT / 2)
    assert project(Place(latitude=90.0, longitude=0.0)) == (450.0, 2.4)
    assert project(Place(latitude=-90.0, longitude=180.0)) == (690.9, 457.6)
    assert project(Place(latitude=0.0, longitude=-180.0)) == (12.3, 230.0)

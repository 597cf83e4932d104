"""The page's HTML for clouds of any size, with hostile text wherever people write."""

from __future__ import annotations

import gzip

from jinja2 import Environment

from gateway import describe, page_data, projection
from gateway.pages import environment
from gateway.records import Host, Place
from gateway.watts_history import WattsHistory
from onext.cloud import model

NASTY = "<script>alert(1)</script>\"'&"


def hosts(count: int) -> list[Host]:
    """Return hosts at sixteen places, described as the API does."""
    return [
        describe.host(
            model.Host(
                id=number,
                name=f"node-{number}{NASTY}",
                state=2 if number % 3 else 8,
                cluster_id=0,
                cluster=NASTY,
                template={
                    "GEOLOCATION": f"{number % 4 * 20},{number % 16 * 15}",
                    "ONEXT_POWER_STATE": {"PHASE": "off"},
                },
            ),
            None,
            None,
            12.5,
        )
        for number in range(count)
    ]


def rendered(count: int) -> str:
    templates: Environment = environment()
    found = hosts(count)
    sites = list(describe.sites(found))
    return templates.get_template("map.html").render(
        title="Sites", here="/", live=True, user=NASTY, csrf=NASTY, public=False, revoke=False, counts=page_data.counts(found),
        marks=page_data.marks(sites), lines=[], tunnels=[], hosts=found, vms=0, site="",
        width=projection.WIDTH, height=projection.HEIGHT,
    )  # fmt: skip


def test_a_page_of_any_size_is_whole_small_and_harmless() -> None:
    """A name could run script in an administrator's browser; a large cloud's page would not load on a phone."""
    for count in (0, 3, 1250):
        text = rendered(count)
        assert text.count('<tr><th scope="row"><a id="h') == count
        assert "<script>alert" not in text
        assert len(gzip.compress(text.encode())) + 22_000 < 250_000  # with the outline of the land
    assert "asleep" in text
    assert "No host that you may see" in rendered(0)


def test_places_that_are_none_are_not_drawn() -> None:
    """One wrong GEOLOCATION would end the page for everybody."""
    for text in ("", "x", "1,2,3", "91,0", "0,181", "nan,0", "1e400,0", NASTY):
        assert describe.place(text) is None
    assert describe.place(" 59.3 , 18.0 ") == Place(latitude=59.3, longitude=18.0)


def test_a_day_of_watts_is_kept_and_no_more() -> None:
    """The gateway's memory would grow for as long as it runs."""
    now = [0.0]
    watts = {1: 100.0, 2: 50.0}
    history = WattsHistory(lambda: watts, lambda: now[0])
    for minute in range(60 * 48):
        now[0] = minute * 60.0
        history.sample()
    assert len(history.of(1)) == 288
    assert history.of(1)[-1][1] == 100.0
    del watts[2]
    now[0] += 600
    history.sample()
    assert history.of(2) == []

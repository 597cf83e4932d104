"""What tenants may write, and that every other thing is refused with a reason."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.targets.user_template import Refused, Wish, labels, wishes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9100", [Wish("9100", 9100)]),
        ("9100/metrics/a", [Wish("9100/metrics/a", 9100, None, "/metrics/a")]),
        ("10.0.0.7:9101", [Wish("10.0.0.7:9101", 9101, ip_address("10.0.0.7"))]),
        ("[2001:db8::7]:1/x", [Wish("[2001:db8::7]:1/x", 1, ip_address("2001:db8::7"), "/x")]),
        ("9100, 9101\n9102,", [Wish("9100", 9100), Wish("9101", 9101), Wish("9102", 9102)]),
        ("", []),
    ],
)
def test_the_forms_that_are_taken(text: str, expected: list[Wish]) -> None:
    """These are the forms of the documentation; a user whose form is lost is not watched."""
    assert list(wishes(text)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "not a port"),
        ("65536", "not a port"),
        ("999.1.1.1:9100", "not an IP address"),
        ("[fe80::1%eth0]:9100", "is not port"),
        ("2001:db8::7:9100", "is not port"),
        ("example.org:9100", "is not port"),
        ("http://10.0.0.1:9100", "is not port"),
        ("9100/metrics?target=10.0.0.1", "is not port"),
        ("9100/a b", "is not port"),
        ("user@10.0.0.1:9100", "is not port"),
        ("-1", "is not port"),
        ("\uff19\uff11", "is not port"),
        ("9" * 2000, "longer than"),
    ],
)
def test_refused_targets_say_why(text: str, reason: str) -> None:
    """A tenant's bad port once made the whole configuration of Prometheus fail to load."""
    refused = [found for found in wishes(text) if isinstance(found, Refused)]
    assert refused
    assert reason in str(refused[0])


def test_a_bad_target_leaves_the_good_ones() -> None:
    """What is refused leaves that target out and nothing else."""
    first, second = wishes("x, 9100")
    assert isinstance(first, Refused)
    assert second == Wish("9100", 9100)


def test_labels() -> None:
    """Labels are what a team finds its VMs by."""
    assert labels(" app=web , tier = front=1,") == {"app": "web", "tier": "front=1"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *(
            (f"{name}=x", "reserved")
            for name in ("job", "instance", "one_vm_id", "__address__", "geolocation")
        ),
        *(
            (f"{name}=x", "reserved")
            for name in ("ONE_HOST_ID", "__scrape_interval__", "alertname", "severity")
        ),
        ("app", "is not name=value"),
        ("1a=x", "is not name=value"),
        ("a-b=x", "is not name=value"),
        ("=x", "is not name=value"),
        ("a=\x00", "printable"),
        ("a=b\nc", "printable"),
        ("a=" + "x" * 200, "too long"),
        (",".join(f"a{n}=1" for n in range(11)), "more than 10"),
        ("a=" + "x" * 2000, "longer than"),
    ],
)
def test_refused_labels_say_why(text: str, reason: str) -> None:
    """A tenant who could set `job` or `one_vm_id` would write into other people's dashboards."""
    with pytest.raises(Refused, match=reason):
        labels(text)


@given(st.text(max_size=200))
def test_nothing_else_than_a_refusal(text: str) -> None:
    """Whatever a tenant writes, the round goes on."""
    for found in wishes(text):
        assert isinstance(found, Refused) or 0 < found.port < 65536
    with contextlib.suppress(Refused):
        labels(text)


def test_as_many_labels_as_documented_and_not_one_more() -> None:
    """Each label of a tenant multiplies what Prometheus stores."""
    assert len(labels(",".join(f"l{number}=x" for number in range(10)))) == 10
    with pytest.raises(Refused, match="more than 10 labels"):
        labels(",".join(f"l{number}=x" for number in range(11)))


@pytest.mark.parametrize("port", [1, 65535])
def test_every_port_can_be_scraped(port: int) -> None:
    """The bounds of TCP, and no others."""
    assert wishes(str(port)) == (Wish(str(port), port),)


@pytest.mark.parametrize(("number", "refused"), [(64, 0), (65, 1), (200, 1)])
def test_so_many_targets_of_one_attribute(number: int, refused: int) -> None:
    """One VM with a thousand targets would take the scrapes of all others; who names more is told once."""
    found = wishes(",".join(str(port) for port in range(1, number + 1)))
    assert sum(isinstance(one, Wish) for one in found) == 64
    assert [str(one) for one in found if isinstance(one, Refused)] == [
        "PROMETHEUS_EXPORTER names more than 64 targets"
    ] * refused


@pytest.mark.parametrize(("length", "fits"), [(1024, True), (1025, False)])
def test_how_long_an_attribute_may_be(length: int, fits: bool) -> None:
    """What is documented fits, and a text without an end costs nothing."""
    assert isinstance(wishes("9100".ljust(length))[0], Wish) is fits
    text = "app=web".ljust(length, ",")
    assert (labels(text) == {"app": "web"}) if fits else _refused(text)


@pytest.mark.parametrize(("length", "fits"), [(128, True), (129, False)])
def test_how_long_a_label_may_be(length: int, fits: bool) -> None:
    """Each character of it is stored with each series."""
    text = "app=" + "x" * length
    assert (labels(text) == {"app": "x" * length}) if fits else _refused(text)


def _refused(text: str) -> bool:
    with pytest.raises(Refused):
        labels(text)
    return True

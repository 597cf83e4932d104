"""What the counters prove."""

import re

import pytest

from drivers.vmm.migrate.onext_migrate.traffic_check import check_traffic


def test_through() -> None:
    """Headers make the carried bytes more than the job's."""
    found = check_traffic(232_600_000, 230_000_000)
    assert (found.proved, found.bypassed) == (True, False)
    assert found.message == "230.0 MB of memory and disks went through the tunnel"


@pytest.mark.parametrize(("carried", "proved"), [(95_000_000, True), (94_999_999, False), (0, False)])
def test_the_least_that_proves(carried: int, proved: bool) -> None:
    """A stream of which a part went in clear would be reported as protected."""
    found = check_traffic(carried, 100_000_000)
    assert (found.proved, found.bypassed) == (proved, not proved)


def test_bypass() -> None:
    """The reference's 14 kB of 238 MB, written in megabytes."""
    found = check_traffic(14_000, 237_700_000)
    assert (found.proved, found.bypassed) == (False, True)
    assert "BYPASS: 237.7 MB" in found.message


@pytest.mark.parametrize(("carried", "job"), [(None, 1), (1, None), (1, 0)])
def test_B4_unknown_is_neither_proved_nor_a_bypass(carried: int | None, job: int | None) -> None:
    """Every post-copy run logged an ERROR, in words that a test for success found."""
    found = check_traffic(carried, job)
    assert (found.proved, found.bypassed) == (False, False)
    assert not re.search("went through|ERROR|BYPASS", found.message)


def test_B4_a_shared_tunnel_gives_each_its_own_figure() -> None:
    """Three migrations at once: each log counted the others' bytes, 359 MB for 119."""
    assert "119.0 MB of memory" in check_traffic(359_000_000, 119_000_000).message


def test_B4_the_last_figure_seen_is_a_lower_bound() -> None:
    """After post-copy libvirt has no figures: what was seen before is proof of that much."""
    assert check_traffic(120_000_000, 100_000_000, complete=False).message.startswith("at least 100.0 MB")

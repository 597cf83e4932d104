"""What the counters prove."""

from drivers.vmm.migrate.onext_migrate.proof import prove


def test_through() -> None:
    """Headers make the carried bytes more than the job's."""
    assert prove(232_600_000, 230_000_000).proved


def test_bypass() -> None:
    """The reference's 14 kB of 238 MB, said in megabytes."""
    found = prove(14_000, 237_700_000)
    assert not found.proved
    assert "BYPASS: 237.7 MB" in found.message


def test_unknown_is_not_proved() -> None:
    """No counters, no claim."""
    assert not prove(None, 1).proved
    assert not prove(1, None).proved

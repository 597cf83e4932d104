"""The bytes of migrations that share a tunnel."""

from pathlib import Path

from drivers.vmm.migrate.onext_migrate import shared_bytes


def test_the_sum_of_all_and_then_nothing(tmp_path: Path) -> None:
    """Two migrations in one tunnel: one that went beside it would hide behind the other's bytes."""
    assert shared_bytes.take("oxt0", str(tmp_path)) == []
    shared_bytes.add("oxt0", 5, str(tmp_path))
    shared_bytes.add("oxt0", 7, str(tmp_path))
    shared_bytes.add("oxt1", 9, str(tmp_path))
    assert shared_bytes.take("oxt0", str(tmp_path)) == [5, 7]
    assert shared_bytes.take("oxt0", str(tmp_path)) == [], "the next tunnel starts anew"
    assert shared_bytes.take("oxt1", str(tmp_path)) == [9]

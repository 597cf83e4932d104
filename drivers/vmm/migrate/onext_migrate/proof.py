"""Whether the guest went through the tunnel: libvirt says what the guest took, the device what it carried."""

from typing import NamedTuple, Optional

_ENOUGH = 0.95  # headers make the carried bytes more than the job's, never less


class Proof(NamedTuple):
    """The finding and its sentence."""

    proved: bool
    message: str


def prove(carried: Optional[int], job: Optional[int]) -> Proof:
    """Compare bytes that the tunnel carried with bytes that the migration job sent (None: not known)."""
    if carried is None or job is None:
        return Proof(False, "whether the guest's memory went through the tunnel is not known: no counters")
    if carried >= job * _ENOUGH:
        return Proof(
            True, f"{megabytes(carried)} went through the tunnel ({megabytes(job)} of memory and disks)"
        )
    return Proof(
        False,
        f"BYPASS: {megabytes(job - carried)} of the guest's {megabytes(job)} did not go through the tunnel:"
        " look for a script that calls virsh by its path",
    )


def megabytes(count: int) -> str:
    """Write bytes as the logs do."""
    return f"{count / 1e6:.1f} MB"

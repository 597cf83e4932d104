"""Whether the VM went through the tunnel: libvirt tells what the VM took, the device what it carried."""

from typing import NamedTuple, Optional

_ENOUGH = 0.95  # headers make the carried bytes more than the job's, never less


class Finding(NamedTuple):
    """The finding and its sentence."""

    proved: bool
    bypassed: bool
    message: str


def check_traffic(carried: Optional[int], job: Optional[int], complete: bool = True) -> Finding:
    """Compare bytes that the tunnel carried with bytes that the migration job sent (None: unknown).

    The tunnel's bytes are those of all migrations that share it: they can refute, and never tell how much one
    VM sent. Not `complete` is a job whose last figure was taken before its end.
    """
    if carried is None or not job:
        return Finding(
            False, False, "the amount of memory in the tunnel is unknown: libvirt gives no figures for it"
        )
    if carried < job * _ENOUGH:
        return Finding(False, True, bypass(f"{megabytes(job - carried)} of the VM's {megabytes(job)}"))
    least = "" if complete else "at least "
    return Finding(True, False, f"{least}{megabytes(job)} of memory and disks went through the tunnel")


def bypass(what: str) -> str:
    """Return the sentence for what went another way."""
    return f"BYPASS: {what} did not go through the tunnel: look for a script that calls virsh by its path"


def megabytes(count: int) -> str:
    """Write bytes as the logs do."""
    return f"{count / 1e6:.1f} MB"

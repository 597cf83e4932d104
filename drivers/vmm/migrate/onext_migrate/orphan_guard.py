"""What is done on the source when the driver itself was killed: the migration ends, the VM stays.

OpenNebula takes a driver that died for a failed migration, so a migration that continued alone would leave
its VM on a host where OpenNebula does not look for it.
"""

import os
import signal
import time
from typing import Callable

from . import virsh

_GRACE = 20.0  # seconds for libvirt to end the job and OpenNebula's own migrate to clean up the destination


def guard(group: int, domain: str, uri: str = virsh.URI, reap: Callable[[], object] = lambda: None) -> None:
    """Abort the job (never in post-copy) and wait for the process group to end, by force after a while.

    `reap` is asked each time: an own child process that has ended counts as alive until its parent asks for
    it.
    """
    end = time.monotonic() + _GRACE
    while True:
        reap()
        if not alive(group):
            return
        state = virsh.state(domain, uri)
        if state.name == "absent":
            return  # it has arrived: OpenNebula's script copies snapshots and resumes it
        if state.postcopy:
            end = time.monotonic() + _GRACE
            time.sleep(0.5)
        elif time.monotonic() >= end:  # libvirt takes no abort while it connects
            stop(group)
        else:
            job = virsh.job(domain, uri)
            if job is not None and job.active:
                virsh.abort(domain, uri)
            time.sleep(0.1)


def alive(group: int) -> bool:
    """Tell whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop(group: int, patience: float = 3.0) -> None:
    """End a process group: asked first, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while alive(group) and time.monotonic() < end:
            time.sleep(0.05)

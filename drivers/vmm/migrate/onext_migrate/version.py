"""Which driver is installed here: a digest of its files and settings, for the front-end to compare."""

import hashlib
import os
from typing import Iterator

_PLACES = (
    "etc/vmm/kvm/onext-clusters.conf",
    "etc/vmm/kvm/onext-migrate.conf",
    "vmm/kvm/migrate",
    "vmm/kvm/onext_migrate",
)


def digest(remotes: str) -> str:
    """Return it for the tree `remotes` (on a node /var/tmp/one); onext/tunnel/drivers.py does the same."""
    found = hashlib.sha256()
    for name in sorted(_files(remotes)):
        with open(os.path.join(remotes, name), "rb") as file:
            content = file.read()
        found.update(f"{name} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def _files(remotes: str) -> Iterator[str]:
    for place in _PLACES:
        path = os.path.join(remotes, place)
        if os.path.isfile(path):
            yield place
        for folder, folders, names in os.walk(path):
            folders[:] = [one for one in folders if one != "__pycache__"]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), remotes)

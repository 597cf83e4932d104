"""Locks of objects, as src/pool/PoolObjectSQL.cc keeps them."""

import time
from dataclasses import dataclass, field

from sandbox.markup import tag

LEVELS = {1: 1, 2: 2, 3: 3, 4: 1}  # USE, MANAGE, ADMIN, ALL: what one.*.lock takes, and what is kept


@dataclass(frozen=True)
class Lock:
    """A lock: its level refuses every right that is as high or higher, also to oneadmin."""

    level: int
    owner: int
    since: int = field(default_factory=lambda: int(time.time()))
    request: int = -1

    def refuses(self, right: int) -> bool:
        """Tell whether it refuses an operation that needs this right (AclManager::oneadmin_authorize)."""
        return self.level <= right

    def xml(self) -> str:
        """Return the lock as `info` calls show it."""
        fields = (
            ("LOCKED", self.level),
            ("OWNER", self.owner),
            ("TIME", self.since),
            ("REQ_ID", self.request),
        )
        return tag("LOCK", "".join(tag(name, value) for name, value in fields))

    def short_xml(self) -> str:
        """Return the lock as one.vmpool.info shows it."""
        return tag("LOCK", tag("LOCKED", self.level))

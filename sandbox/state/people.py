"""Users and groups."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.markup import ids, tag, text
from sandbox.state.limits import Quotas
from sandbox.state.pool_object import PoolObject

EMPTY_QUOTAS = "<DATASTORE_QUOTA></DATASTORE_QUOTA><NETWORK_QUOTA></NETWORK_QUOTA><VM_QUOTA></VM_QUOTA>"
EMPTY_QUOTAS += "<IMAGE_QUOTA></IMAGE_QUOTA>"
MOST_TOKENS = 10
FOR_EVER = -1


@dataclass(frozen=True)
class Login:
    """A token that oned made or took: its end (seconds since 1970, -1 for none), for which group."""

    token: str
    until: int
    egid: int = -1

    @property
    def valid(self) -> bool:
        """Whether it still opens."""
        return self.until == FOR_EVER or time.time() < self.until

    def xml(self) -> str:
        """Return the token as one.user.info shows it."""
        return tag(
            "LOGIN_TOKEN",
            tag("TOKEN", self.token) + tag("EXPIRATION_TIME", self.until) + tag("EGID", self.egid),
        )


@dataclass(kw_only=True)
class User(PoolObject):
    """A user; `uid` is its own id, since each user owns itself."""

    KIND: ClassVar[str] = "USER"

    password: str
    driver: str = "core"
    enabled: bool = True
    groups: set[int] = field(default_factory=set)
    logins: dict[str, Login] = field(default_factory=dict)
    session: Login | None = None  # the one token that oned caches
    quotas: Quotas = field(default_factory=Quotas)

    def xml(self, quotas: str = "") -> str:
        """Return the user as one.userpool.info does, or with quotas as one.user.info."""
        return tag(
            "USER",
            tag("ID", self.id)
            + tag("GID", self.gid)
            + ids("GROUPS", sorted(self.groups))
            + tag("GNAME", self.gname)
            + tag("NAME", self.name)
            + text("PASSWORD", self.password)
            + text("AUTH_DRIVER", self.driver)
            + tag("ENABLED", int(self.enabled))
            + "".join(login.xml() for login in self.logins.values())
            + self.template.xml()
            + quotas,
        )


@dataclass(kw_only=True)
class Group(PoolObject):
    """A group and its members."""

    KIND: ClassVar[str] = "GROUP"

    members: set[int] = field(default_factory=set)
    quotas: Quotas = field(default_factory=Quotas)

    def xml(self, quotas: str = "") -> str:
        """Return the group as one.grouppool.info does, or with quotas as one.group.info."""
        return tag(
            "GROUP",
            tag("ID", self.id)
            + tag("NAME", self.name)
            + self.template.xml()
            + ids("USERS", sorted(self.members))
            + ids("ADMINS", ())
            + quotas,
        )

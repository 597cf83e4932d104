"""A token where `oneuser`, pyone and the others look for it: `user:token` in ONE_AUTH's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from biscuit_auth import PublicKey

from onext import atomic
from onext.biscuit import policy, tokens
from onext.biscuit.errors import BiscuitError, TokenUnreadable

# oned itself, the hooks and the shipped services log in with this file of theirs.
SERVICES = ("oneadmin", "serveradmin")


@dataclass(frozen=True)
class Credentials:
    """What a one_auth file holds."""

    user: str
    secret: str

    @classmethod
    def read(cls, path: Path) -> Credentials | None:
        """Return what a file holds, or None when it is not there."""
        try:
            user, _, secret = path.read_text().strip().partition(":")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise BiscuitError(f"{path}: {error}") from None
        return cls(user, secret)

    def signed_by(self, key: PublicKey) -> bool:
        """Whether the secret is a token of this key that states the user."""
        try:
            return self.user in policy.users(tokens.verified(tokens.normal(self.secret), [key]))
        except TokenUnreadable:
            return False


def signed_user(path: Path, key: PublicKey) -> str | None:
    """Return whose token of this key a file holds, or None."""
    old = Credentials.read(path)
    return old.user if old is not None and old.signed_by(key) else None


def renewed_user(path: Path, user: str | None, key: PublicKey) -> str:
    """Return whose token to renew; raise BiscuitError unless the file holds one of this key."""
    found = signed_user(path, key)
    if found is None or user not in (None, found):
        whose = f"for {user} " if user else ""
        raise BiscuitError(f"{path} holds no token {whose}of this key: log in once without --renew")
    return found


def needs_consent(path: Path, user: str, key: PublicKey) -> str | None:
    """Return what would be lost by writing a token for `user` to the file, or None.

    Raises BiscuitError where it is the password of OpenNebula's own services.
    """
    old = Credentials.read(path)
    if old is None or not old.secret:
        return None
    if old.user in SERVICES and old.user != user:
        raise BiscuitError(f"{path} is how {old.user} logs in: take --print, or set ONE_AUTH to another file")
    if old.user == user and old.signed_by(key):
        return None
    return f"{path} holds the password or token of {old.user}"


def write(path: Path, user: str, token: str) -> None:
    """Write the file as `oneuser login` does, for its owner alone and never half."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write(path, f"{user}:{token}".encode(), mode=0o600)


def keep(path: Path) -> Path:
    """Move the file aside and return where to; what was moved aside before stays the first."""
    kept = path.with_name(f"{path.name}.before-biscuit")
    if not kept.exists():
        atomic.write(kept, path.read_bytes(), mode=0o600)
    return kept


def separate_file(user: str) -> Path:
    """Return the file for one user's token beside one_auth, as `oneuser token-set` makes one."""
    return Path.home() / ".one" / f"{quote(user, safe='')}.token"

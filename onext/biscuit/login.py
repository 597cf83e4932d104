"""The token in the file that `oneuser`, pyone and other clients read: `user:token` in ONE_AUTH's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from biscuit_auth import PublicKey

from onext import atomic
from onext.biscuit import policy, tokens
from onext.biscuit.errors import BiscuitError, TokenUnreadable

# oned itself, the hooks and OpenNebula's services log in with this file.
SERVICES = ("oneadmin", "serveradmin")


@dataclass(frozen=True)
class Credentials:
    """The content of a one_auth file."""

    user: str
    secret: str

    @classmethod
    def read(cls, path: Path) -> Credentials | None:
        """Return the content of a file, or None when it does not exist."""
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
    """Return the user of the token of this key in a file, or None."""
    old = Credentials.read(path)
    return old.user if old is not None and old.signed_by(key) else None


def renewed_user(path: Path, user: str | None, key: PublicKey) -> str:
    """Return the user whose token to renew; raise BiscuitError unless the file has a token of this key."""
    found = signed_user(path, key)
    if found is None or user not in (None, found):
        whose = f"for {user} " if user else ""
        raise BiscuitError(f"{path} contains no token {whose}of this key: log in once without --renew")
    return found


def needs_consent(path: Path, user: str, key: PublicKey) -> str | None:
    """Return what would be lost by writing a token for `user` to the file, or None.

    Raises BiscuitError where it is the password of OpenNebula's own services.
    """
    old = Credentials.read(path)
    if old is None or not old.secret:
        return None
    if old.user in SERVICES and old.user != user:
        raise BiscuitError(
            f"{path} is the login of {old.user}, a service of OpenNebula: "
            "use --print, or set ONE_AUTH to another file"
        )
    if old.user == user and old.signed_by(key):
        return None
    return f"{path} contains the password or token of {old.user}"


def write(path: Path, user: str, token: str) -> None:
    """Write the file as `oneuser login` does, readable by its owner only, atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic.write(path, f"{user}:{token}".encode(), mode=0o600)


def keep(path: Path) -> Path:
    """Rename the file and return its new path; the first copy is never replaced."""
    kept = path.with_name(f"{path.name}.before-biscuit")
    if not kept.exists():
        atomic.write(kept, path.read_bytes(), mode=0o600)
    return kept


def separate_file(user: str) -> Path:
    """Return the file for one user's token beside one_auth, as `oneuser token-set` does."""
    return Path.home() / ".one" / f"{quote(user, safe='')}.token"

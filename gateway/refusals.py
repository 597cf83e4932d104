"""Why a request is not served: a status, and a sentence for the client that holds no secret."""

from __future__ import annotations

from urllib.parse import urlsplit


class Refusal(Exception):
    """A request that is not served; `status` is HTTP's, the message is shown to the client."""

    status = 400

    def __init__(self, message: str, retry: float = 0.0) -> None:
        super().__init__(message)
        self.retry = retry  # seconds after which it may be tried again, 0: not stated


class Invalid(Refusal):
    """The request is not as the OpenAPI document describes it."""


class Unauthorised(Refusal):
    """No credential, or one that OpenNebula does not accept."""

    status = 401


class Forbidden(Refusal):
    """The credential is valid and does not permit this."""

    status = 403


class Missing(Refusal):
    """The page or object does not exist, or the caller may not see it."""

    status = 404


class Conflicting(Refusal):
    """The request contradicts one that was accepted before."""

    status = 422


class Elsewhere(Refusal):
    """Another server answers this; `location` is where."""

    status = 307

    def __init__(self, location: str) -> None:
        super().__init__("another server of the zone leads: send the request there")
        self.location = location

    @property
    def origin(self) -> str:
        """The page of that server."""
        found = urlsplit(self.location)
        return f"{found.scheme}://{found.netloc}/"


class TooLarge(Refusal):
    """The body or a header is larger than permitted."""

    status = 413


class TooMany(Refusal):
    """More requests or failed logins than permitted."""

    status = 429


class Unavailable(Refusal):
    """OpenNebula does not answer."""

    status = 503

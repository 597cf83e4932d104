"""What can go wrong on a node; each message states what failed and what to do."""


class EdgeError(Exception):
    """Base of the failures that are one line for a person."""


class InvalidToken(EdgeError):
    """The join token cannot be read."""


class Unreachable(EdgeError):
    """No endpoint of the front-ends answered."""


class NotReady(Unreachable):
    """A front-end answered that it cannot answer now."""


class WrongServer(EdgeError):
    """A server's certificate or answer is not that of the front-end which made the token."""


class Refused(EdgeError):
    """The front-end refused a request; the message is its reason."""


class CommandFailed(EdgeError):
    """A program of this machine failed."""

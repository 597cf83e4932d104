"""What oned refuses, with the codes of its XML-RPC interface (include/Request.h of OpenNebula)."""

AUTHENTICATION = 0x0100
AUTHORIZATION = 0x0200
NO_EXISTS = 0x0400
ACTION = 0x0800
XML_RPC_API = 0x1000
INTERNAL = 0x2000

# Faults of the XML-RPC library below oned (xmlrpc-c).
FAULT_PARSE = -503
FAULT_TYPE = -501
FAULT_NO_SUCH_METHOD = -506


class OnedError(Exception):
    """A call that oned answers with `false`: the message (without `[method]`), the code, the object."""

    code = INTERNAL

    def __init__(self, message: str, oid: int = -1) -> None:
        super().__init__(message)
        self.oid = oid


class AuthenticationError(OnedError):
    """The session names a user whom no driver knows."""

    code = AUTHENTICATION

    def __init__(self) -> None:
        super().__init__("User couldn't be authenticated, aborting call.")


class AuthorizationError(OnedError):
    """The user may not do this to that object."""

    code = AUTHORIZATION


class NoExistsError(OnedError):
    """The object does not exist; `label` is oned's name of its kind."""

    code = NO_EXISTS

    def __init__(self, label: str, oid: int) -> None:
        super().__init__(f"Error getting {label} [{oid}].", oid)


class ActionError(OnedError):
    """The object is in a state that does not allow it."""

    code = ACTION


class ApiError(OnedError):
    """An argument has the right type and a wrong value."""

    code = XML_RPC_API


class InternalError(OnedError):
    """Whatever else oned answers with 0x2000: names that it refuses, templates that do not parse."""


class FaultError(Exception):
    """What the library below oned answers as an XML-RPC fault: unknown method, wrong type, no XML."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

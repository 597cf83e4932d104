"""What can go wrong, by what follows from it."""

from typing import Optional, Sequence


class MigrateError(Exception):
    """Anything that this driver reports."""


class BadInputError(MigrateError):
    """Arguments, action XML or configuration are wrong: exit 1, the VM untouched."""


class TunnelError(MigrateError):
    """The tunnel cannot be opened: migrate directly or refuse, as ON_TUNNEL_FAILURE asks."""


class UnsafeError(TunnelError):
    """What guards tunnels on a host is not as it must be: refuse, whatever ON_TUNNEL_FAILURE asks."""


class TakenError(TunnelError):
    """Name, VNI or address are taken on this host: another salt may do."""


class CommandError(TunnelError):
    """A command ended with an error or not in time.

    `exit_code` is None when it ran into its time-out.
    """

    def __init__(self, argv: Sequence[str], exit_code: Optional[int], output: str) -> None:
        self.argv, self.exit_code, self.output = argv, exit_code, output
        how = "did not end in time" if exit_code is None else f"exit code {exit_code}"
        super().__init__("{}: {}: {}".format(" ".join(argv)[:60], how, output.strip()[-500:] or "no output"))

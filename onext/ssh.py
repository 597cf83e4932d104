"""How other machines are reached: as oneadmin, whose machines trust each other, with nothing left open.

The remote words travel as one line through the remote shell: only fixed words belong there, and data goes
through standard input.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from onext import process
from onext.payload import valid_host_name

_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "ClearAllForwardings": "yes",
    "PermitLocalCommand": "no",
    "ControlMaster": "no",  # a master that stays would keep our pipes open
    "ControlPath": "none",
}


def command(host: str, words: Sequence[str], *, timeout: float, config: Path | None = None) -> list[str]:
    """Return the argument list that runs `words` on `host`; connecting may take half of `timeout` seconds.

    Raises ValueError for an invalid host name: it could be an option, or hold shell characters.
    """
    if not (valid_host_name(host) or _address(host)):
        raise ValueError(f"{host!r} is not a valid host name: no command is run with it")
    settings = {**_OPTIONS, "ConnectTimeout": str(max(1, int(timeout / 2)))}
    options = [word for pair in settings.items() for word in ("-o", "=".join(pair))]
    return ["ssh", *(["-F", str(config)] if config else []), "-T", *options, "--", host, shlex.join(words)]


def _address(text: str) -> bool:
    """Whether a host is named by its address, as servers of a zone may be."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def run(
    host: str,
    words: Sequence[str],
    *,
    timeout: float,
    config: Path | None = None,
    input: bytes | None = None,  # noqa: A002 - the word of the subprocess module
    max_output: int = 1 << 20,
    check: bool = True,
) -> process.Completed:
    """Run `words` on `host` within `timeout` seconds; raise ValueError or onext.process.CommandError."""
    argv = command(host, words, timeout=timeout, config=config)
    return process.run(argv, timeout=timeout, input=input, max_output=max_output, check=check)

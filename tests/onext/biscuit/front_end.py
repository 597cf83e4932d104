"""A front-end of a zone of three, played by answers, and the ssh between its servers, played by a script."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from biscuit_auth import PrivateKey

from onext.biscuit import keys
from onext.install import oned_conf
from onext.oned.client import Oned
from onext.oned.errors import Refused
from onext.paths import Paths
from onext.xml import Element, parse

SERVERS = ("one-a", "one-b", "one-c")
CONF = oned_conf.add('AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "ssh" ]\n')
KEY = keys.stored(keys.public_of(PrivateKey("ed25519-private/" + "17" * 32)))
P256 = keys.stored(keys.public_of(PrivateKey("secp256r1-private/" + "17" * 32)))


def zone(hosts: Sequence[str] = SERVERS) -> str:
    """Return the answer of one.zone.info, in the form of the recordings."""
    servers = "".join(
        f"<SERVER><ID>{number}</ID><NAME>{host}</NAME><ENDPOINT>http://{host}:2633/RPC2</ENDPOINT></SERVER>"
        for number, host in enumerate(hosts)
    )
    return f"<ZONE><ID>0</ID><SERVER_POOL>{servers}</SERVER_POOL></ZONE>"


def configuration(entry: str = "0") -> str:
    """Return the answer of one.system.config with this MAX_TOKEN_TIME for biscuit users."""
    values = {**oned_conf.WANTED, "MAX_TOKEN_TIME": entry}
    attributes = "".join(f"<{key}>{value}</{key}>" for key, value in values.items())
    return (
        f"<OPENNEBULA_CONFIGURATION><AUTH_MAD_CONF>{attributes}</AUTH_MAD_CONF><FEDERATION><ZONE_ID>0</ZONE_ID>"
        "</FEDERATION><SESSION_EXPIRATION_TIME>600</SESSION_EXPIRATION_TIME></OPENNEBULA_CONFIGURATION>"
    )


def user(name: str, *, key: str = KEY, driver: str = "biscuit", enabled: str = "1", more: str = "") -> str:
    """Return one user of the pool."""
    return (
        f"<USER><ID>7</ID><NAME>{name}</NAME><PASSWORD>{key}</PASSWORD><AUTH_DRIVER>{driver}</AUTH_DRIVER>"
        f"<ENABLED>{enabled}</ENABLED>{more}</USER>"
    )


@dataclass
class PlayedOned:
    """Answers like oned, and remembers what was changed."""

    answers: dict[str, str]
    failing: frozenset[tuple[object, ...]] = frozenset()
    calls: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def oned(self) -> Oned:
        """This as what the code wants."""
        return cast("Oned", self)

    def document(self, method: str, *_arguments: object) -> Element:
        """Return an answer."""
        return parse(self.answers[method])

    def call(self, *words: object) -> int:
        """Remember a change, or refuse it."""
        self.calls.append(words)
        if words in self.failing:
            raise Refused("one.user.enable: no leader")
        return 7

    def raft(self) -> SimpleNamespace:
        """Be the first server of the zone."""
        return SimpleNamespace(server_id=0)


def played(users: str = "", hosts: Sequence[str] = SERVERS, entry: str = "0") -> PlayedOned:
    """Return a zone of these servers with these users."""
    return PlayedOned(
        {
            "zone.info": zone(hosts),
            "system.config": configuration(entry),
            "userpool.info": f"<USER_POOL>{user('dann1')}{users}</USER_POOL>",
        }
    )


def place(location: Path) -> Paths:
    """Make a whole server below ONE_LOCATION: driver, rules, list, oned.conf."""
    paths = Paths.self_contained(location)
    files = {
        paths.remotes / "auth/biscuit/authenticate": '#!/x -IS\nSITE_PACKAGES = "x"\nREVOKED = "y"\nrest\n',
        paths.current / "parts/drivers/auth/biscuit/decision.py": "rules\n",
        paths.own_etc / "biscuit-revoked": "",
        paths.etc / "oned.conf": CONF,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (paths.remotes / "auth/biscuit/authenticate").chmod(0o755)
    (paths.own_etc / "biscuit-revoked").chmod(0o640)
    return paths


def ssh_script(folder: Path, locations: Mapping[str, Path]) -> None:
    """Write an `ssh` that runs the command in another server's ONE_LOCATION, or cannot reach it.

    It writes down its arguments, and takes only the options that keep a stranger out.
    """
    folder.mkdir()
    known = {host: str(path) for host, path in locations.items()}
    (folder / "ssh").write_text(
        f"#!{sys.executable}\n"
        "import json, os, shlex, sys\n"
        f"known = {known!r}\n"
        "*options, marker, host, command = sys.argv[1:]\n"
        "assert marker == '--' and 'BatchMode=yes' in options and 'StrictHostKeyChecking=yes' in options\n"
        f"open({str(folder / 'asked')!r}, 'a').write(json.dumps([host, command]) + '\\n')\n"
        "if host not in known:\n"
        "    sys.exit(f'ssh: connect to host {host} port 22: No route to host')\n"
        "env = dict(os.environ, ONE_LOCATION=known[host])\n"
        "words = shlex.split(command)\n"
        "words = words[words.index('biscuit') + 1:]\n"
        f"os.execve({sys.executable!r}, [{sys.executable!r}, '-m', 'onext.biscuit', *words], env)\n"
    )
    (folder / "ssh").chmod(0o755)

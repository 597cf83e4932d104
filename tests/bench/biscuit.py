"""One login: the whole driver process against the bare interpreter, and against a shell script's start.

The shell script stands for the reference's driver without its call of the biscuit CLI: it starts the same
programs in the same order (cat, three times xmllint behind an echo, grep and cut), and checks nothing.
"""

from __future__ import annotations

import py_compile
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import biscuit_auth
from biscuit_auth import BiscuitBuilder, BlockBuilder, KeyPair

RUNS = 50
LISTED = 10_000
DRIVER = Path(__file__).parents[2] / "drivers/auth/biscuit/authenticate"
SHELL = """\
#!/usr/bin/env bash
document=$(cat -)
user=$(echo "$document" | xmllint --xpath '//AUTHN/USERNAME/text()' -)
key=$(echo "$document" | xmllint --xpath '//AUTHN/PASSWORD/text()' -)
secret=$(echo "$document" | xmllint --xpath '//AUTHN/SECRET/text()' -)
inspected="user(\\"$user\\")"
stated=$(echo "$inspected" | grep "user(\\"" | cut -d "\\"" -f 2)
[ -n "$secret" ] && [ "$stated" = "$user" ] && echo "biscuit $user $key"
"""


def main() -> None:
    """Print medians of whole processes, run in turns, and their ratio to the floor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        floor = [sys.executable, "-IS", "-c", "import sys; sys.stdin.buffer.read()"]
        programs: dict[str, Sequence[str]] = {
            "python3 -IS that reads standard input (floor)": floor,
            "authenticate, empty revocation list": [installed(folder / "empty", 0)],
            f"authenticate, {LISTED} revoked": [installed(folder / "full", LISTED)],
        }
        if shutil.which("xmllint"):
            programs["bash and xmllint, without the biscuit CLI"] = [shell_script(folder)]
        else:
            print("xmllint is not here (libxml2-utils): the shell script is left out")
        show(medians(programs, document()))


def show(found: Mapping[str, float]) -> None:
    """Print one line for each program."""
    floor = next(iter(found.values()))
    for name, milliseconds in found.items():
        print(f"{name:<48}{milliseconds:7.1f} ms {milliseconds / floor:6.2f} x")


def medians(programs: Mapping[str, Sequence[str]], data: bytes) -> dict[str, float]:
    """Return the median milliseconds of RUNS runs of each, one after the other in turns."""
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(RUNS):
        for name, command in programs.items():
            started = time.perf_counter()
            subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)
            taken[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def installed(folder: Path, listed: int) -> str:
    """Place the driver as install.sh does, with so many ids in its list, and return its path."""
    folder.mkdir()
    revoked, executable = folder / "biscuit-revoked", folder / "authenticate"
    revoked.write_text("".join(f"{secrets.token_hex(64)}\n" for _ in range(listed)))
    lines = DRIVER.read_text().splitlines(keepends=True)
    lines[0] = f"#!{sys.executable} -IS\n"
    site = str(Path(biscuit_auth.__file__).parents[1])
    text = "".join(lines).replace('SITE_PACKAGES = ""', f"SITE_PACKAGES = {site!r}", 1)
    executable.write_text(text.replace('"/etc/one/onext/biscuit-revoked"', repr(str(revoked)), 1))
    executable.chmod(0o755)
    shutil.copy(DRIVER.with_name("decision.py"), folder)
    py_compile.compile(str(folder / "decision.py"))
    return str(executable)


def shell_script(folder: Path) -> str:
    """Write the stand-in for the reference's driver and return its path."""
    script = folder / "reference"
    script.write_text(SHELL)
    script.chmod(0o755)
    return str(script)


def document() -> bytes:
    """Return what oned writes for a good token of two blocks."""
    root = KeyPair()
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    token = token.append(BlockBuilder("check if time($time), $time <= 2100-01-01T00:00:00Z"))
    key = str(root.public_key).removeprefix("ed25519/")
    return (
        f"<AUTHN>\n  <USERNAME>dann1</USERNAME>\n  <PASSWORD>{key}</PASSWORD>\n"
        f"  <SECRET>{token.to_base64()}</SECRET>\n</AUTHN>"
    ).encode()

"""tests/packages.sh, with an apt-get that is played: what it does where others install, or a mirror is busy."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

SCRIPT = Path(__file__).with_name("packages.sh")
pytestmark = [pytest.mark.process, pytest.mark.skipif(os.geteuid() != 0, reason="it installs for root only")]
# Each line of `answers` is the exit code of one call; after that all goes well and the packages are there.
APT = """#!/bin/sh
echo "$*" >>asked
read code <answers || code=0
sed -i 1d answers
case "$code $*" in "0 "*install*) touch there; [ -x policy ] || exit 9 ;; esac
exit "$code"
"""
TOOLS = {
    "apt-get": APT,
    "dpkg-query": '#!/bin/sh\n[ -e there ] && echo "install ok installed"\n',
    "sleep": "#!/bin/sh\n",
}


def packages(folder: Path, *codes: int) -> tuple[str, list[str]]:
    """Run it where apt-get ends with these codes; return what it says and what apt-get was asked."""
    (folder / "bin").mkdir()
    for name, text in TOOLS.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "answers").write_text("".join(f"{code}\n" for code in codes))
    for kernel in (
        folder / ".cache/lab/vmlinuz",
        folder / ".cache/lab/modules/nf_tables.ko",
        folder / ".cache/lab/watchdog/vmlinuz",
        folder / ".cache/lab/watchdog/watchdog.ko",
    ):
        kernel.parent.mkdir(parents=True, exist_ok=True)
        kernel.write_text("x")
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "POLICY": str(folder / "policy")}
    done = subprocess.run(
        ["sh", SCRIPT], cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert not (folder / "policy").exists()
    asked = (folder / "asked").read_text().splitlines()
    return done.stdout + done.stderr, [
        "install" if " install " in line else line.split()[-1] for line in asked
    ]


@pytest.mark.parametrize(
    ("codes", "asked"),
    [
        ([], ["install"]),
        ([100], ["install", "update", "install"]),
        ([100, 100], ["install", "update", "install"]),
        ([100, 100, 100], ["install", "update", "install", "install"]),
    ],
    ids=["all well", "old lists", "locked lists", "a busy mirror"],
)
def test_it_tries_again(tmp_path: Path, codes: list[int], asked: list[str]) -> None:
    """A machine that updates itself just now, or a mirror that hiccups, would cost the whole laboratory."""
    assert packages(tmp_path, *codes) == ("", asked)


def test_it_gives_up_and_says_what_is_missing(tmp_path: Path) -> None:
    """Without a network the tests would never begin, or nobody would know what was left out."""
    said, asked = packages(tmp_path, *[100] * 30)
    assert asked == ["install", "update", "install"] * 3
    assert said.startswith("could not be installed (.cache/packages.log): openvswitch-switch ")

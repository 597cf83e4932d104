"""What a token may cost, and what the process may not do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BlockBuilder, KeyPair

from tests.waiting import PATIENCE, until

from .conftest import Driver

pytestmark = pytest.mark.process
GUARD = (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT)


def cross_join(root: KeyPair) -> Biscuit:
    """Return a token of about a thousand bytes whose check looks at 40^8 combinations."""
    facts = "".join(f"n({number});" for number in range(40))
    body = ", ".join(f"n($x{number})" for number in range(8))
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    return token.append(BlockBuilder(f"{facts} check if {body}, $x0 + $x1 < 0"))


def wide_rule(root: KeyPair) -> Biscuit:
    """Return a token whose rule makes a hundred million facts in one step."""
    facts = "".join(f"n({number});" for number in range(100))
    body = ", ".join(f"n($x{number})" for number in range(4))
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    return token.append(BlockBuilder(f"{facts} m($x0, $x1, $x2, $x3) <- {body}"))


# A small parent: the kernel counts what a process was before it became the driver, and pytest is large.
MEASURE = """
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(pid, 0)
code = os.waitstatus_to_exitcode(status)
sys.stderr.write(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@pytest.mark.parametrize("bomb", [cross_join, wide_rule])
def test_a_bomb_ends_within_its_second(driver: Driver, root: KeyPair, bomb: object) -> None:
    """Any holder of a token takes the front-end's processors for hours, a slot of the auth manager each."""
    assert callable(bomb)
    document = driver.document("dann1", str(root.public_key), bomb(root).to_base64())
    command = [sys.executable, "-IS", "-c", MEASURE, str(driver.executable)]
    done = subprocess.run(command, input=document, capture_output=True, check=True)
    code, seconds, kilobytes = json.loads(done.stderr.splitlines()[-1])
    assert code in GUARD
    assert done.stdout == b""
    assert seconds < 3
    assert kilobytes < 300 * 1024
    assert not list(driver.executable.parent.glob("core*"))


def test_a_loaded_machine_refuses_nobody(driver: Driver, root: KeyPair) -> None:
    """On a busy front-end good tokens are refused for want of time."""
    spinners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        token = BiscuitBuilder('user("dann1"); check if time($t), $t < 2100-01-01T00:00:00Z').build(
            root.private_key
        )
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: driver.login("dann1", root.public_key, token), range(36)))
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    assert [answer.code for answer in answers] == [0] * 36


def test_limits_of_the_process(driver: Driver) -> None:
    """A crash leaves a core file with a token in it, or a limit is not there."""
    process = subprocess.Popen([driver.executable], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    expected = "Max cpu time 1 2", f"Max data size {256 << 20} {256 << 20}", "Max core file size 1 1"
    try:
        limits = Path(f"/proc/{process.pid}/limits")
        until(lambda: all(limit in " ".join(limits.read_text().split()) for limit in expected), str(expected))
    finally:
        process.communicate()


def test_an_end_even_without_input(driver: Driver) -> None:
    """A driver that waits for ever takes a slot of the auth manager with it; its wait is shortened here."""
    rules = driver.executable.with_name("decision.py")
    text = rules.read_text()
    assert "MAX_WAIT = 60  #" in text
    rules.write_text(text.replace("MAX_WAIT = 60  #", "MAX_WAIT = 1  #"))
    with subprocess.Popen([driver.executable], stdin=subprocess.PIPE) as process:
        assert process.wait(PATIENCE) == -signal.SIGALRM


def test_lower_limits_of_the_service_are_kept(driver: Driver, root: KeyPair) -> None:
    """Under a service that forbids core files (LimitCORE=0) the driver fails instead of starting."""
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    script = 'ulimit -c 0; ulimit -t 1; exec "$0"'
    document = driver.document("dann1", str(root.public_key), token.to_base64())
    done = subprocess.run(
        ["sh", "-c", script, driver.executable], input=document, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_network(driver: Driver, root: KeyPair) -> None:
    """A login depends on a network, or tells one who logs in."""
    without = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*without, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets us make no network namespace")
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    document = driver.document("dann1", str(root.public_key), token.to_base64())
    done = subprocess.run([*without, driver.executable], input=document, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_little_is_loaded(driver: Driver) -> None:
    """The environment of the auth manager, or a heavy module, gets into every login."""
    lines = driver.executable.read_text().splitlines(keepends=True)
    end = next(number for number, line in enumerate(lines) if line.startswith("posix._exit("))
    driver.executable.write_text("".join(lines[:end]) + "print(*sys.modules)\n")
    loaded = set(driver.run(b"").stdout.split())
    assert "biscuit_auth" in loaded
    assert not loaded & {
        "os",
        "site",
        "re",
        "socket",
        "subprocess",
        "xml",
        "logging",
        "json",
        "onext",
        "typing",
    }

"""The `onext` command on a running sandbox, and where parts are missing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures_bundle import Bundle, make_database

pytestmark = pytest.mark.process


def test_help_lists_every_group_without_importing_one() -> None:
    """A workstation without a front-end's libraries must still show the help."""
    program = "import sys; sys.argv=['onext','--help']\nfrom onext.cli.main import cli\ntry: cli()\nexcept SystemExit: pass\n"
    check = "print([m for m in sys.modules if m.split('.')[0] in ('pyone','pydantic','requests','hooks','geoip2')])"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=True)
    for word in ("biscuit", "doctor", "geo", "power", "status", "stop", "targets", "tunnel", "worker"):
        assert word in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_part_that_is_not_here_is_said_in_one_line(tmp_path: Path) -> None:
    """The wheel alone brings no hooks: who asks for them must learn where they come from."""
    (tmp_path / "onext").symlink_to(Path(__file__).parents[3] / "onext")
    program = f"import sys; sys.path[:0]=[{str(tmp_path)!r}]; sys.meta_path=[f for f in sys.meta_path if 'editable' not in repr(f)]\nsys.argv=['onext','geo','show']\nfrom onext.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not installed here" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_shows_worker_queue_and_results(bundle: Bundle, tmp_path: Path) -> None:
    """An administrator sees at a glance whether the bundle does its work."""
    before = json.loads(bundle.onext("status", "--json", check=False).stdout)
    assert before["worker"] is False
    bundle.settings(f"geolocation:\n  database: {make_database(tmp_path / 'c.mmdb')}\n")
    bundle.hook("geolocation")
    bundle.register("geolocation")
    bundle.sandbox.call("one.host.allocate", "node-a1", "dummy", "dummy", 0)
    bundle.sandbox.until(lambda: json.loads(bundle.onext("status", "--json", check=False).stdout)["worker"])
    text = bundle.onext("status").stdout
    assert text.startswith("worker:   runs\n")
    assert "queue:    " in text
    bundle.sandbox.until(lambda: "\noned:     SOLO\n" in bundle.onext("status").stdout)
    bundle.sandbox.control("raft", 2, 1, False)
    waits = "\noned:     FOLLOWER: nothing is changed from here\n"
    bundle.sandbox.until(lambda: waits in bundle.onext("status").stdout)


def test_stop_freezes_and_start_lets_go_on(bundle: Bundle) -> None:
    """The brake must work with oned down too, and be seen."""
    bundle.sandbox.stop()
    bundle.onext("stop", "geolocation")
    assert (bundle.var / "stopped/geolocation").exists()
    text = bundle.onext("status", check=False).stdout
    assert "stopped:  geolocation (`onext start geolocation`)" in text
    assert "oned:     does not answer now" in text
    bundle.onext("start", "geolocation")
    assert "stopped:  nothing" in bundle.onext("status", check=False).stdout


def test_S7_a_round_that_is_overdue_is_shown_first(bundle: Bundle) -> None:
    """Targets are frozen, and status reports them as an hour ago they were."""
    state = bundle.var / "state/results.json"
    now = time.time()
    known = {
        "targets.pool.0": [now - 3600, 1, 1, "9 targets"],
        "power.pool.0": [now - 20, 1, 1, "nothing to do"],
        "geolocation.host.3": [now - 7200, 1, 1, "1.0,2.0"],
    }
    state.write_text(json.dumps(known))
    lines = bundle.onext("status", check=False).stdout.splitlines()
    first = next(line for line in lines if "pool.0" in line or "host.3" in line)
    assert first.startswith("targets.pool.0 ")
    assert re.search(
        r"OVERDUE, no round for 36\d\d s; the last: 9 targets|OVERDUE, no round for 3599 s", first
    )
    rows = json.loads(bundle.onext("status", "--json", check=False).stdout)["results"]
    assert {row["key"] for row in rows if row["overdue"]} == {"targets.pool.0"}
    bundle.onext("stop", "targets")
    assert "OVERDUE" not in bundle.onext("status", check=False).stdout


def test_doctor_names_what_is_wrong(bundle: Bundle) -> None:
    """A wrong key, no worker, no database: each is a line with what to do, and the exit code is not 0."""
    bundle.settings("geolocation:\n  databse: /x\n")
    wrong = bundle.onext("doctor", check=False)
    assert wrong.returncode == 1
    assert "onext.yaml:2: geolocation.databse: unknown key; did you mean 'database'?" in wrong.stdout
    bundle.settings("geolocation:\n  database: /no/such.mmdb\n")
    rows = json.loads(bundle.onext("doctor", "--json", check=False).stdout)
    states = {row["check"]: row["state"] for row in rows}
    assert states["oned"] == "ok"
    assert states["worker"] == "fail"
    assert states["geolocation: database"] == "fail"


def test_doctor_looks_at_a_node(bundle: Bundle) -> None:
    """An administrator asks from the front-end what a node lacks to measure its power."""
    bundle.sandbox.control("node", "node-a1", {"behaves": "ok"})
    asked = bundle.onext("doctor", "--node", "node-a1", check=False)
    assert asked.returncode in (0, 1)
    assert "RAPL" in asked.stdout
    forged = bundle.onext("doctor", "--node", "-oProxyCommand=id", check=False)
    assert forged.returncode == 2
    assert "not a valid host name" in forged.stderr


def test_oned_down_is_one_line(bundle: Bundle) -> None:
    """A person reads a line, not a traceback."""
    bundle.sandbox.stop()
    done = bundle.onext("geo", "show", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("onext: ")
    assert "is opennebula running?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wrong_settings_are_one_line(bundle: Bundle) -> None:
    """Every command that needs the settings says what is wrong with them."""
    bundle.settings("geolocation: 5\n")
    done = bundle.onext("geo", "update", check=False)
    assert done.returncode == 1
    assert "onext.yaml:1: geolocation" in done.stderr
    assert "Traceback" not in done.stderr


def test_C5_with_oned_hung_every_command_ends_and_status_does_not_repeat_old_answers(bundle: Bundle) -> None:
    """Commands took 40 s, and `status` showed the leadership of before as if it were now."""
    bundle.settings("oned:\n  timeout: 2\n")
    bundle.hook("geolocation")
    bundle.sandbox.process.send_signal(signal.SIGSTOP)
    try:
        status = bundle.onext("status", check=False)
        assert "oned:     does not answer now" in status.stdout
        assert "SOLO" not in status.stdout
        rows = json.loads(bundle.onext("doctor", "--local", "--json", check=False).stdout)
        states = {row["check"]: row["state"] for row in rows}
        assert states["oned"] == "fail"
        assert states["settings"] == "ok"
    finally:
        bundle.sandbox.process.send_signal(signal.SIGCONT)


def test_E5_status_reports_invalid_settings(bundle: Bundle) -> None:
    """With an invalid onext.yaml, status exited 0 and did not mention it."""
    bundle.settings("power: 5\n")
    done = bundle.onext("status", check=False)
    assert done.returncode == 1
    assert "onext.yaml:1: power" in done.stdout


def test_C2_a_worker_that_can_write_nothing_still_does_its_work(bundle: Bundle, tmp_path: Path) -> None:
    """A full disk ended the worker, and no host learned where it is until somebody had made room."""
    bundle.settings(f"geolocation:\n  database: {make_database(tmp_path / 'c.mmdb')}\n")
    number = bundle.sandbox.call("one.host.allocate", "node-a1", "dummy", "dummy", 0)
    bundle.sandbox.call("one.host.update", number, 'GEOLOCATION_IP="130.237.28.40"', 1)
    bundle.sandbox.until(lambda: "<STATE>2</STATE>" in bundle.sandbox.call("one.host.info", number))
    limited = subprocess.Popen(
        ["prlimit", "--fsize=0", str(bundle.command), "worker"],  # each write to a file fails
        env=bundle.sandbox.env,
        stderr=subprocess.DEVNULL,
    )
    try:
        bundle.sandbox.until(lambda: bundle.template(number).get("GEOLOCATION") == "59.25,18.0833")
        assert limited.poll() is None
    finally:
        limited.terminate()
        limited.wait(60)


def test_S12_a_worker_that_was_stopped_by_a_signal_is_not_reported_as_running(bundle: Bundle) -> None:
    """It holds its lock and its FIFO: doctor and status were green while nothing was done."""
    bundle.hook("geolocation")
    bundle.register("geolocation")
    bundle.sandbox.call("one.host.allocate", "node-a1", "dummy", "dummy", 0)
    bundle.sandbox.until(lambda: "worker:   runs" in bundle.onext("status", check=False).stdout)
    bundle.kill_worker(signal.SIGSTOP)
    try:
        os.utime(bundle.var / "worker.alive", (time.time() - 60, time.time() - 60))
        status = bundle.onext("status", check=False)
        assert "does not respond since 6" in status.stdout
        assert status.returncode == 1
        rows = json.loads(bundle.onext("doctor", "--local", "--json", check=False).stdout)
        assert next(row for row in rows if row["check"] == "worker")["state"] == "fail"
    finally:
        bundle.kill_worker(signal.SIGCONT)


def test_a_dry_run_changes_nothing(bundle: Bundle) -> None:
    """An administrator asks first, and must not find a part stopped by having asked."""
    assert "would stop power" in bundle.onext("stop", "power", "--dry-run").stdout
    assert "nothing" in bundle.onext("start", "--dry-run").stdout
    assert "targets: everything" in bundle.onext("sync", "--dry-run").stdout
    assert not list((bundle.var / "stopped").iterdir())
    assert not list((bundle.var / "spool/incoming").iterdir())

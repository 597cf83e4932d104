"""The main job on real input: an event of the sandbox's oned ends as GEOLOCATION in the host's template."""

import base64
import random
import socket
import time
from pathlib import Path

import pytest

from tests.fixtures_bundle import Bundle, make_database

pytestmark = pytest.mark.process
STOCKHOLM = "59.25,18.0833"


@pytest.fixture
def geo(bundle: Bundle, tmp_path: Path) -> Bundle:
    bundle.settings(f"geolocation:\n  database: {make_database(tmp_path / 'city.mmdb')}\n")
    bundle.hook("geolocation")
    return bundle


def add_host(geo: Bundle, name: str, address: str = "130.237.28.40") -> int:
    number: int = geo.sandbox.call("one.host.allocate", name, "dummy", "dummy", 0)
    if address:
        geo.sandbox.call("one.host.update", number, f'GEOLOCATION_IP="{address}"', 1)
    geo.sandbox.until(lambda: "<STATE>2</STATE>" in geo.sandbox.call("one.host.info", number))
    return number


def payload(number: int, name: str) -> bytes:
    return base64.b64encode(f"<HOST><ID>{number}</ID><NAME>{name}</NAME><STATE>2</STATE></HOST>".encode())


def waiting(geo: Bundle) -> list[Path]:
    return [file for name in ("incoming", "taken") for file in (geo.var / "spool" / name).glob("geo*")]


def located(geo: Bundle, number: int, value: str = STOCKHOLM) -> None:
    geo.sandbox.until(lambda: geo.template(number).get("GEOLOCATION") == value)


def test_a_hook_that_oned_starts_locates_the_host(geo: Bundle) -> None:
    """A host that is added knows where it is, with nobody doing anything."""
    geo.register("geolocation")
    number = add_host(geo, "node-a1")
    located(geo, number)
    log = geo.location / "var/onext.log"  # written after the template
    geo.sandbox.until(lambda: "geolocation: host 0 (node-a1): 59.25,18.0833" in log.read_text())


@pytest.mark.parametrize("name", ["host-monitored", "host-monitored.with-vms.after-enable"])
def test_recorded_payloads_write_once(geo: Bundle, recordings: Path, name: str) -> None:
    """The payload that a real oned sent ends in the right template; the same again changes nothing."""
    recorded = (recordings / f"hooks/{name}.stdin.b64").read_bytes()
    wanted = int(base64.b64decode(recorded).split(b"<ID>")[1].split(b"<")[0])
    for number in range(wanted + 1):
        add_host(geo, f"node-{number}")
    assert geo.run_hook("geolocation", recorded).returncode == 0
    located(geo, wanted)
    before = geo.sandbox.call("one.host.info", wanted)
    key = f"geolocation.host.{wanted}"
    first = geo.sandbox.until(lambda: geo.results().get(key))["when"]
    time.sleep(1.1)
    assert geo.run_hook("geolocation", recorded).returncode == 0
    geo.sandbox.until(lambda: geo.results()[key]["when"] != first)
    assert "unchanged" in str(geo.results()[key]["result"])
    assert geo.sandbox.call("one.host.info", wanted) == before


def test_a_host_that_is_gone_is_no_failure(geo: Bundle) -> None:
    """Hosts are deleted while their events wait."""
    assert geo.run_hook("geolocation", payload(77, "gone")).returncode == 0
    log = geo.location / "var/onext.log"
    geo.sandbox.until(lambda: "the object is gone: one.host.info" in log.read_text())
    geo.sandbox.until(lambda: not waiting(geo))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"", b"no payload"),
        (b"PEhPU1Q+PElEP", b"cut"),
        (base64.b64encode(b"<HOST><ID>1</ID>"), b"not XML"),
        (
            base64.b64encode(b'<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><HOST><ID>1</ID></HOST>'),
            b"DOCTYPE",
        ),
        (payload(1, "-oProxyCommand=x"), b"no host the name"),
        (payload(1, "a;b"), b"no host the name"),
    ],
)
def test_bad_payloads_end_in_one_line(geo: Bundle, broken: bytes, reason: bytes) -> None:
    """Oned's log of the hook says what was wrong; nothing reaches the spool."""
    done = geo.run_hook("geolocation", broken)
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.decode() in (geo.location / "var/onext.log").read_text()
    assert list((geo.var / "spool/incoming").iterdir()) == []


def test_a_full_disk_is_said(geo: Bundle) -> None:
    """What could not be kept must not be acknowledged."""
    spool = geo.var / "spool/incoming"
    spool.rmdir()
    done = geo.run_hook("geolocation", payload(0, "node"))
    assert done.returncode == 1
    assert b"No such file" in done.stderr


def test_oned_down_is_waited_for(geo: Bundle) -> None:
    """An event that came before oned went down is done when it is back: here, when it answers again."""
    number = add_host(geo, "node-a1")
    geo.sandbox.control("trouble", True, 0.0, "")
    assert geo.run_hook("geolocation", payload(number, "node-a1")).returncode == 0
    geo.sandbox.until(lambda: "nothing is changed" in (geo.location / "var/onext.log").read_text())
    geo.sandbox.control("trouble", False, 0.0, "")
    located(geo, number)


def test_hanging_hosts_hold_no_slot(geo: Bundle, tmp_path: Path) -> None:
    """Sixty hosts that hang in ssh: OpenNebula's own hooks start as if nothing were."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tmp_path / "ssh_config"
        config.write_text(f"Host *\n HostName 127.0.0.1\n Port {silent.getsockname()[1]}\n")
        geo.settings(
            f"geolocation:\n  database: {tmp_path / 'city.mmdb'}\n  ssh_config: {config}\n  ssh_timeout: 60\n"
        )
        geo.register("geolocation")
        mark = tmp_path / "started"
        geo.sandbox.remote("hooks/other", f"#!/bin/sh\ncat >/dev/null; date +%s.%N > {mark}\n")
        geo.sandbox.call(
            "one.hook.allocate",
            "NAME=other TYPE=state RESOURCE=HOST STATE=DISABLED COMMAND=other ARGUMENTS=$TEMPLATE ARGUMENTS_STDIN=yes REMOTE=NO".replace(
                " ", "\n"
            ),
        )
        for number in range(60):
            geo.sandbox.call("one.host.allocate", f"node-{number}", "dummy", "dummy", 0)
        geo.sandbox.until(lambda: "<STATE>2</STATE>" in geo.sandbox.call("one.host.info", 59))
        asked = time.time()
        geo.sandbox.call("one.host.status", 5, 1)
        geo.sandbox.until(mark.exists)
        geo.sandbox.until(geo.worker_pid)
        waited = float(geo.sandbox.until(lambda: mark.read_text().strip())) - asked
        print(f"another hook started after {waited:.2f} s")
        assert waited < 20  # with hooks that wait for ssh it would be six times 60 s
        geo.kill_worker()


def test_acknowledged_events_survive_kills(geo: Bundle) -> None:
    """Kill -9 of the worker at random points: what a hook acknowledged is done, templates old or new."""
    chance = random.Random(1)
    numbers = [add_host(geo, f"node-{number}") for number in range(50)]
    last = add_host(geo, "node-last")
    for number in numbers:
        assert geo.run_hook("geolocation", payload(number, f"node-{number}")).returncode == 0
        time.sleep(chance.uniform(0, 1.2))
        geo.kill_worker()
        value = geo.template(number).get("GEOLOCATION")
        assert value in (None, STOCKHOLM)
    assert geo.run_hook("geolocation", payload(last, "node-last")).returncode == 0
    for number in [*numbers, last]:
        located(geo, number)
    geo.sandbox.until(lambda: not waiting(geo))


def test_show_and_update_by_hand(geo: Bundle) -> None:
    """A person can bring the pool up to date, and see it."""
    one, two = add_host(geo, "node-a1"), add_host(geo, "node-a2", "193.0.6.139, 2001:6b0:1::1")
    geo.sandbox.call("one.host.update", one, 'GEOLOCATION="1,2"', 1)
    done = geo.onext("geo", "update")
    assert "not changed" in done.stdout
    assert geo.template(two)["GEOLOCATION"] == "52.3735,4.8951 59.3333,18.05"
    shown = geo.onext("geo", "show").stdout.splitlines()
    assert shown[0].split() == ["ID", "NAME", "GEOLOCATION", "SOURCE"]
    assert "by hand" in shown[1]
    assert "GEOLOCATION_IP" in shown[2]
    assert geo.onext("geo", "show", "nobody", check=False).returncode == 2

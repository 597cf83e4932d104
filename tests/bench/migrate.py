"""Tunnelled migrations against the reference's steps and against direct ones, in the laboratory, medians of 5.

Set-up and tear-down: the reference's own commands (facts of COGNIT's script: local, then again by ssh on the far end),
with a sudoers entry for `ip address` that it needs. Migrations: OpenNebula's way with and without the driver, over the
same datapath; "stream" is OpenNebula's own migrate inside, "whole" the driver from its start to its end.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.conftest import KERNEL, why_not
from tests.lab.laboratory import Laboratory, Network
from tests.lab.node import DRIVER
from tests.lab.scenario import action_xml
from tests.lab.vm import VM, build_initrd

RUNS = 5
ROOMY = 8 << 20  # bytes
BUFFERS = Path("/proc/sys/net/core/rmem_default")
REFERENCE = """
build() { sudo -n ovs-vsctl add-br onebr9; sudo -n ovs-vsctl add-port onebr9 vx9 -- set interface vx9 type=vxlan options:remote_ip=$2
sudo -n ip link set dev onebr9 mtu 1450; sudo -n ip address add 192.168.69.$1/24 dev onebr9; sudo -n ip link set up onebr9; }
remove() { sudo -n ovs-vsctl del-port onebr9 vx9; sudo -n ovs-vsctl del-br onebr9; }
start=$(date +%s%N)
build 1 10.99.0.2; ssh lab-b "$(declare -f build); build 2 10.99.0.1"
remove; ssh lab-b "$(declare -f remove); remove"
echo $((($(date +%s%N) - start) / 1000000))
"""
OURS = """
import sys, time
sys.path.insert(0, "/var/tmp/one/vmm/kvm")
from onext_migrate import node, settings, tunnel
here, conf = node.node(), settings.parse('DATAPATH="{}"')
start = time.monotonic()
tunnel.open_tunnel("lab-b", "one-1", conf, here.folder, here.uri).close()
print(round((time.monotonic() - start) * 1000))
"""


def main() -> None:
    """Print both tables, or why not."""
    reason = why_not()
    if reason:
        print(f"left out: {reason}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the laboratory is taken down on the way out
    with tempfile.TemporaryDirectory(prefix="onext-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        initrd = build_initrd(folder)
        kernel = Path(shutil.copy(KERNEL, folder))
        for delay in (0, 10_000):
            _set_up(
                Laboratory(folder / f"set-up-{delay}", Network(ovs=True, delay_us=delay), kernel, initrd),
                delay,
            )
        for ovs, delay in ((False, 0), (False, 10_000), (True, 0), (True, 10_000)):
            lab = Laboratory(folder / f"move-{ovs}-{delay}", Network(ovs=ovs, delay_us=delay), kernel, initrd)
            _migrations(lab, "ovs" if ovs else "kernel", delay)
        _migrations(Laboratory(folder / "move-wireguard", Network(), kernel, initrd), "wireguard", 0)
        if not os.access(BUFFERS, os.W_OK):
            print(f"migration, ovs, 8 MiB: left out: {BUFFERS} can be set in the machine's own network only")
            return
        with _receive_buffers(ROOMY):
            _migrations(Laboratory(folder / "move-roomy", Network(ovs=True), kernel, initrd), "ovs, 8 MiB", 0)


@contextmanager
def _receive_buffers(size: int) -> Iterator[None]:
    """Give new sockets, that by which OVS in userspace reads the underlay too, so many bytes.

    With the usual 208 KiB it loses up to a fifth of what comes, of a direct stream as well, and the losses decide.
    """
    before = BUFFERS.read_text()
    BUFFERS.write_text(str(size))
    try:
        yield
    finally:
        BUFFERS.write_text(before)


@contextmanager
def _up(lab: Laboratory) -> Iterator[None]:
    """Bring a laboratory up, and take down what came up of it."""
    try:
        lab.up()
        yield
    finally:
        lab.down()


def _set_up(lab: Laboratory, delay: int) -> None:
    with _up(lab):
        for node in lab.nodes:
            (node.folder / "etc/sudoers.d/reference").write_text(
                "oneadmin ALL=(ALL:ALL) NOPASSWD: /usr/sbin/ip address *\n"
            )
        run: dict[str, Callable[[], float]] = {
            "reference": lambda: _said(lab, "bash", "-c", REFERENCE),
            "kernel": lambda: _said(lab, "python3", "-I", "-S", "-c", OURS.format("kernel")),
            "ovs": lambda: _said(lab, "python3", "-I", "-S", "-c", OURS.format("ovs")),
        }
        medians = _interleaved(run)
    for kind, bound in (("kernel", 0.5), ("ovs", 0.6)):
        ratio = medians[kind] / medians["reference"]
        print(
            f"set-up + tear-down, round trip {delay // 500:2d} ms: {kind:6} {medians[kind]:5.0f} ms,"
            f" reference {medians['reference']:5.0f} ms: {ratio:.2f} x (bound {bound})",
            flush=True,
        )


def _migrations(lab: Laboratory, kind: str, delay: int) -> None:
    with _up(lab):
        if kind == "wireguard":  # it encrypts, most often in user space: no bound
            for node in lab.nodes:
                rules = node.folder / "etc/sudoers.d/onext-migrate"
                shutil.copy(DRIVER / "onext_migrate/sudoers", rules)
                rules.chmod(0o440)
                node.configure(conf='REQUIRE_ENCRYPTION="YES"\n')
        vm = lab.vm("one-1", memory=256, fill=100, dirty=0)
        lab.boot(vm, lab.a)
        streams: list[float] = []
        medians = _interleaved(
            {
                "direct": lambda: _move(lab, vm, "migrate_default", []),
                "whole": lambda: _move(lab, vm, "migrate", streams),
            }
        )
    stream = statistics.median(streams[1:])
    print(
        f"migration, {kind:10}, round trip {delay // 500:2d} ms: direct {medians['direct']:.2f} s, stream in the tunnel"
        f" {stream:.2f} s: {stream / medians['direct']:.2f} x ({'no bound' if kind == 'wireguard' else 'bound 1.15'}); whole driver {medians['whole']:.2f} s:"
        f" {medians['whole'] / medians['direct']:.2f} x",
        flush=True,
    )


def _interleaved(runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the medians; one unmeasured round first, and all kinds in turn, so that a busy minute hits all of them."""
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(RUNS + 1):
        for name, run in runs.items():
            figures[name].append(run())
    return {name: statistics.median(found[1:]) for name, found in figures.items()}


def _said(lab: Laboratory, *words: str) -> float:
    return float(lab.a.run(*words, user="oneadmin").stdout)


def _move(lab: Laboratory, vm: VM, script: str, streams: list[float]) -> float:
    """Migrate there and back; return the mean of the two, in seconds."""
    started = time.monotonic()
    for source, destination in ((lab.a, lab.b), (lab.b, lab.a)):
        words = [f"/var/tmp/one/vmm/kvm/{script}", vm.name, destination.name, source.name, "1"]
        done = source.run(*words, user="oneadmin", stdin=action_xml(vm), timeout=120)
        streams += [float(found) for found in re.findall(r"after ([0-9.]+) s", done.stderr)]
    return (time.monotonic() - started) / 2

"""One migration: OpenNebula's own migrate runs as always, virsh's bulk stream is led through the tunnel."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import List, Optional, Tuple

from . import device, guard, log, outcome, proof, virsh
from . import settings as conf
from .action import Action
from .connect import Tunnel
from .errors import TunnelError
from .place import Node
from .settings import Settings
from .ssh import SSH
from .virsh import Job, State
from .watchdog import ABORT, MEND, Sight, Watchdog

_LOOK = 1.0  # seconds between two looks of the watchdog
_PATIENCE = 60.0  # seconds for OpenNebula's own migrate to end after its job was aborted


def directly(action_xml: bytes, arguments: List[str], here: Node) -> int:
    """Become OpenNebula's own migrate: as if we were not there. Returns only when that cannot be."""
    with tempfile.TemporaryFile() as file:
        file.write(action_xml)
        file.seek(0)
        os.dup2(file.fileno(), 0)
    try:
        os.execv(  # noqa: S606 (no shell is wanted)
            here.stock, [here.stock, *arguments]
        )
    except OSError as error:
        log.error(f"{here.stock}: {error.strerror} (install.sh --check on the front-end)")
    return 1


class Migration:
    """A migration through an open tunnel."""

    def __init__(self, action: Action, settings: Settings, tunnel: Tunnel, here: Node) -> None:
        self._action, self._settings, self._tunnel, self._node = action, settings, tunnel, here
        self._stopped = ""  # why the migration is being ended, "" while it is not
        self._present = here.kvmrc.get("MIGRATE_OPTIONS", os.environ.get("MIGRATE_OPTIONS", ""))
        self._postcopy_after = conf.postcopy_after(settings, self._present)  # 0: not, or not any more

    def run(self) -> int:
        """Run it to its end; return the exit code that tells the truth about the guest."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop("the driver was told to end"))
        sent, started = device.sent_bytes(self._tunnel.name), time.monotonic()
        process = self._start()
        try:
            self._watch(process)
        except BaseException:
            guard.guard(process.pid, self._action.domain, self._node.uri, process.poll)
            raise
        seconds = time.monotonic() - started
        truth = self._settle(process.returncode)
        self._report(process.returncode, truth)
        if truth.migrated:
            self._prove(sent, seconds)
        return truth.exit_code

    def _start(self) -> "subprocess.Popen[bytes]":
        shim = os.path.join(self._node.folder, "bin")
        options = conf.virsh_options(self._settings, self._action.destination, self._present)
        options += ["--migrateuri", self._tunnel.migrate_uri, "--listen-address", self._tunnel.listen_address]
        path = os.pathsep.join([shim, os.environ.get("PATH", "/usr/bin:/bin")])
        environment = dict(
            os.environ,
            PATH=path,
            ONEXT_SHIM=shim,
            ONEXT_DRIVER=str(os.getpid()),
            ONEXT_OPTIONS=" ".join(options),
        )
        with tempfile.TemporaryFile() as file:
            file.write(self._action.xml)
            file.seek(0)
            process = subprocess.Popen(
                [self._node.stock, *list(self._action.arguments)],
                stdin=file,
                env=environment,
                start_new_session=True,
            )
        self._tunnel.near.ask({"do": "guard", "group": process.pid})
        return process

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        watchdog = Watchdog(self._settings.no_progress, self._settings.dead_tunnel)
        end = None
        look = time.monotonic() + _LOOK
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.25)
                return
            now = time.monotonic()
            if now >= look:
                self._look(watchdog)
                look = time.monotonic() + _LOOK
            if self._stopped:
                end = end or now + _PATIENCE
                self._abort(process, now > end)

    def _look(self, watchdog: Watchdog) -> None:
        job = virsh.job(self._action.domain, self._node.uri)
        active = bool(job and job.active)
        self._tunnel.asker.ask()
        answered = bool(self._tunnel.asker.answers(0.1))
        received = device.received_packets(self._tunnel.name)
        figures = (job.processed, job.remaining) if job else None
        verdict = watchdog.look(Sight(time.monotonic(), active, self._postcopy, figures, received, answered))
        if verdict.what == ABORT:
            self._stop(verdict.why)
        elif verdict.what == MEND or self._tunnel.far.gone:
            self._mend(verdict.why)
        elif job and job.active:
            self._hurry(job)

    def _hurry(self, job: Job) -> None:
        """Start post-copy when it is due: libvirt says no before the stream has begun, and is asked again."""
        seconds = self._postcopy_after
        if not seconds or (job.elapsed or 0) < seconds * 1000:
            return
        if virsh.postcopy(self._action.domain, self._node.uri):
            self._postcopy_after = 0
            log.info(f"post-copy after {seconds} s: the guest goes on at {self._action.destination}")

    def _postcopy(self) -> bool:
        """Tell whether the guest may be in post-copy: where libvirt does not say, it may."""
        state = virsh.state(self._action.domain, self._node.uri)
        return state.postcopy or state.name == "unknown"

    def _mend(self, why: str) -> None:
        try:
            self._tunnel.mend(self._node.folder)
        except TunnelError as error:
            log.warning("{}; it cannot be mended: {}".format(why or "the far end is gone", error))

    def _stop(self, why: str) -> None:
        if not self._stopped:
            self._stopped = why
            log.error(f"{why}: the migration is ended, the guest stays on {self._action.source}")

    def _abort(self, process: "subprocess.Popen[bytes]", overdue: bool) -> None:
        domain, uri = self._action.domain, self._node.uri
        if virsh.state(domain, uri).postcopy:
            return
        if overdue:
            guard.stop(process.pid)
            return
        job = virsh.job(domain, uri)
        if job and job.active:
            virsh.abort(domain, uri)

    def _settle(self, stock: int) -> outcome.Outcome:
        """Ask both ends where the guest is until their answers are final."""
        end = time.monotonic() + 30
        while True:
            here, there = self._states()
            truth = outcome.judge(here, there, stock, self._action.source, self._action.destination)
            if truth.remedy == outcome.NOTHING or time.monotonic() > end:
                return truth
            if truth.remedy == outcome.RESUME_THERE:
                self._tunnel.far.ask({"do": "resume", "domain": self._action.domain})
            elif truth.remedy == outcome.RESUME_HERE:
                virsh.resume(self._action.domain, self._node.uri)
            time.sleep(0.3)

    def _states(self) -> Tuple[State, State]:
        domain = self._action.domain
        there = None
        try:
            self._tunnel.far.say({"ask": "state", "domain": domain})
            here = virsh.state(domain, self._node.uri)
            there = State(**self._tunnel.far.hear(20))
        except TunnelError:
            here = virsh.state(domain, self._node.uri)
            there = virsh.state(domain, self._far_uri, 30)
        return here, there

    @property
    def _far_uri(self) -> str:
        return "{}://{}/system".format(
            self._node.kvmrc.get("QEMU_PROTOCOL") or "qemu+ssh", self._action.destination
        )

    def _report(self, stock: int, truth: outcome.Outcome) -> None:
        if truth.exit_code:
            log.error(
                "not migrated: {}{}".format(truth.message, ": " + self._stopped if self._stopped else "")
            )
        elif stock:
            log.warning(f"{truth.message}, though OpenNebula's own migrate ended with {stock}: see above")

    def _prove(self, sent: Optional[int], seconds: float) -> None:
        """Compare what the guest took with what went through the tunnel, and say it."""
        try:
            job = Job(**self._tunnel.far.ask({"ask": "job", "domain": self._action.domain}))
            self._tunnel.near.ask({"do": "account", "bytes": job.processed or 0})
        except TunnelError as error:
            log.warning(f"what went through the tunnel is not proved: {error}")
            return
        after = device.sent_bytes(self._tunnel.name)
        through = None if sent is None or after is None or after < sent else after - sent
        found = proof.prove(through, job.processed)
        (log.info if found.proved else log.error)(found.message)
        downtime = "not told" if job.downtime is None else f"{job.downtime} ms"
        where = self._action.destination
        log.info(f"{self._action.domain} is on {where} after {seconds:.1f} s, down-time {downtime}")


def forward(source: str, command: str, xml: bytes) -> int:
    """Run the migration on the source hypervisor over ssh; its output and exit code are ours."""
    try:
        process = subprocess.Popen([*SSH, "--", source, command], stdin=subprocess.PIPE)
    except OSError as error:
        raise TunnelError(f"ssh: {error}") from error
    process.communicate(xml)
    return process.returncode

"""One migration: OpenNebula's own migrate runs as always, virsh's bulk stream is led through the tunnel."""

import contextlib
import os
import signal
import subprocess
import time
from typing import Optional, Tuple

from . import (
    log,
    net_devices,
    orphan_guard,
    outcome,
    processes,
    traffic_check,
    virsh,
    virsh_options,
    wrapper_files,
)
from . import settings as conf
from .action import Action
from .errors import TunnelError
from .node import Node
from .opennebula_script import payload
from .settings import Settings
from .tunnel import Tunnel
from .virsh import Job, State
from .watchdog import ABORT, REPAIR, Observation, Watchdog
from .wrapper_files import Order, Report

_OBSERVE = 1.0  # seconds between two looks of the watchdog
_PATIENCE = 60.0  # seconds for OpenNebula's own migrate to end after its job was aborted
_PATIENCE_BEFORE = 5.0  # the same without a job: files are copied, or virsh hangs in connecting


class Migration:
    """A migration through an open tunnel."""

    def __init__(self, action: Action, settings: Settings, tunnel: Tunnel, here: Node) -> None:
        self._action, self._settings, self._tunnel, self._node = action, settings, tunnel, here
        self._told = False  # a signal asked for an end
        self._stopped = ""  # why the migration is being ended, "" while it is not
        self._kvmrc = here.kvmrc.get("MIGRATE_OPTIONS", os.environ.get("MIGRATE_OPTIONS", ""))
        self._postcopy_after = conf.postcopy_after(settings, self._kvmrc)  # 0: not, or not any more
        self._folder = ""  # what the driver and the virsh wrapper share
        self._report = Report()
        self._seen_job = self._warned = False
        self._processed = 0  # bytes of the job when it was last seen

    def run(self) -> int:
        """Run it to its end; return the exit code that tells the truth about the VM.

        Raise TunnelError when it could not be started.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._tell_to_end())
        if self._obstacle():
            return 1
        sent, started = net_devices.sent_bytes(self._tunnel.name), time.monotonic()
        process = self._start()
        try:
            self._watch(process)
        except BaseException:
            orphan_guard.guard(process.pid, self._action.domain, self._node.uri, process.poll)
            raise
        if orphan_guard.alive(process.pid):  # OpenNebula's script was killed, and virsh continues without it
            orphan_guard.guard(process.pid, self._action.domain, self._node.uri)
        seconds = time.monotonic() - started
        self._read_report()
        truth = self._settle(process.returncode)
        wrapper_files.remove(self._folder)
        self._log_outcome(process.returncode, truth)
        if truth.migrated:
            self._check_traffic(sent, seconds)
        return truth.exit_code

    def _obstacle(self) -> bool:
        """Log why nothing may be started: OpenNebula's script would remove a VM of this name there."""
        there = self._state_there()
        where = self._action.destination
        if there.name == "unknown":
            log.error(f"libvirt on {where} does not answer: not migrated ({there.reason})")
        elif there.name != "absent":
            log.error(f"{where} has a VM {self._action.domain} already ({there.name}): not migrated")
        return there.name != "absent"

    def _start(self) -> "subprocess.Popen[bytes]":
        shim = os.path.join(self._node.folder, "bin")
        try:
            self._folder = wrapper_files.create(self._order())
            path = os.pathsep.join([shim, os.environ.get("PATH", "/usr/bin:/bin")])
            environment = dict(os.environ, PATH=path, ONEXT_SHIM=shim)
            environment[wrapper_files.VARIABLE] = self._folder
            with payload(self._action.xml) as file:
                process = subprocess.Popen(
                    [self._node.stock, *list(self._action.arguments)],
                    stdin=file,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            wrapper_files.remove(self._folder)
            raise TunnelError(f"{self._node.stock} cannot be started: {error}") from error
        self._tunnel.guard(process.pid)
        return process

    def _order(self) -> Order:
        tunnel, wishes = self._tunnel, conf.wishes(self._settings)
        plain = self._settings.encrypt and not tunnel.encrypted
        ends = virsh_options.Tunnel(
            tunnel.migrate_uri, tunnel.listen_address, self._action.destination, plain
        )
        start = wrapper_files.process_start(os.getpid())
        return Order(os.getpid(), start, self._node.uri, self._action.shared, self._kvmrc, wishes, ends)

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        watchdog = Watchdog(self._settings.no_progress, self._settings.dead_tunnel)
        end = None
        look = time.monotonic() + _OBSERVE
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.25 if self._report.called or not self._settings.guarded else 0.05)
                return
            now = time.monotonic()
            self._check_wrapper(process.pid)
            if now >= look:
                self._observe(watchdog, process.pid)
                look = time.monotonic() + _OBSERVE
            if self._told and not self._stopped:
                self._end_as_told()
            if self._stopped:
                end = end or now + (_PATIENCE if self._seen_job else _PATIENCE_BEFORE)
                self._abort(process, now > end)

    def _check_wrapper(self, process: int) -> None:
        """Notice a script that calls another virsh than the wrapper: it migrates beside the tunnel."""
        if not self._report.called:
            self._read_report()
        if not self._report.called and processes.runs_virsh_migrate(process):
            self._bypassed(process)

    def _bypassed(self, process: int) -> None:
        if self._stopped or self._warned:
            return
        why = "OpenNebula's migrate called another virsh than the driver's wrapper (a PATH in kvmrc?)"
        if self._settings.guarded:
            self._stop(why)
            virsh.abort(self._action.domain, self._node.uri)
            orphan_guard.stop(process)
            return
        self._warned = True
        log.warning(f"{why}: the migration does not use the tunnel")

    def _read_report(self) -> None:
        notes = len(self._report.notes)
        self._report = wrapper_files.read_report(self._folder)
        for note in self._report.notes[notes:]:
            log.warning(note)
        if self._report.called and not self._report.postcopy:
            self._postcopy_after = 0

    def _observe(self, watchdog: Watchdog, process: int) -> None:
        job = virsh.job(self._action.domain, self._node.uri)
        active = bool(job and job.active)
        if active and not self._report.called:
            self._bypassed(process)
        self._seen_job = self._seen_job or active
        self._processed = max(self._processed, job.processed or 0) if job else self._processed
        self._tunnel.keep_alive()
        self._tunnel.prober.ask()
        answered = bool(self._tunnel.prober.answers(0.1))
        received = net_devices.received_packets(self._tunnel.name)
        figures = (job.processed, job.remaining) if job else None
        starting = self._report.called and not self._seen_job
        now = time.monotonic()
        verdict = watchdog.look(
            Observation(now, active, self._postcopy, figures, received, answered, starting=starting)
        )
        if verdict.what == ABORT:
            self._stop(verdict.why)
        elif verdict.what == REPAIR or self._tunnel.near.gone or self._tunnel.far.gone:
            self._repair(verdict.why)
        elif job and job.active:
            self._start_postcopy_when_due(job)

    def _start_postcopy_when_due(self, job: Job) -> None:
        """Start post-copy when it is due: libvirt refuses before the stream has begun, and is asked again."""
        seconds = self._postcopy_after
        if not seconds or (job.elapsed or 0) < seconds * 1000:
            return
        if virsh.postcopy(self._action.domain, self._node.uri):
            self._postcopy_after = 0
            log.info(f"post-copy after {seconds} s: the VM runs on {self._action.destination}")

    def _postcopy(self) -> bool:
        """Tell whether the VM may be in post-copy: when libvirt does not report it, it may."""
        state = virsh.state(self._action.domain, self._node.uri)
        return state.postcopy or state.name == "unknown"

    def _repair(self, why: str) -> None:
        try:
            self._tunnel.repair()
        except TunnelError as error:
            log.warning("{}; it cannot be repaired: {}".format(why or "an end of the tunnel is gone", error))

    def _tell_to_end(self) -> None:
        self._told = True

    def _end_as_told(self) -> None:
        """End the migration, unless the VM has left: then OpenNebula's script has to finish its work."""
        state = virsh.state(self._action.domain, self._node.uri)
        if state.name == "unknown":
            return  # asked again
        if state.name == "absent" or state.postcopy:
            self._told = False
            where = self._action.destination
            log.warning(
                f"terminated, but the VM is already on {where}: OpenNebula's script finishes its work"
            )
            return
        self._stop("the driver was terminated")

    def _stop(self, why: str) -> None:
        if not self._stopped:
            self._stopped = why
            log.error(f"{why}: the migration is ended, the VM stays on {self._action.source}")

    def _abort(self, process: "subprocess.Popen[bytes]", overdue: bool) -> None:
        domain, uri = self._action.domain, self._node.uri
        state = virsh.state(domain, uri)
        if state.postcopy or state.name == "absent":
            return
        if overdue:
            orphan_guard.stop(process.pid)
            return
        job = virsh.job(domain, uri)
        if job and job.active:
            virsh.abort(domain, uri)

    def _settle(self, stock: int) -> outcome.Outcome:
        """Ask both ends where the VM is until their answers are final."""
        run = outcome.Run(
            stock,
            self._action.source,
            self._action.destination,
            local=not self._action.shared,
            snapshots=self._report.snapshots is not False,
        )
        end = time.monotonic() + 30
        while True:
            here, there = self._states()
            truth = outcome.judge(here, there, run)
            postcopy = here.postcopy or there.postcopy
            if truth.remedy == outcome.NOTHING or (time.monotonic() > end and not postcopy):
                return truth
            self._apply(truth.remedy)
            time.sleep(0.3)

    def _apply(self, remedy: str) -> None:
        domain = self._action.domain
        if remedy == outcome.RESUME_THERE:
            with contextlib.suppress(TunnelError):
                self._tunnel.far.ask({"do": "resume", "domain": domain})
        elif remedy == outcome.RESUME_HERE:
            virsh.resume(domain, self._node.uri)
        elif remedy == outcome.REMOVE_HERE:
            source, destination = self._action.source, self._action.destination
            log.warning(f"the VM is on {destination}: what virsh left of it on {source} is removed")
            virsh.destroy(domain, self._node.uri)

    def _states(self) -> Tuple[State, State]:
        with contextlib.suppress(TunnelError):
            self._tunnel.far.send({"ask": "state", "domain": self._action.domain})
            here = virsh.state(self._action.domain, self._node.uri)
            return here, State(**self._tunnel.far.receive(20))
        return virsh.state(self._action.domain, self._node.uri), self._state_there()

    def _state_there(self) -> State:
        """Ask the destination's libvirt, by the tunnel's far end or over ssh."""
        domain = self._action.domain
        with contextlib.suppress(TunnelError):
            found = State(**self._tunnel.far.ask({"ask": "state", "domain": domain}, 25))
            if found.name != "unknown":
                return found
        return virsh.state(domain, self._far_uri, 30)

    @property
    def _far_uri(self) -> str:
        return "{}://{}/system".format(
            self._node.kvmrc.get("QEMU_PROTOCOL") or "qemu+ssh", self._action.destination
        )

    def _log_outcome(self, stock: int, truth: outcome.Outcome) -> None:
        reasons = [one for one in (self._stopped, self._report.refused, self._report.unsettled) if one]
        if truth.exit_code:
            log.error(": ".join([f"not migrated: {truth.message}", *reasons]))
        elif stock:
            log.warning(f"{truth.message}, though OpenNebula's own migrate ended with {stock}: see above")

    def _check_traffic(self, sent: Optional[int], seconds: float) -> None:
        """Compare what the VM took with what went through the tunnel, and log it."""
        job = self._completed_job()
        after = net_devices.sent_bytes(self._tunnel.name)
        through = None if sent is None or after is None or after < sent else after - sent
        if self._report.called:
            found = traffic_check.check_traffic(
                through, job.processed or self._processed, job.processed is not None
            )
            (log.error if found.bypassed else log.info)(found.message)
        else:
            log.error(traffic_check.bypass(traffic_check.megabytes(job.processed or self._processed)))
        log.info(
            f"{self._action.domain} is on {self._action.destination} after {seconds:.1f} s,"
            f" {_downtime(job.downtime, seconds)}"
        )

    def _completed_job(self) -> Job:
        """Return libvirt's figures; the tunnel's ends sum up those of all that share it."""
        try:
            job = Job(**self._tunnel.far.ask({"ask": "job", "domain": self._action.domain}))
            count = job.processed or self._processed
            self._tunnel.near.ask({"do": "account", "bytes": count})
        except (TunnelError, TypeError):
            return Job(active=False)
        return job


def _downtime(milliseconds: Optional[int], seconds: float) -> str:
    """Write libvirt's down-time, which is nonsense where the hosts' clocks differ and it cannot tell."""
    if milliseconds is None or milliseconds > seconds * 1000:
        return "down-time unknown"
    return f"down-time {milliseconds} ms"

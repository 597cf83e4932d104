"""The worker's side: checks the caller, the settings and the right, then runs the command once.

The caller's credential is used for the questions to oned and forgotten before anything begins.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from gateway import credentials
from gateway.actions import commands, ledger
from gateway.actions.commands import Command
from gateway.actions.ledger import Entry, Ledger
from gateway.actions.orders import FRAMES, Frame, Order, name, target
from gateway.actions.rights import Rights
from gateway.callers import Caller
from gateway.refusals import Elsewhere, Forbidden, Invalid, Missing, Refusal, Unavailable
from onext import log, process
from onext.oned.client import Oned, RaftState
from onext.oned.errors import OnedError
from onext.part import Context
from onext.process import CommandError
from onext.unix_service import problem

FILE = "actions.json"  # in the folder of the state
PATH = "/v1/actions"
_ASKING = 3.0  # seconds for another server of the zone
_log = log.get("gateway")
Run = Callable[[Context, Command, str], tuple[bool, list[str]]]


def run(context: Context, command: Command, user: str) -> tuple[bool, list[str]]:
    """Run an `onext` command; return whether it succeeded, and its output lines."""
    argv = [str(context.paths.bin / "onext"), *command.words]
    environment = {**os.environ, "LOGNAME": user}  # commands record who ordered it
    try:
        done = process.run(argv, timeout=command.seconds, check=False, env=environment)
    except CommandError as error:
        return False, [str(error)]
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    return done.exit_code == 0, text.splitlines()


@dataclass
class Desk:
    """Answers the frames of the gateway."""

    context: Callable[[], Context | None]
    ledger: Ledger
    run: Run = run
    threads: list[threading.Thread] = field(default_factory=list)

    def answer(self, data: bytes) -> tuple[int, bytes]:
        """Return status and body; the body of a refusal is a problem, of a redirect the address."""
        try:
            return self._handle(_frame(data))
        except Elsewhere as elsewhere:
            return elsewhere.status, elsewhere.location.encode()
        except Refusal as refusal:
            return refusal.status, problem(str(refusal))
        except OnedError as error:
            _log.warning("an order was not accepted: %s", error)
            return 503, problem("OpenNebula does not answer; try again")
        except OSError as error:
            _log.warning("an order was not accepted: %s", error)
            return 503, problem("the order cannot be recorded")

    def _handle(self, frame: Frame) -> tuple[int, bytes]:
        context = self.context()
        if context is None:
            raise Unavailable("the worker has just started; try again", retry=5)
        receivers = {sink.name: sink.receiver for sink in context.settings.events.sinks if sink.receiver}
        rights = Rights(context.oned, receivers)
        caller = rights.caller(credentials.of_session(frame.credential))
        if not context.oned.raft().acts:
            raise _elsewhere(context, frame.result)
        if frame.result is not None:
            return 200, self._known(caller, frame.result)
        if frame.asked:
            return 200, msgspec.json.encode([_may(context, rights, caller, one) for one in frame.asked])
        if frame.order is None:
            raise Invalid("an order or the id of one is expected")
        require_enabled(context, frame.order)
        rights.demand(caller, frame.order)
        return 202, self._begun(context, caller, frame.order, frame.key or "")

    def _known(self, caller: Caller, number: str) -> bytes:
        found = self.ledger.get(number)
        if found is None or not (caller.administrator or caller.id == found[0]):
            raise Missing("no such order of yours")
        return msgspec.json.encode(found[1])

    def _begun(self, context: Context, caller: Caller, order: Order, key: str) -> bytes:
        command = commands.of(order)
        words = hashlib.sha256(msgspec.json.encode(order)).hexdigest()
        entry = Entry(
            id=ledger.number(), user_id=caller.id, user=caller.name, key=key, words=words,
            action=name(order), target=target(order), began=context.now(),
        )  # fmt: skip
        result, fresh = self.ledger.begin(entry)
        if fresh:
            _log.info("audit: %s of %s by %s (user %d)", entry.action, entry.target, caller.name, caller.id)
            work = threading.Thread(
                target=self._carry_out, args=(context, entry.id, command, caller.name),
                name=f"order-{entry.action}", daemon=True,
            )  # fmt: skip
            self.threads = [one for one in self.threads if one.is_alive()] + [work]
            work.start()
        return msgspec.json.encode(result)

    def _carry_out(self, context: Context, number: str, command: Command, user: str) -> None:
        try:
            done, lines = self.run(context, command, user)
        except Exception as error:  # noqa: BLE001 - the outermost edge of an order
            done, lines = False, [f"a fault of the worker: {type(error).__name__}"]
        self.ledger.end(number, ledger.DONE if done else ledger.FAILED, lines, context.now())


def _may(context: Context, rights: Rights, caller: Caller, order: Order) -> bool:
    """Return whether the caller may give an order now, without starting it."""
    try:
        require_enabled(context, order)
        rights.demand(caller, order)
    except (Forbidden, Missing):
        return False
    return True


def require_enabled(context: Context, order: Order) -> None:
    """Raise Forbidden where the settings do not enable this action, or the gateway is stopped."""
    if name(order) not in context.settings.gateway.actions:
        raise Forbidden(f"{name(order)} is not enabled: `gateway: actions:` of onext.yaml lacks it")
    if context.stopped("gateway"):
        raise Forbidden("orders are refused since `onext stop gateway`")


def _frame(data: bytes) -> Frame:
    try:
        return FRAMES.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Invalid("not a request of the gateway") from None


def _elsewhere(context: Context, number: str | None) -> Refusal:
    """Return where the leader's gateway is, as far as oned and the settings tell."""
    base = context.settings.gateway.servers.get(_leader(context), "")
    if not base:
        return Unavailable("this server does not lead its zone: ask the gateway of the one that does")
    return Elsewhere(f"{base.rstrip('/')}{PATH}" + (f"/{number}" if number else ""))


def _leader(context: Context) -> int:
    """Return the id of the server that leads, -1 where none answers so."""
    oned = context.oned
    number = int(oned.document("system.config").findtext("FEDERATION/ZONE_ID") or 0)
    pool = oned.document("zone.info", number, False)
    for server in pool.iterfind("SERVER_POOL/SERVER"):
        found, endpoint = int(server.findtext("ID", "-1")), server.findtext("ENDPOINT", "")
        if found not in context.settings.gateway.servers or not endpoint:
            continue
        try:
            if Oned(endpoint, oned.session, _ASKING).raft().state is RaftState.LEADER:
                return found
        except (OnedError, ValueError):
            continue
    return -1

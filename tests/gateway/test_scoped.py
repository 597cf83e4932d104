"""Composing scoped tokens: each call is decided on, at the user's expense."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from biscuit_auth import BlockBuilder

from gateway import limits, vouching
from gateway import scoped as module
from gateway.credentials import Credential
from gateway.questions import Answer, Question
from gateway.refusals import Forbidden, TooMany, Unauthorised, Unavailable
from gateway.rpc.table import Call, Resource
from gateway.scoped import Judge, Scopes
from gateway.short_cache import ShortCache
from tests.gateway.test_scoped_tokens import GATEWAY, ONE_VM, STORED
from tests.gateway.test_sessions import Clock


class Asked:
    """Decides as it is told to, and remembers the questions."""

    def __init__(self, answer: Answer, seconds: float = 0.1) -> None:
        self.answer, self.seconds = answer, seconds
        self.questions: list[Question] = []

    def ask(self, question: Question, spent: Callable[[float], None]) -> Answer:
        self.questions.append(question)
        spent(self.seconds)
        return self.answer


def composing(judge: Asked, **keys: str) -> Scopes:
    """Return what composes with a judge."""
    return Scopes("", "", lambda: keys, ShortCache(20.0, 10), cast("Judge", judge))


MOVE = Call("vm:migrate", (Resource("vm", 12), Resource("host", 3)))
INFO = Call("vm:info", (Resource("vm", 12),))
TOKEN = Credential("alice", "token")


def test_every_object_of_every_call_is_decided_on() -> None:
    """A token for one VM would move it to any host."""
    judge = Asked(Answer("composed"))
    scopes = composing(judge, alice="KEY")
    assert asyncio.run(scopes.compose(TOKEN, [MOVE, INFO])) == Credential("alice", "composed")
    facts = (("vm:migrate", "vm", 12), ("vm:migrate", "host", 3), ("vm:info", "vm", 12))
    assert judge.questions == [Question("alice", "token", "KEY", facts)]
    asyncio.run(composing(judge).compose(TOKEN, [INFO]))
    assert judge.questions[1].stored == ""


def test_a_call_that_no_scoped_token_reaches_is_not_decided_on() -> None:
    """A token would give itself more rights."""
    judge = Asked(Answer("composed"))
    never = Call("user:passwd", (), scoped=False)
    for calls in ([never], [INFO, never]):
        with pytest.raises(Forbidden, match="no scoped token reaches"):
            asyncio.run(composing(judge).compose(TOKEN, calls))
    assert judge.questions == []


def test_a_decision_is_remembered_for_the_same_question_only() -> None:
    """A token for one call would serve another; or each request of a page would take a decision."""
    judge = Asked(Answer("composed"))
    keys = {"alice": "KEY"}
    scopes = Scopes("", "", lambda: keys, ShortCache(20.0, 10), cast("Judge", judge))

    async def ask() -> None:
        for calls in ([INFO], [INFO], [MOVE], [MOVE, INFO]):
            await scopes.compose(TOKEN, calls)
        await scopes.compose(Credential("alice", "other"), [INFO])
        keys["alice"] = "NEW"
        await scopes.compose(TOKEN, [INFO])

    asyncio.run(ask())
    assert len(judge.questions) == 5


def test_a_refusal_names_its_kind() -> None:
    """A client would ask for a password where a token lacks a right."""
    with pytest.raises(Forbidden, match="no right"):
        asyncio.run(composing(Asked(Answer(refused="no right"))).compose(TOKEN, [INFO]))
    with pytest.raises(Unauthorised, match="not known"):
        asyncio.run(composing(Asked(Answer(refused="not known", unknown=True))).compose(TOKEN, [INFO]))


class Pipe:
    """The pipe to a process that decides."""

    def __init__(self, answer: object = None) -> None:
        self.answer, self.sent, self.waited = answer, list[object](), list[float]()

    def send(self, question: object) -> None:
        self.sent.append(question)

    def poll(self, seconds: float) -> bool:
        self.waited.append(seconds)
        return self.answer is not None

    def recv(self) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.sent.append("closed")


class Process:
    """A process that decides."""

    def __init__(self) -> None:
        self.alive, self.joined = True, list[float]()

    def is_alive(self) -> bool:
        return self.alive

    def kill(self) -> None:
        self.alive = False

    def join(self, seconds: float) -> None:
        self.joined.append(seconds)


QUESTION = Question("alice", "token", "", ())


def judging(pipe: Pipe, process: Process) -> Judge:
    """Return a judge with a process of the test's."""
    judge = Judge("key")
    judge._pipe, judge._process = pipe, process  # type: ignore[assignment]
    return judge


def test_a_process_that_answers_is_asked_again() -> None:
    """A process for each request would take half a second of each."""
    pipe, process, spent = Pipe(Answer("composed")), Process(), list[float]()
    judge = judging(pipe, process)
    for _ in range(2):
        assert judge.ask(QUESTION, spent.append) == Answer("composed")
    assert pipe.sent == [QUESTION, QUESTION]
    assert pipe.waited == [10.0, 10.0]
    assert len(spent) == 2
    assert all(0.0 <= one < 10.0 for one in spent)


@pytest.mark.parametrize(
    ("answer", "refusal", "reason"),
    [
        (None, Unavailable, "in time"),
        (EOFError(), Forbidden, "takes too long"),
        (OSError(), Forbidden, "takes"),
    ],
)
def test_a_process_that_does_not_answer_is_ended(
    answer: object, refusal: type[Exception], reason: str
) -> None:
    """One token would keep all others waiting, or its answer be taken for that of the next one."""
    pipe, process, spent = Pipe(answer), Process(), list[float]()
    judge = judging(pipe, process)
    with pytest.raises(refusal, match=reason):
        judge.ask(QUESTION, spent.append)
    assert (process.alive, pipe.sent[-1], len(spent)) == (False, "closed", 1)
    assert (judge._process, judge._pipe) == (None, None)
    judge.close()


@pytest.mark.parametrize("alive", [True, False])
def test_a_process_that_ended_or_has_no_pipe_is_replaced(
    alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one process was killed no scoped token would be accepted any more."""
    started: list[tuple[object, ...]] = []

    class Context:
        def Pipe(self) -> tuple[Pipe, Pipe]:
            return Pipe(Answer("new")), Pipe()

        def Process(self, target: object, args: tuple[object, ...], daemon: bool) -> Process:
            assert target is vouching.serve
            started.append((args[1], daemon))
            made = Process()
            made.start = lambda: None  # type: ignore[attr-defined]
            return made

    monkeypatch.setattr(module, "get_context", lambda _kind: Context())
    old = Process()
    old.alive = alive
    judge = judging(Pipe(Answer("old")), old)
    if alive:
        judge._pipe = None
    assert judge.ask(QUESTION, lambda _seconds: None) == Answer("new")
    assert started == [("key", True)]
    assert old.alive is False


def test_a_user_has_a_bounded_time_of_the_process_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant whose token computes for two seconds, again and again, would keep all scoped tokens waiting."""

    class Slow:
        def ask(self, question: Question, spent: Callable[[float], None]) -> Answer:
            spent(3.0)
            return Answer(refused="no", unknown=question.user == "stranger")

    scopes = Scopes("", "", dict, ShortCache(20.0, 10), cast("Judge", Slow()))

    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)

    def ask(user: str, number: int) -> None:
        call = Call("vm:info", (Resource("vm", number),))
        asyncio.run(scopes.compose(Credential(user, "token"), [call]))

    for number in range(2):
        with pytest.raises(Forbidden):
            ask("mallory", number)
    with pytest.raises(TooMany) as found:
        ask("mallory", 2)
    assert found.value.retry == 5.0
    with pytest.raises(Forbidden):
        ask("alice", 2)
    for number in range(5):  # a token that is not the user's costs the user nothing
        with pytest.raises(Unauthorised):
            ask("stranger", number)
    clock.now += 5.0
    with pytest.raises(Forbidden):
        ask("mallory", 3)


def test_what_no_process_decided_on_counts_for_its_user() -> None:
    """A token that ends its process each time would cost its user nothing, and the others all their time."""

    class Ends:
        def ask(self, _question: Question, spent: Callable[[float], None]) -> Answer:
            spent(6.0)
            raise Unavailable("not in time")

    scopes = Scopes("", "", dict, ShortCache(20.0, 10), cast("Judge", Ends()))
    with pytest.raises(Unavailable):
        asyncio.run(scopes.compose(TOKEN, [INFO]))
    with pytest.raises(TooMany):
        asyncio.run(scopes.compose(TOKEN, [INFO]))


@pytest.mark.process
def test_a_token_that_computes_for_too_long_ends_its_own_process_only() -> None:
    """The holder of one token would keep the gateway from serving others."""
    bomb = ONE_VM.append(BlockBuilder(_bomb()))
    judge, spent = Judge(str(GATEWAY.private_key)), list[float]()
    facts = (("vm:info", "vm", 12),)
    try:
        with pytest.raises((Forbidden, Unavailable)):  # its CPU time, or the time of a busy machine
            judge.ask(Question("dann1", bomb.to_base64(), STORED, facts), spent.append)
        assert judge.ask(Question("dann1", ONE_VM.to_base64(), STORED, facts), spent.append).token
        assert len(spent) == 2
    finally:
        judge.close()


def _bomb() -> str:
    """Return facts and a check whose cross join takes hours."""
    facts = "".join(f"n({number});" for number in range(150))
    return f"{facts} check if n($a), n($b), n($c), n($d), n($e), $a + $b + $c + $d + $e < 0;"

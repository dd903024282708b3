"""One call at a time, whoever asks: the queue of turns alone, in the engine, and in front of a model node.

One machine plays all three beside a model of the rules that is as simple as can be.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stage import PATIENCE, Stage, answer

from crunch_game import TrackerBase
from crunch_game.contract import Contract
from crunch_game.crunchdao.client._instance import Node
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests
from crunch_game.crunchdao.protocol import CallResponse, ReplyCode, Status
from crunch_game.hosts import Turns
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.base import Call
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.engine import Exchange, Gone
from crunch_game.models import Submission
from crunch_game.policy import Trigger

METHODS = ("tick", "predict", "describe")
ANSWERED, GONE, NO_ANSWER = "answered", "gone", "no answer"


class Base(TrackerBase):
    def tick(self) -> None: ...

    def predict(self) -> None: ...

    def describe(self) -> None: ...


@dataclass(eq=False)
class Asked:
    """A call, as the machine knows it."""

    method: str
    outcome: str | None = None
    token: Any = field(default=None, repr=False)


def outcome_of(missed: Missed[Any]) -> str:
    return NO_ANSWER if missed.asked else f"busy with {missed.busy_with}"


# Three that take turns. Each knows the calls that have reached the model, in their order, and what came of all.


class Alone:
    """The queue of turns, and nothing else."""

    max_overdue = 1
    misses_at_once = False

    def __init__(self) -> None:
        self.turns: Turns[Asked] = Turns(self.max_overdue)
        self.now = 0.0
        self.at_model: list[Asked] = []
        self.outcomes: dict[Asked, str] = {}
        self.late = 0

    def _tick(self) -> float:
        self.now += 1.0
        return self.now

    def _go_on(self) -> None:
        if (surplus := self.turns.surplus) is not None:
            self.at_model.remove(surplus)
            assert not self.turns.answered(surplus, self.now)
        while (call := self.turns.next(self.now)) is not None:
            self.at_model.append(call)

    def ask(self, call: Asked) -> None:
        if self.turns.add(call, self._tick()):
            self.at_model.append(call)

    def answer(self, call: Asked) -> None:
        self.at_model.remove(call)
        if self.turns.answered(call, self._tick()):
            self.outcomes[call] = ANSWERED
        elif not self.turns.running:
            self.late += 1
        self._go_on()

    def miss(self, call: Asked) -> None:
        self.outcomes[call] = outcome_of(self.turns.expire(call, self._tick()))
        self._go_on()

    def give_up(self, call: Asked) -> None:
        self.turns.expire(call, self._tick())
        self._go_on()

    def end(self) -> None:
        for call in self.turns.end():
            self.outcomes[call] = GONE

    def until(self, look: Any) -> None:
        assert look()

    def close(self) -> None:
        pass


class InTheEngine:
    """A link of the engine: its thread and its sockets are real, the process is not."""

    max_overdue = 0
    misses_at_once = True  # its deadlines are those of its own clock

    def __init__(self) -> None:
        self.stage = Stage()
        self.link, self.channel = self.stage.process()
        self.channel.setblocking(False)
        self.reader = framing.FrameReader()
        self.calls: dict[int, Asked] = {}
        self.at_model: list[Asked] = []

    @property
    def outcomes(self) -> dict[Asked, str]:
        return {
            self.calls[id_]: self._outcome(what)
            for id_, batches in self.stage.batches.items()
            for batch in batches
            for _, what, _ in batch
        }

    @property
    def late(self) -> int:
        return len(self.stage.late_ones)

    def _outcome(self, what: framing.Frame | Missed[Exchange] | Gone) -> str:
        if isinstance(what, framing.Frame):
            return ANSWERED
        return GONE if isinstance(what, Gone) else outcome_of(what)

    def ask(self, call: Asked, timeout: float = 600.0) -> None:
        with self.stage.heard:
            call.token = self.stage.ask([self.link], timeout, method=call.method)
            self.calls[call.token.id] = call

    def answer(self, call: Asked) -> None:
        self.at_model.remove(call)
        self.channel.sendall(answer(framing.VALUE, call.token.id, b"\xc0"))

    def miss(self, call: Asked) -> None:
        self.ask(call, timeout=0.01)

    def give_up(self, call: Asked) -> None:
        self.stage.engine.do(lambda: self.stage.engine.abandon(call.token))

    def end(self) -> None:
        self.channel.close()
        self.stage.until(lambda: self.link in self.stage.gone_with)

    def until(self, look: Any) -> None:
        begun = time.monotonic()
        while not look():
            assert time.monotonic() - begun < PATIENCE, (self.at_model, self.outcomes, self.late)
            try:
                for frame in self.reader.feed(self.channel.recv(1 << 16)):
                    self.at_model.append(self.calls[frame.call])
            except (BlockingIOError, OSError):
                with self.stage.heard:
                    self.stage.heard.wait(0.001)

    def close(self) -> None:
        self.channel.close()
        self.stage.close()


class FakeConnection:
    """A node whose answers are given by the test."""

    def __init__(self) -> None:
        self.requests: list[asyncio.Future[bytes]] = []

    async def request(self, path: str, message: bytes, **_: Any) -> bytes:
        answered = asyncio.get_running_loop().create_future()
        self.requests.append(answered)
        return await answered

    async def close(self) -> None:
        pass


class AtANode:
    """A node, asked over a connection that is not."""

    max_overdue = 4
    misses_at_once = False

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection = FakeConnection()
        self.node = Node(Submission("a", "localhost:1"), self.connection, self)
        self.contract = Contract(Base)
        self.at_model: list[Asked] = []
        self.outcomes: dict[Asked, str] = {}
        self.late = 0
        self.waiting: list[Asked] = []
        self.futures: dict[Asked, asyncio.Future[bytes]] = {}

    def happened(self, instance: Any, event: Trigger, fault: Any) -> None:
        """As the watcher."""
        assert event is Trigger.LATE
        self.late += 1

    def _run(self, function: Any, *args: Any) -> None:
        async def run() -> None:
            function(*args)
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        for future in self.connection.requests:
            call = self.waiting.pop(0)
            self.futures[call] = future
        self.connection.requests.clear()
        self.at_model = [call for call, future in self.futures.items() if not future.done()]
        for call in list(self.calls):
            for _, reply in call.token.round.collected():
                self.outcomes[call] = self._outcome(reply)

    calls: list[Asked]

    def _outcome(self, reply: Any) -> str:
        if reply.event is Trigger.ANSWERED:
            return ANSWERED
        if reply.event is Trigger.DROPPED:
            return GONE
        assert reply.event is Trigger.DEADLINE
        busy = re.match(r"not asked within 1 s: it has been (busy with \w+) for \S+ s$", reply.fault.message)
        assert busy or reply.fault.message == "no answer within 1 s"
        return busy[1] if busy else NO_ANSWER

    def ask(self, call: Asked) -> None:
        if not hasattr(self, "calls"):
            self.calls = []
        made = Call(self.contract.method(call.method), [], {}, 1.0)
        call.token = PendingCall(PendingRound(made, each=True), self.node, Requests(made), None)
        self.calls.append(call)
        self.waiting.append(call)
        self._run(self.node.ask, call.token)

    def answer(self, call: Asked) -> None:
        said = CallResponse(status=Status(code=ReplyCode.SUCCESS)).SerializeToString()
        self._run(self.futures[call].set_result, said)

    def miss(self, call: Asked) -> None:
        if call in self.waiting:
            self.waiting.remove(call)
        self._run(self.node.miss, call.token)

    def give_up(self, call: Asked) -> None:
        if call in self.waiting:
            self.waiting.remove(call)
        self._run(self.node.give_up, call.token)

    def end(self) -> None:
        self._run(self.node.drop)

    def until(self, look: Any) -> None:
        assert look()

    def close(self) -> None:
        self.loop.run_until_complete(self.node.close())
        self.loop.close()


# The rules, as simple as can be.


class TakingTurns(RuleBasedStateMachine):
    """At most one call that somebody waits for is with the model; the rest come in their order."""

    player: type[Alone] | type[InTheEngine] | type[AtANode]

    @initialize()
    def begin(self) -> None:
        self.it = self.player()
        self.queue: list[Asked] = []
        self.running: list[Asked] = []
        self.awaited: set[Asked] = set()
        self.expected: dict[Asked, str] = {}
        self.late = 0
        self.over = False

    def _go_on(self) -> None:
        """Whatever the model is free for is asked."""
        while True:
            if any(call in self.awaited for call in self.running):
                return
            if len(self.running) > self.it.max_overdue:
                if not self.it.max_overdue:
                    return
                del self.running[0]  # its answer is waited for no longer
            if not self.queue:
                return
            self.running.append(self.queue.pop(0))

    def _ask(self, method: str) -> Asked:
        call = Asked(method)
        self.queue.append(call)
        self.awaited.add(call)
        self._go_on()
        return call

    def _expire(self, call: Asked) -> str:
        self.awaited.remove(call)
        if call in self.running:
            return NO_ANSWER
        self.queue.remove(call)
        return f"busy with {self.running[0].method}"

    @rule(method=st.sampled_from(METHODS))
    def ask(self, method: str) -> None:
        if not self.over:
            self.it.ask(self._ask(method))

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.running)
    def answer(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.running))
        self.running.remove(call)
        if call in self.awaited:
            self.awaited.remove(call)
            self.expected[call] = ANSWERED
        elif not self.running:
            self.late += 1
        self._go_on()
        self.it.answer(call)

    @rule(data=st.data(), method=st.sampled_from(METHODS))
    @precondition(lambda self: not self.over and (self.awaited or self.it.misses_at_once))
    def miss(self, data: st.DataObject, method: str) -> None:
        if self.it.misses_at_once:
            call = self._ask(method)
        else:
            call = data.draw(st.sampled_from([*self.running, *self.queue]).filter(self.awaited.__contains__))
        self.expected[call] = self._expire(call)
        self._go_on()
        self.it.miss(call)

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.awaited)
    def give_up(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from([*self.running, *self.queue]).filter(self.awaited.__contains__))
        self._expire(call)
        self._go_on()
        self.it.give_up(call)

    @rule()
    @precondition(lambda self: not self.over and self.expected)
    def end(self) -> None:
        self.over = True
        self.expected.update(dict.fromkeys(self.awaited, GONE))
        self.it.end()

    @invariant()
    def everything_is_as_the_rules_say(self) -> None:
        if hasattr(self, "it"):
            self.it.until(lambda: self.it.outcomes == self.expected and self.it.late == self.late)
            if not self.over:
                self.it.until(lambda: self.it.at_model == self.running)

    def teardown(self) -> None:
        if hasattr(self, "it"):
            self.it.close()


def machine_for(player: type, examples: int) -> type:
    machine = type(f"TakingTurns{player.__name__}", (TakingTurns,), {"player": player})
    machine.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    return machine.TestCase


TestAlone = machine_for(Alone, 150)
TestInTheEngine = machine_for(InTheEngine, 25)
TestAtANode = machine_for(AtANode, 40)


# What a model is busy with when it refuses a call: ours, or somebody else's.


def test_the_sentences_of_a_missed_budget():
    at = Asked("tick")
    assert Missed(True, "tick", 0.5, at).kind_and_reason(0.5) == ("timeout", "no answer within 0.5 s")
    assert Missed(False, "tick", 2.25, at).kind_and_reason(0.5) == (
        "busy",
        "not asked within 0.5 s: it has been busy with tick for 2.25 s",
    )
    assert Missed(False, None, 0.0, None).kind_and_reason(0.5) == (
        "busy",
        "not asked within 0.5 s: its node is busy with somebody else's call",
    )


def test_a_call_refused_while_none_of_ours_runs_is_missed_for_somebody_elses():
    turns, call = Turns[Asked](4), Asked("predict")
    assert turns.add(call, 0.0)
    assert turns.refused(call, 0.1)
    assert not turns.running
    missed = turns.expire(call, 0.2)
    assert missed.by_somebody_else
    assert not missed.asked


def test_a_call_that_somebody_elses_kept_back_is_not_to_blame_for_what_was_left_of_its_budget():
    turns, call = Turns[Asked](4), Asked("predict")
    turns.add(call, 0.0)
    turns.refused(call, 0.9)
    assert turns.next(0.95) is call
    assert turns.expire(call, 1.0).by_somebody_else


def test_a_call_refused_while_an_overdue_one_runs_waits_for_that_one():
    turns, late, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(late, 0.0)
    turns.expire(late, 1.0)
    assert turns.add(call, 2.0)
    assert turns.refused(call, 2.1)
    missed = turns.expire(call, 3.0)
    assert (missed.asked, missed.busy_with, missed.busy_seconds, missed.at) == (False, "tick", 3.0, late)


@pytest.mark.parametrize("late_comes_first", [True, False])
def test_a_late_model_is_never_taken_for_busy_with_somebody_elses_call(late_comes_first):
    """The node is not quite free when our own late answer is here, or refuses us just before."""
    turns, late, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(late, 0.0)
    turns.expire(late, 1.0)
    if late_comes_first:
        turns.answered(late, 2.0)
        turns.add(call, 2.0)
    else:
        turns.add(call, 1.9)
        turns.answered(late, 2.0)
    assert turns.refused(call, 2.01)
    waits = turns.next(2.02)
    assert waits is call
    missed = turns.expire(call, 3.0)
    assert (missed.asked, missed.kind_and_reason(1.0)) == (True, ("timeout", "no answer within 1 s"))


def test_what_had_kept_a_refused_call_back_is_told_though_it_is_over():
    turns, late, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(late, 0.0)
    turns.expire(late, 1.0)
    turns.answered(late, 2.0)
    turns.add(call, 2.0)
    turns.refused(call, 2.01)
    missed = turns.expire(call, 2.02)
    assert (missed.asked, missed.busy_with, missed.at) == (False, "tick", None)


def test_somebody_elses_call_is_noticed_once_our_own_has_been_over_for_a_while():
    turns, first, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(first, 0.0)
    turns.answered(first, 1.0)
    turns.add(call, 1.0)
    assert turns.refused(call, 1.01)
    assert turns.next(1.5) is call
    assert turns.refused(call, 1.51)
    assert turns.expire(call, 2.0).by_somebody_else


def test_a_refused_call_that_nobody_waits_for_is_over():
    turns, call = Turns[Asked](4), Asked("predict")
    turns.add(call, 0.0)
    assert turns.expire(call, 1.0).asked
    assert not turns.refused(call, 1.1)
    assert not turns.running
    assert turns.next(1.2) is None

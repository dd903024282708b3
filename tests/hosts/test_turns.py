"""One call at a time, whoever asks: the queue of turns alone, in the engine, and in front of a model node.

One machine plays all three beside a model of the rules that is as simple as can be.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from stage import PATIENCE, Stage, answer
from taking_turns import ANSWERED, GONE, METHODS, Asked, Outcome, outcome_of, play

from crunch_game.hosts import Turns
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.engine import Exchange, Gone

# Three that take turns. Each knows the calls that have reached the model, in their order, and what came of all.


class Alone:
    """The queue of turns of a node, and nothing else."""

    max_overdue = 1
    takes_several = False

    def __init__(self) -> None:
        self.turns: Turns[Asked] = Turns(self.max_overdue)
        self.now = 0.0
        self.has: list[Asked] = []
        self.outcomes: dict[Asked, Outcome] = {}
        self.late = 0

    @property
    def at_model(self) -> list[Asked]:
        return self.has

    def _go_on(self) -> None:
        if self.max_overdue and (surplus := self.turns.surplus) is not None:
            self.has.remove(surplus)
            assert not self.turns.answered(surplus, self.now)
        while (call := self.turns.next(self.now)) is not None:
            self.has.append(call)

    def ask(self, calls: list[Asked]) -> None:
        self.has += [call for call in calls if self.turns.add(call, self.now)]

    def answer(self, call: Asked, gives_back: bool) -> None:
        elapsed = self.turns.elapsed(call, self.now)
        self.has.remove(call)
        if self.turns.answered(call, self.now):
            self.outcomes[call] = ANSWERED, elapsed
        elif not self.max_overdue or self.turns.oldest is None:
            self.late += 1
        self._go_on()
        if gives_back:
            following = self.turns.given_back(self.now)
            self.has = [following] if following is not None else []

    def wait_until(self, now: float) -> None:
        self.now = now
        if self.turns.deadline <= now:
            call = self.turns.running
            elapsed = self.turns.elapsed(call, now)
            self.outcomes[call] = outcome_of(self.turns.expire(call, now)), elapsed
            self._go_on()

    def give_up(self, calls: list[Asked]) -> None:
        # Else a node would be asked each of them when the one before it is given up.
        for call in reversed(calls) if self.max_overdue else calls:
            self.turns.expire(call, self.now)
            self._go_on()

    def end(self) -> None:
        elapsed = {call: self.turns.elapsed(call, self.now) for call in [self.turns.current, *self.turns.queue]}
        for call in self.turns.end():
            self.outcomes[call] = GONE, elapsed[call]

    def until(self, look: Any) -> None:
        assert look()

    def close(self) -> None:
        pass


class InOrder(Alone):
    """The same of a process, which answers in order and may be handed several at once."""

    max_overdue = 0
    takes_several = True

    @property
    def at_model(self) -> list[Asked]:
        return self.has[:1]

    def ask(self, calls: list[Asked]) -> None:
        if self.turns.add_together(calls, self.now):
            self.has += calls


class InTheEngine:
    """A link of the engine: its thread and its sockets are real, the process and the time are not."""

    max_overdue = 0
    takes_several = True

    def __init__(self) -> None:
        self.now = 0.0
        self.stage = Stage(lambda: self.now)
        self.link, self.channel = self.stage.process()
        self.channel.setblocking(False)
        self.reader = framing.FrameReader()
        self.groups: dict[int, list[Asked]] = {}
        self.calls: dict[int, Asked] = {}
        self.has: list[Asked] = []

    @property
    def at_model(self) -> list[Asked]:
        return self.has[:1]

    @property
    def outcomes(self) -> dict[Asked, Outcome]:
        return {
            self.calls[id_]: (self._outcome(what), elapsed)
            for id_, batches in self.stage.batches.items()
            for batch in batches
            for _, what, elapsed in batch
        }

    @property
    def late(self) -> int:
        return len(self.stage.late_ones)

    def _outcome(self, what: framing.Frame | Missed[Exchange] | Gone) -> str:
        if isinstance(what, framing.Frame):
            return ANSWERED
        return GONE if isinstance(what, Gone) else outcome_of(what)

    def _settle(self) -> None:
        """Wait until the engine has done what it was told."""
        done = threading.Event()
        self.stage.engine.do(done.set)
        assert done.wait(PATIENCE)

    def ask(self, calls: list[Asked]) -> None:
        with self.stage.heard:
            exchanges = self.stage.ask_together([self.link], [(call.method, call.timeout) for call in calls])
            for call, call.token in zip(calls, exchanges, strict=True):
                self.calls[call.token.id] = call
            self.groups[exchanges[0].id] = calls
        self._settle()

    def answer(self, call: Asked, gives_back: bool) -> None:
        del self.has[0]
        said = answer(framing.VALUE, call.token.id, b"\xc0")
        if gives_back:
            said += answer(framing.GIVEN_BACK, self.has[0].token.id, b"\xc0")
            self.has.clear()
        self.channel.sendall(said)

    def wait_until(self, now: float) -> None:
        self._settle()
        self.now = now
        self._settle()

    def give_up(self, calls: list[Asked]) -> None:
        self._settle()
        self.stage.engine.do(lambda: self.stage.engine.abandon([call.token for call in calls]))
        self._settle()  # an answer that comes before that is in time

    def end(self) -> None:
        self._settle()
        self.channel.close()
        self.stage.until(lambda: self.link in self.stage.gone_with)

    def until(self, look: Any) -> None:
        begun = time.monotonic()
        while not self._sees(look):
            assert time.monotonic() - begun < PATIENCE, (self.at_model, self.outcomes, self.late)
            try:
                for frame in self.reader.feed(self.channel.recv(1 << 16)):
                    several = frame.kind == framing.CALLS
                    self.has += self.groups[frame.call] if several else [self.calls[frame.call]]
            except (BlockingIOError, OSError):
                with self.stage.heard:
                    self.stage.heard.wait(0.001)

    def _sees(self, look: Any) -> bool:
        with self.stage.heard:  # the engine's thread must not add to what is looked at
            return bool(look())

    def close(self) -> None:
        self.channel.close()
        self.stage.close()


def test_the_queue_alone_takes_turns_as_the_rules_say():
    play(Alone, 150)


def test_the_queue_of_a_process_takes_turns_as_the_rules_say():
    play(InOrder, 150)


def test_the_engine_takes_turns_as_the_rules_say():
    play(InTheEngine, 25)


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
    assert turns.refused(call)
    assert turns.oldest is None
    missed = turns.expire(call, 0.2)
    assert missed.by_somebody_else
    assert not missed.asked


def test_a_call_that_somebody_elses_kept_back_is_not_to_blame_for_what_was_left_of_its_budget():
    turns, call = Turns[Asked](4), Asked("predict")
    turns.add(call, 0.0)
    turns.refused(call)
    assert turns.next(0.95) is call
    assert turns.expire(call, 1.0).by_somebody_else


def test_a_call_refused_while_an_overdue_one_runs_waits_for_that_one():
    turns, late, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(late, 0.0)
    turns.expire(late, 1.0)
    assert turns.add(call, 2.0)
    assert turns.refused(call)
    missed = turns.expire(call, 3.0)
    assert (missed.asked, missed.busy_with, missed.busy_seconds, missed.at) == (False, "tick", 3.0, late)


def test_a_call_asked_again_while_an_overdue_one_still_runs_was_not_taken_in_time():
    turns, late, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(late, 0.0)
    turns.expire(late, 1.0)
    turns.add(call, 2.0)
    turns.refused(call)
    assert turns.next(2.9) is call
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
    assert turns.refused(call)
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
    turns.refused(call)
    missed = turns.expire(call, 2.02)
    assert (missed.asked, missed.busy_with, missed.at) == (False, "tick", None)


def test_somebody_elses_call_is_noticed_once_our_own_has_been_over_for_a_while():
    turns, first, call = Turns[Asked](4), Asked("tick"), Asked("predict")
    turns.add(first, 0.0)
    turns.answered(first, 1.0)
    turns.add(call, 1.0)
    assert turns.refused(call)
    assert turns.next(1.5) is call
    assert turns.refused(call)
    assert turns.expire(call, 2.0).by_somebody_else


def test_a_refused_call_that_nobody_waits_for_is_over():
    turns, call = Turns[Asked](4), Asked("predict")
    turns.add(call, 0.0)
    assert turns.expire(call, 1.0).asked
    assert not turns.refused(call)
    assert turns.oldest is None
    assert turns.next(1.2) is None


# Calls that a model was handed together, and that are over before it gets to them.


def test_a_model_that_gets_to_a_call_that_is_over_is_busy_with_it_from_then_on():
    turns = Turns[Asked]()
    tick, predict, describe = (Asked(method, timeout=1.0) for method in ("tick", "predict", "describe"))
    assert turns.add_together([tick, predict, describe], 0.0)
    assert turns.expire(tick, 1.0).asked
    assert not turns.expire(predict, 2.0).asked
    assert not turns.answered(tick, 2.5)
    assert turns.next(2.5) is None, "it has begun the one that is over, as it was late to begin with"
    assert turns.oldest is predict
    missed = turns.expire(describe, 3.0)
    assert missed.kind_and_reason(1.0) == ("busy", "not asked within 1 s: it has been busy with predict for 0.5 s")


def test_nothing_can_be_given_back_twice():
    turns = Turns[Asked]()
    tick, predict, describe = (Asked(method) for method in ("tick", "predict", "describe"))
    turns.add_together([tick, predict, describe], 0.0)
    turns.answered(tick, 0.5)
    assert turns.next(0.5) is None, "it has got it"
    assert turns.given_back(0.5) is predict
    with pytest.raises(ValueError, match="it gave back calls that it did not have"):
        turns.given_back(0.6)
    assert turns.answered(predict, 0.7)
    assert turns.next(0.7) is describe


def test_calls_that_wait_behind_an_overdue_one_begin_when_the_one_before_them_is_over():
    turns, late, first, second = Turns[Asked](), *(Asked(method, timeout=1.0) for method in METHODS)
    turns.add(late, 0.0)
    assert turns.deadline == 1.0
    turns.add(first, 0.25)
    assert (turns.deadline, turns.elapsed(first, 0.5)) == (1.0, 0.0)
    turns.expire(late, 1.0)
    turns.add(second, 1.5)
    assert (turns.running, turns.deadline) == (first, 2.0)
    turns.expire(first, 2.0)
    assert (turns.running, turns.deadline, turns.elapsed(second, 2.25)) == (second, 3.0, 0.25)
    turns.answered(late, 2.5)
    assert turns.next(2.5) is second
    assert turns.deadline == 3.0, "it is asked with what is left"
    assert turns.answered(second, 2.75)
    assert turns.deadline == float("inf")

"""The rules by which models take turns, as a machine that plays whatever obeys them: see test_turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crunch_game import TrackerBase
from crunch_game.hosts._turns import Missed

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


class TakingTurns(RuleBasedStateMachine):
    """At most one call that somebody waits for is with the model; the rest come in their order."""

    player: type

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


def play(player: type, percent: int) -> None:
    """Play by the rules, and fail if the player does otherwise."""
    run_state_machine_as_test(
        type(f"TakingTurns{player.__name__}", (TakingTurns,), {"player": player}),
        settings=settings(max_examples=settings().max_examples * percent // 100, stateful_step_count=30),
    )

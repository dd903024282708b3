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
    def tick(self, number: int) -> None: ...

    def predict(self, number: int) -> None: ...

    def describe(self, number: int) -> None: ...


@dataclass(eq=False)
class Asked:
    """A call, as the machine knows it."""

    method: str
    timeout: float = 1.0
    number: int = 0
    token: Any = field(default=None, repr=False)


Outcome = tuple[str, float]
"""What came of a call, and after how many seconds of its budget."""


def outcome_of(missed: Missed[Any]) -> str:
    return NO_ANSWER if missed.asked else f"busy with {missed.busy_with}"


CALLS = st.builds(Asked, st.sampled_from(METHODS), st.sampled_from([1.0, 2.0, 3.0, 5.0]))


class TakingTurns(RuleBasedStateMachine):
    """At most one call that somebody waits for is with the model; the rest come in their order, each in its budget."""

    player: type

    @initialize()
    def begin(self) -> None:
        self.it = self.player()
        self.now = 0.0
        self.since = 0.0
        self.queue: list[Asked] = []
        self.running: list[Asked] = []
        self.handed: list[Asked] = []
        """What the model has got together with what it is at, and has not begun."""
        self.begun = 0.0
        """When it got to what it is at: for a model that has others in hand."""
        self.awaited: set[Asked] = set()
        self.groups: list[list[Asked]] = []
        self.latest: dict[Asked, float] = {}
        """When each call is over at the latest: after the budgets of all that were before it, and its own."""
        self.expected: dict[Asked, Outcome] = {}
        self.late = 0
        self.count = 0
        self.over = False

    def _holder(self) -> Asked | None:
        """The one call whose budget runs."""
        asked = [call for call in self.running if call in self.awaited]
        return (asked or self.queue or [None])[0]

    def _begin_budget(self, before: Asked | None) -> None:
        if self._holder() is not before:
            self.since = self.now

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
            self.begun = self.now

    def _end(self, call: Asked, outcome: str) -> None:
        elapsed = self.now - self.since if call is self._holder() else 0.0
        self.expected[call] = outcome, elapsed
        assert self.now <= self.latest[call], "its turn came too late"

    def _forget(self, call: Asked) -> None:
        self.awaited.remove(call)
        if call in self.queue:
            self.queue.remove(call)

    @rule(calls=st.lists(CALLS, min_size=1, max_size=4))
    def ask(self, calls: list[Asked]) -> None:
        if self.over:
            return
        before = self._holder()
        is_free = before is None and len(self.running) <= self.it.max_overdue
        end = self.now if before is None else self.since + before.timeout
        end += sum(call.timeout for call in self.queue if call is not before)
        for call in calls:
            self.count += 1
            call.number = self.count
            end += call.timeout
            self.latest[call] = end
        self.queue += calls
        self.awaited |= set(calls)
        self.groups.append(list(calls))
        self._go_on()
        self._begin_budget(before)
        if is_free and self.it.takes_several:
            self.handed = calls[1:]
        self.it.ask(calls)

    @rule(data=st.data(), works_on=st.booleans())
    @precondition(lambda self: not self.over and self.running)
    def answer(self, data: st.DataObject, works_on: bool) -> None:
        call = data.draw(st.sampled_from(self.running))
        before = self._holder()
        if call in self.awaited:
            self._end(call, ANSWERED)
            self.awaited.remove(call)
        elif self.it.max_overdue == 0 or self.running == [call]:
            self.late += 1
        self.running.remove(call)
        gives_back = bool(self.handed) and self.now - self.begun > call.timeout and not works_on
        if gives_back:
            self.handed = []
        elif self.handed:  # which a model may do that began later than the coordinator thinks
            following = self.handed.pop(0)
            self.running.append(following)
            self.begun = self.now
            if following in self.queue:
                self.queue.remove(following)
        self._go_on()
        self._begin_budget(before)
        self.it.answer(call, gives_back)

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0]))
    @precondition(lambda self: not self.over)
    def wait(self, seconds: float) -> None:
        holder = self._holder()
        if holder is None or self.since + holder.timeout > self.now + seconds:
            self.now += seconds
        else:
            self.now = self.since + holder.timeout
            busy = f"busy with {self.running[0].method}" if self.running else ""
            self._end(holder, NO_ANSWER if holder in self.running else busy)
            self._forget(holder)
            self._go_on()
            self._begin_budget(holder)
        self.it.wait_until(self.now)

    @rule(data=st.data())
    @precondition(lambda self: not self.over and self.awaited)
    def give_up(self, data: st.DataObject) -> None:
        """What was asked together is given up together."""
        groups = [[call for call in group if call in self.awaited] for group in self.groups]
        group = data.draw(st.sampled_from([group for group in groups if group]))
        before = self._holder()
        for call in group:
            self._forget(call)
        self._go_on()
        self._begin_budget(before)
        self.it.give_up(group)

    @rule()
    @precondition(lambda self: not self.over and self.expected)
    def end(self) -> None:
        self.over = True
        for call in self.awaited:
            self._end(call, GONE)
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

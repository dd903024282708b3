"""The table that decides what happens to a model, against DESIGN's section 5 in plain words."""

from __future__ import annotations

import ast
import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import crunch_game
from crunch_game.errors import GameError
from crunch_game.outcomes import Kind, Status
from crunch_game.policy import (
    TABLE,
    Health,
    Policy,
    State,
    Step,
    Strikes,
    Trigger,
    is_field_fault,
    reached,
    restart_delay,
)

PLAYING = {State.READY, State.BUSY}
WAITING = {State.JOINING, State.RESTARTING}
ENDED = {State.FAILED, State.STOPPED}
CALL_EVENTS = {
    Trigger.ASKED,
    Trigger.ANSWERED,
    Trigger.INVALID,
    Trigger.RAISED,
    Trigger.UNSUPPORTED,
    Trigger.DEADLINE,
    Trigger.DIED,
    Trigger.DROPPED,
    Trigger.UNREACHED,
    Trigger.LOST,
}
ANSWERS = {
    Trigger.ANSWERED: Status.OK,
    Trigger.INVALID: Status.INVALID,
    Trigger.RAISED: Status.RAISED,
    Trigger.UNSUPPORTED: Status.UNSUPPORTED,
    Trigger.DEADLINE: Status.TIMEOUT,
    Trigger.DIED: Status.DIED,
    Trigger.LOST: Status.UNREACHABLE,
    Trigger.DROPPED: Status.SKIPPED,
    Trigger.UNREACHED: Status.UNREACHABLE,
}
READY = Health(State.READY, loaded=0.0)


def count(health: Health, method: str, kind: Kind, now: float = 0.0) -> Health:
    """The end of a round, in which a call of the method counts as that."""
    health, _ = health.after(Trigger.COUNTED, now, strikes=health.counted(method, kind))
    return health


def take(health: Health, method: str, event: Trigger, policy: Policy, now: float = 0.0) -> tuple[Health, Step]:
    """One call's end, as a round takes it: the step, its strike, and the stop when that was one too many."""
    health, step = health.after(event, now, str(event))
    health = count(health, method, step.strike, now)
    over = health.over(method, policy)
    if over is not None:
        health, _ = health.after(Trigger.STOP, now, over)
    return health, step


class Plainly:
    """Section 5 in plain words: what an operator would keep on paper for one model."""

    def __init__(self, most_failures: int, most_timeouts: int) -> None:
        self.most = {"failures": most_failures, "timeouts": most_timeouts}
        self.paper: dict[tuple[str, str], int] = {}
        self.where = "loading"
        self.died = 0
        self.ready_at: float | None = None

    def ready(self, now: float) -> None:
        self.where = "playing"
        self.ready_at = now

    def success(self, method: str) -> None:
        self.paper.pop((method, "failures"), None)
        self.paper.pop((method, "timeouts"), None)

    def strike(self, method: str, what: str) -> None:
        self.paper[method, what] = self.paper.get((method, what), 0) + 1
        if self.most[what] != 0 and self.paper[method, what] == self.most[what]:
            self.where = "out"

    def restart(self, now: float) -> None:
        self.where = "restarting"
        lived_long = self.ready_at is not None and now - self.ready_at >= 60
        self.died = 1 if lived_long else self.died + 1

    def afresh(self) -> None:
        self.paper.clear()
        self.where = "loading"
        self.died = 0
        self.ready_at = None


WHERE = {
    State.JOINING: "loading",
    State.READY: "playing",
    State.BUSY: "playing",
    State.RESTARTING: "restarting",
    State.UNREACHABLE: "lost",
    State.FAILED: "failed",
    State.STOPPED: "out",
    State.LEFT: "left",
}
methods = st.sampled_from(["tick", "predict", "settle"])


class OneModel(RuleBasedStateMachine):
    """Whatever happens to one model, in whatever order, the health is what is on the paper."""

    @initialize(failures=st.integers(0, 4), timeouts=st.integers(0, 4))
    def join(self, failures: int, timeouts: int) -> None:
        self.policy = Policy(max_consecutive_failures=failures, max_consecutive_timeouts=timeouts)
        self.paper = Plainly(failures, timeouts)
        self.now = 0.0
        self.health = Health(since=self.now)

    def happens(self, event: Trigger, reason: str | None = None) -> Step:
        self.health, step = self.health.after(event, self.now, reason)
        return step

    def ends(self, method: str, event: Trigger) -> Status | None:
        self.health, step = take(self.health, method, event, self.policy, self.now)
        return step.status

    @rule(seconds=st.sampled_from([0.0, 0.3, 59.0, 60.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.paper.where in ("loading", "restarting", "playing", "lost"))
    @rule()
    def a_fresh_instance_of_its_code_takes_over(self) -> None:
        self.happens(Trigger.LOADED)
        self.paper.ready(self.now)

    @precondition(lambda self: self.paper.where != "left")
    @rule()
    def new_code_takes_over(self) -> None:
        self.happens(Trigger.REDEPLOYED)
        self.paper.afresh()
        self.paper.ready(self.now)

    @precondition(lambda self: self.paper.where not in ("left", "failed", "out"))
    @rule(method=methods, kind=st.sampled_from(["failure", "timeout"]))
    def a_fresh_instance_brings_the_strikes_of_its_on_join(self, method: str, kind: Kind) -> None:
        what = f"{kind}s"
        if self.paper.most[what] and self.paper.paper.get((method, what), 0) + 1 >= self.paper.most[what]:
            return  # who reaches a limit in its on_join never takes over
        self.health, _ = self.health.after(Trigger.LOADED, self.now, strikes=self.health.counted(method, kind))
        self.paper.ready(self.now)
        self.paper.paper[method, what] = self.paper.paper.get((method, what), 0) + 1

    @precondition(lambda self: self.health.state is State.BUSY)
    @rule()
    def the_call_is_not_sent_after_all(self) -> None:
        assert self.happens(Trigger.WITHDRAWN) == Step(None, "none", State.READY)

    @precondition(lambda self: self.paper.where in ("loading", "restarting"))
    @rule()
    def it_does_not_load(self) -> None:
        assert self.happens(Trigger.LOAD_FAILED, "no such module") == Step(None, "none", State.FAILED)
        self.paper.where = "failed"
        assert self.health.reason == "no such module"

    @precondition(lambda self: self.paper.where == "playing")
    @rule()
    def it_is_asked(self) -> None:
        assert self.happens(Trigger.ASKED) == Step(None, "none", State.BUSY)

    @precondition(lambda self: self.paper.where not in ("playing", "left"))
    @rule()
    def it_cannot_be_asked(self) -> None:
        lost = self.paper.where == "lost"
        assert self.happens(Trigger.ASKED).status is (Status.UNREACHABLE if lost else Status.SKIPPED)

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def it_succeeds(self, method: str) -> None:
        assert self.ends(method, Trigger.ANSWERED) is Status.OK
        self.paper.success(method)

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods, event=st.sampled_from([Trigger.RAISED, Trigger.INVALID]))
    def it_fails(self, method: str, event: Trigger) -> None:
        assert self.ends(method, event) is ANSWERS[event]
        self.paper.strike(method, "failures")

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def it_is_too_late(self, method: str) -> None:
        assert self.ends(method, Trigger.DEADLINE) is Status.TIMEOUT
        self.paper.strike(method, "timeouts")

    @rule()
    def its_late_answer_comes(self) -> None:
        assert self.happens(Trigger.LATE).status is None

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def it_dies_in_a_call(self, method: str) -> None:
        assert self.ends(method, Trigger.DIED) is Status.DIED
        self.paper.restart(self.now)
        self.paper.strike(method, "failures")

    @precondition(lambda self: self.paper.where == "playing")
    @rule()
    def it_dies_between_calls(self) -> None:
        self.happens(Trigger.DIED)
        self.paper.restart(self.now)

    @precondition(lambda self: self.paper.where == "playing")
    @rule()
    def it_is_restarted(self) -> None:
        self.happens(Trigger.RESTART)
        self.paper.restart(self.now)

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def it_does_not_know_the_method(self, method: str) -> None:
        assert self.ends(method, Trigger.UNSUPPORTED) is Status.UNSUPPORTED

    @precondition(lambda self: self.paper.where != "left")
    @rule(method=methods)
    def the_call_never_reached_it(self, method: str) -> None:
        lost = self.paper.where == "lost"
        assert self.ends(method, Trigger.DROPPED) is (Status.UNREACHABLE if lost else Status.SKIPPED)

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def its_connection_is_lost(self, method: str) -> None:
        assert self.ends(method, Trigger.LOST) is Status.UNREACHABLE
        self.paper.where = "lost"

    @precondition(lambda self: self.paper.where == "playing")
    @rule(method=methods)
    def the_call_or_its_answer_got_lost(self, method: str) -> None:
        assert self.ends(method, Trigger.UNREACHED) is Status.UNREACHABLE

    @precondition(lambda self: self.paper.where in ("playing", "lost"))
    @rule()
    def its_node_has_forgotten_it(self) -> None:
        assert self.happens(Trigger.FORGOTTEN).status is None
        self.paper.restart(self.now)

    @precondition(lambda self: self.paper.where == "lost")
    @rule()
    def its_connection_is_back(self) -> None:
        self.happens(Trigger.FOUND)
        self.paper.where = "playing"

    @precondition(lambda self: self.paper.where == "lost")
    @rule()
    def its_connection_stays_away(self) -> None:
        self.happens(Trigger.GIVEN_UP, "unreachable for 60 s")
        self.paper.where = "out"

    @precondition(lambda self: self.paper.where not in ("playing", "left"))
    @rule(method=methods, event=st.sampled_from(sorted(set(ANSWERS) - {Trigger.DIED, Trigger.LOST})))
    def what_it_did_before_it_went_away_counts_for_nothing(self, method: str, event: Trigger) -> None:
        before = self.health.strikes
        lost = self.paper.where == "lost"
        assert self.ends(method, event) is (Status.UNREACHABLE if lost else Status.SKIPPED)
        assert self.health.strikes == before

    @precondition(lambda self: self.paper.where != "left")
    @rule()
    def the_author_stops_it(self) -> None:
        self.happens(Trigger.STOP, "it spoils the game")
        self.paper.where = "out"

    @precondition(lambda self: self.paper.where != "left")
    @rule()
    def it_is_readmitted(self) -> None:
        self.happens(Trigger.READMIT)
        self.paper.afresh()

    @rule()
    @precondition(lambda self: self.now > 100)
    def it_leaves(self) -> None:
        self.happens(Trigger.LEAVE)
        self.paper.where = "left"

    @precondition(lambda self: self.paper.where == "left")
    @rule(event=st.sampled_from(Trigger))
    def nothing_brings_it_back(self, event: Trigger) -> None:
        before = self.health
        step = self.happens(event)
        assert (step.strike, step.state) == ("none", State.LEFT)
        assert self.health is before

    @invariant()
    def the_health_is_what_is_on_the_paper(self) -> None:
        if not hasattr(self, "paper"):
            return
        assert WHERE[self.health.state] == self.paper.where
        counted = {
            (method, what): count
            for method, strikes in self.health.strikes.items()
            for what, count in (("failures", strikes.failures), ("timeouts", strikes.timeouts))
            if count
        }
        assert counted == self.paper.paper
        assert self.health.deaths == self.paper.died
        assert self.health.since <= self.now

    @invariant()
    def who_plays_has_no_reason_not_to(self) -> None:
        if hasattr(self, "paper") and self.paper.where in ("playing", "loading"):
            assert self.health.reason is None


TestOneModel = OneModel.TestCase
TestOneModel.settings = settings(max_examples=3 * settings().max_examples, stateful_step_count=60)


# Strikes.


@pytest.mark.parametrize("event", [Trigger.RAISED, Trigger.INVALID, Trigger.DIED])
@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_exactly_the_limits_failure_stops_a_model(event, limit):
    policy = Policy(max_consecutive_failures=limit)
    health = READY
    for _ in range(limit - 1):
        health, _ = take(health, "predict", event, policy)
        assert health.state is not State.STOPPED
        if health.state is State.RESTARTING:
            health, _ = health.after(Trigger.LOADED, 0.0)
    health, step = take(health, "predict", event, policy)
    assert health.state is State.STOPPED
    assert step.strike == "failure"  # the last call still has the outcome that it earned
    failures = "1 failure" if limit == 1 else f"{limit} failures"
    assert health.reason == f"{failures} of predict in a row (the limit is {limit})"


def test_exactly_the_third_timeout_stops_a_model():
    policy = Policy(max_consecutive_failures=0)
    health = READY
    states = []
    for _ in range(3):
        health, _ = take(health, "predict", Trigger.DEADLINE, policy)
        states.append(health.state)
    assert states == [State.READY, State.READY, State.STOPPED]
    assert health.reason == "3 timeouts of predict in a row (the limit is 3)"


@pytest.mark.parametrize("event", [Trigger.RAISED, Trigger.DEADLINE])
def test_a_limit_of_zero_is_none(event):
    policy = Policy(max_consecutive_failures=0, max_consecutive_timeouts=0)
    health = READY
    for _ in range(1000):
        health, _ = take(health, "predict", event, policy)
    assert health.state is State.READY


def test_failures_and_timeouts_have_limits_of_their_own():
    health = READY
    for event in (Trigger.RAISED, Trigger.DEADLINE, Trigger.RAISED, Trigger.DEADLINE):
        health, _ = take(health, "predict", event, Policy())
    assert health.state is State.READY
    assert health.strikes == {"predict": Strikes(failures=2, timeouts=2)}


def test_a_tick_that_succeeds_does_not_save_a_predict_that_fails():
    health = READY
    for _ in range(3):
        health, _ = take(health, "tick", Trigger.ANSWERED, Policy())
        health, _ = take(health, "predict", Trigger.RAISED, Policy())
    assert health.state is State.STOPPED


def test_a_success_in_between_does():
    health = READY
    for _ in range(50):
        for event in (Trigger.RAISED, Trigger.DEADLINE, Trigger.RAISED, Trigger.DEADLINE, Trigger.ANSWERED):
            health, _ = take(health, "predict", event, Policy())
    assert health.state is State.READY
    assert health.strikes == {}


@pytest.mark.parametrize("event", [Trigger.UNSUPPORTED, Trigger.DROPPED, Trigger.UNREACHED])
def test_what_does_not_count_neither_adds_nor_clears_strikes(event):
    health = count(count(READY, "predict", "failure"), "predict", "timeout")
    after, step = take(health, "predict", event, Policy())
    assert step.strike == "none"
    assert after.strikes == health.strikes


def test_a_lost_connection_is_no_strike():
    health, step = take(READY, "predict", Trigger.LOST, Policy(max_consecutive_failures=1, max_consecutive_timeouts=1))
    assert step == Step(Status.UNREACHABLE, "none", State.UNREACHABLE)
    assert health.strikes == {}


def test_strikes_survive_a_death_and_a_restart():
    health = count(count(READY, "predict", "failure"), "tick", "timeout")
    for event in (Trigger.DIED, Trigger.LOADED, Trigger.RESTART, Trigger.LOADED):
        health, _ = health.after(event, 1.0)
    assert health.strikes == {"predict": Strikes(failures=1), "tick": Strikes(timeouts=1)}


@pytest.mark.parametrize("state", [state for state in State if state is not State.LEFT])
def test_readmitting_clears_everything_wherever_the_model_stood(state):
    health = Health(state, 1.0, {"predict": Strikes(3, 2)}, "why", deaths=4, loaded=0.5, strike_epoch=7)
    after, step = health.after(Trigger.READMIT, 9.0)
    assert after == Health(State.JOINING, since=9.0, strike_epoch=8)
    assert step == Step(None, "none", State.JOINING)


@pytest.mark.parametrize("state", [state for state in State if state is not State.LEFT])
def test_new_code_begins_with_its_own_strikes_wherever_the_old_stood(state):
    health = Health(state, 1.0, {"predict": Strikes(3, 2)}, "why", deaths=4, loaded=0.5, strike_epoch=7)
    for own in (None, {"tick": Strikes(1, 0)}):
        after, step = health.after(Trigger.REDEPLOYED, 9.0, strikes=own)
        assert after == Health(State.READY, since=9.0, strikes=own or {}, loaded=9.0, strike_epoch=8)
        assert step == Step(None, "none", State.READY)


def test_a_fresh_instance_of_the_same_code_goes_on_with_the_strikes_and_the_deaths():
    health = Health(State.RESTARTING, 1.0, {"predict": Strikes(1, 1)}, "why", deaths=4, loaded=0.5, strike_epoch=7)
    after, _ = health.after(Trigger.LOADED, 9.0)
    assert after == Health(State.READY, 9.0, {"predict": Strikes(1, 1)}, None, 4, 9.0, strike_epoch=7)
    after, _ = health.after(Trigger.LOADED, 9.0, strikes={})
    assert after.strikes == {}


def test_counting_returns_new_strikes_and_leaves_the_old():
    health = count(READY, "predict", "failure")
    health.counted("predict", "failure")
    assert health.strikes == {"predict": Strikes(failures=1)}
    assert health.counted("tick", "success") is health.strikes
    assert health.counted("predict", "none") is health.strikes


def test_counting_moves_no_model_and_no_clock():
    for state in set(State) - {State.LEFT}:
        health = Health(state, 1.0, reason="why", deaths=2, loaded=0.5, strike_epoch=3)
        assert count(health, "tick", "timeout", now=9.0) == Health(
            state, 1.0, {"tick": Strikes(timeouts=1)}, "why", 2, 0.5, 3
        )


@given(st.lists(st.tuples(methods, st.sampled_from(["success", "failure", "timeout", "none"])), max_size=60))
def test_strikes_of_a_method_are_those_since_its_last_success(history):
    health = READY
    for method, kind in history:
        health = count(health, method, kind)
    for method in ("tick", "predict", "settle"):
        own = [kind for name, kind in history if name == method]
        since = own[len(own) - own[::-1].index("success") :] if "success" in own else own
        expected = Strikes(since.count("failure"), since.count("timeout"))
        assert health.strikes.get(method, Strikes()) == expected


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_over_says_so_from_the_limit_on(failures, timeouts, most_failures, most_timeouts):
    policy = Policy(max_consecutive_failures=most_failures, max_consecutive_timeouts=most_timeouts)
    health = Health(strikes={"predict": Strikes(failures, timeouts)})
    too_many = (most_failures and failures >= most_failures) or (most_timeouts and timeouts >= most_timeouts)
    assert (health.over("predict", policy) is not None) == bool(too_many)
    assert health.over("tick", policy) is None


# Deaths.


def test_the_first_death_is_restarted_at_once_then_later_and_later_up_to_a_minute():
    assert [restart_delay(deaths) for deaths in range(6)] == [0.0, 0.0, 0.2, 0.4, 0.8, 1.6]
    assert restart_delay(10) == pytest.approx(51.2)
    assert [restart_delay(deaths) for deaths in (11, 12, 1000, 10**9)] == [60.0] * 4


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_delay_never_shrinks_and_never_exceeds_a_minute(one, other):
    first, second = sorted((one, other))
    assert 0.0 <= restart_delay(first) <= restart_delay(second) <= 60.0


def test_a_steady_minute_makes_the_next_death_the_first_again():
    health = Health()
    for death in (1, 2, 3):
        health, _ = health.after(Trigger.LOADED, 100.0 * death)
        health, _ = health.after(Trigger.DIED, 100.0 * death + 59.9)
        assert health.deaths == death
    health, _ = health.after(Trigger.LOADED, 1000.0)
    health, _ = health.after(Trigger.DIED, 1060.0)
    assert health.deaths == 1


def test_a_restart_after_a_timeout_waits_like_one_after_a_death():
    health, _ = READY.after(Trigger.RESTART, 1.0)
    health, _ = health.after(Trigger.LOADED, 1.0)
    health, _ = health.after(Trigger.RESTART, 2.0)
    assert health.deaths == 2


# The table.


def test_what_is_out_of_the_game_stays_out_and_what_it_still_answers_is_nobodys_strike():
    after = {event: step for (state, event), step in TABLE.items() if state is State.LEFT}
    assert set(after) == set(ANSWERS)
    assert {(step.strike, step.state) for step in after.values()} == {("none", State.LEFT)}
    for event in (Trigger.ANSWERED, Trigger.INVALID, Trigger.RAISED, Trigger.UNSUPPORTED, Trigger.UNREACHED):
        assert after[event].status is ANSWERS[event]
    for event in (Trigger.DEADLINE, Trigger.DIED, Trigger.DROPPED, Trigger.LOST):
        assert after[event].status is Status.SKIPPED


def test_every_model_that_has_not_left_can_leave_be_stopped_and_be_readmitted():
    for state in set(State) - {State.LEFT}:
        assert TABLE[state, Trigger.LEAVE] == Step(None, "none", State.LEFT)
        assert TABLE[state, Trigger.STOP] == Step(None, "none", State.STOPPED)
        assert TABLE[state, Trigger.READMIT] == Step(None, "none", State.JOINING)


def test_an_outcome_ends_a_call_and_nothing_else_does():
    for (state, event), step in TABLE.items():
        assert step.status is None or event in CALL_EVENTS, (state, event)


def test_a_call_that_is_under_way_ends_with_an_outcome_whatever_happens():
    for state in set(State) - {State.LEFT}:
        for event in ANSWERS:
            assert (event is Trigger.LOST and state not in PLAYING | {State.UNREACHABLE}) or TABLE[state, event].status


def test_what_a_step_counts_as_is_its_outcomes_kind():
    for (state, _), step in TABLE.items():
        assert step.strike == (step.status.kind if step.status and state is not State.LEFT else "none")


def test_only_a_model_that_plays_can_succeed_fail_or_be_late():
    for (state, event), step in TABLE.items():
        assert step.strike == "none" or state in PLAYING, (state, event)


def test_only_a_model_that_plays_is_asked():
    asked = {state for state in State if (state, Trigger.ASKED) in TABLE and TABLE[state, Trigger.ASKED].status is None}
    assert asked == PLAYING


@pytest.mark.parametrize("state", sorted(PLAYING))
@pytest.mark.parametrize("event", sorted(ANSWERS))
def test_a_model_that_plays_gets_the_outcome_that_it_earned(state, event):
    assert TABLE[state, event].status is ANSWERS[event]


@pytest.mark.parametrize("state", sorted(WAITING | ENDED))
def test_a_call_whose_model_went_away_ends_without_a_strike(state):
    for event in set(ANSWERS) - {Trigger.LOST}:
        assert TABLE[state, event] == Step(Status.SKIPPED, "none", state)


def test_a_stopped_or_failed_model_plays_again_only_by_way_of_joining_or_with_new_code():
    for state in ENDED:
        following = {event: TABLE[state, event].state for event in Trigger if (state, event) in TABLE}
        assert following.pop(Trigger.REDEPLOYED) is State.READY
        assert set(following.values()) <= {state, State.JOINING, State.STOPPED, State.LEFT}
        assert [
            event for event in Trigger if (state, event) in TABLE and TABLE[state, event].state is State.JOINING
        ] == [Trigger.READMIT]


def test_only_loading_a_late_answer_and_a_found_connection_make_ready_outside_a_call():
    ways = {
        (state, event)
        for (state, event), step in TABLE.items()
        if step.state is State.READY and state not in PLAYING and step.status is None
    }
    assert ways == {
        (State.JOINING, Trigger.LOADED),
        (State.RESTARTING, Trigger.LOADED),
        (State.UNREACHABLE, Trigger.LOADED),
        (State.UNREACHABLE, Trigger.FOUND),
        *((state, Trigger.REDEPLOYED) for state in State if state not in PLAYING | {State.LEFT}),
    }


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TABLE[State.LEFT, Trigger.LOADED] = Step(None, "none", State.READY)


def test_everything_that_the_table_knows_happens_somewhere_in_the_game():
    """What only a test feeds to the table says nothing of what runs."""
    home = Path(crunch_game.__file__).parent
    fed = {"ASKED", "ANSWERED"}  # these two are imported by their name
    for file in home.rglob("*.py"):
        if file.name not in ("policy.py", "_policy.py"):
            fed |= {
                node.attr
                for node in ast.walk(ast.parse(file.read_bytes()))
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == Trigger.__name__
            }
    assert {event.name for event in Trigger} == fed


@given(st.sampled_from(State), st.sampled_from(Trigger), st.floats(0, 1e6))
def test_a_pair_that_the_table_lacks_changes_nothing(state, event, now):
    health = Health(state, 1.0, {"predict": Strikes(1, 1)}, "why", 2, 0.5)
    after, step = health.after(event, now, "because")
    if (state, event) not in TABLE:
        assert after is health
        assert step == Step(None, "none", state)


@given(st.sampled_from(sorted(TABLE)), st.floats(0, 1e6))
def test_the_health_goes_where_the_table_says_at_the_time_that_it_is_given(pair, now):
    state, event = pair
    health = Health(state, since=-1.0)
    after, step = health.after(event, now, "because")
    assert step == TABLE[pair]
    assert after.state is step.state
    begins_anew = event in (Trigger.READMIT, Trigger.LOADED, Trigger.REDEPLOYED)
    assert after.since == (now if step.state is not state or begins_anew else -1.0)


@pytest.mark.parametrize(
    ("before", "event", "back"),
    [
        (State.READY, Trigger.STOP, Trigger.REDEPLOYED),
        (State.JOINING, Trigger.LOAD_FAILED, Trigger.READMIT),
        (State.READY, Trigger.DIED, Trigger.LOADED),
        (State.BUSY, Trigger.RESTART, Trigger.LOADED),
        (State.READY, Trigger.LOST, Trigger.FOUND),
        (State.UNREACHABLE, Trigger.GIVEN_UP, Trigger.READMIT),
        (State.READY, Trigger.STOP, Trigger.READMIT),
    ],
)
def test_the_reason_is_kept_while_the_model_does_not_play_and_forgotten_when_it_does(before, event, back):
    health, _ = Health(before).after(event, 1.0, "because")
    assert health.reason == "because"
    assert health.after(Trigger.ASKED, 2.0)[0].reason == "because"
    assert health.after(back, 3.0)[0].reason is None


# A fault of the whole field.


@given(
    st.lists(st.sampled_from(["success", "failure", "timeout", "none"]), max_size=30),
    st.floats(0.01, 1.0),
    st.integers(0, 12),
)
def test_the_game_is_at_fault_when_that_share_of_a_field_fails(kinds, share, fewest):
    policy = Policy(field_fault_share=share, field_fault_min=fewest)
    called = [kind for kind in kinds if kind != "none"]
    failed = [kind for kind in called if kind in ("failure", "timeout")]
    expected = len(called) > 0 and len(called) >= fewest and len(failed) >= share * len(called)
    assert is_field_fault(kinds, policy) == expected


@given(st.lists(st.sampled_from(["success", "failure", "timeout"]), max_size=20), st.integers(0, 50))
def test_models_that_were_not_called_are_no_part_of_the_field(kinds, skipped):
    assert is_field_fault(kinds, Policy()) == is_field_fault([*kinds, *["none"] * skipped], Policy())


@pytest.mark.parametrize(
    ("failed", "succeeded", "fault"),
    [(4, 0, False), (5, 0, True), (4, 1, True), (3, 2, False), (80, 20, True), (79, 21, False), (0, 0, False)],
)
def test_four_of_five_make_a_field_fault_by_default(failed, succeeded, fault):
    assert is_field_fault(["failure"] * failed + ["success"] * succeeded, Policy()) is fault


def test_nobody_called_is_nobodys_fault():
    assert not is_field_fault([], Policy(field_fault_min=0))
    assert not is_field_fault(["none"] * 9, Policy(field_fault_min=0))


def test_the_network_is_judged_by_those_that_it_should_reach():
    assert {state: reached(state) for state in State if reached(state) != "none"} == {
        State.READY: "success",
        State.BUSY: "success",
        State.UNREACHABLE: "failure",
    }


# Policy.


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"timeout": 0}, "Policy.timeout is 0; it must be seconds, more than 0 and finite"),
        ({"timeout": -1.5}, "Policy.timeout is -1.5; it must be seconds, more than 0 and finite"),
        ({"timeout": math.inf}, "Policy.timeout is inf; it must be seconds, more than 0 and finite"),
        ({"timeout": math.nan}, "Policy.timeout is nan; it must be seconds, more than 0 and finite"),
        ({"setup_timeout": 0.0}, "Policy.setup_timeout is 0.0; it must be seconds, more than 0 and finite"),
        ({"unreachable_timeout": 0}, "Policy.unreachable_timeout is 0; it must be seconds, more than 0 and finite"),
        ({"timeouts": {"tick": 0}}, "Policy.timeouts['tick'] is 0; it must be seconds, more than 0 and finite"),
        ({"max_consecutive_failures": -1}, "Policy.max_consecutive_failures is -1; it must be 0 (no limit) or more"),
        ({"max_consecutive_timeouts": -3}, "Policy.max_consecutive_timeouts is -3; it must be 0 (no limit) or more"),
        ({"on_timeout": "stop"}, 'Policy.on_timeout is \'stop\'; it must be "keep" or "restart"'),
        ({"field_fault_share": 0}, "Policy.field_fault_share is 0; it must be in 0 to 1, and not 0"),
        ({"field_fault_share": 1.01}, "Policy.field_fault_share is 1.01; it must be in 0 to 1, and not 0"),
        ({"field_fault_min": -1}, "Policy.field_fault_min is -1; it must be 0 or more"),
        ({"capsules": 5}, "Policy.capsules is 5; it must be the path of a folder, or None"),
        ({"capsules": __file__}, f"Policy.capsules is {__file__!r}, which is no folder"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(GameError) as caught:
        Policy(**wrong)
    assert str(caught.value) == sentence


def test_the_default_policy_is_the_designs():
    assert {field.name: getattr(Policy(), field.name) for field in dataclasses.fields(Policy)} == {
        "timeout": 1.0,
        "timeouts": {},
        "setup_timeout": 60.0,
        "unreachable_timeout": 60.0,
        "max_consecutive_failures": 3,
        "max_consecutive_timeouts": 3,
        "on_timeout": "keep",
        "field_fault_share": 0.8,
        "field_fault_min": 5,
        "capsules": None,
    }


def test_a_policy_is_frozen_and_keeps_its_own_copy_of_the_timeouts():
    timeouts = {"tick": 0.5}
    policy = Policy(timeouts=timeouts)
    timeouts["tick"] = 99.0
    assert policy.budget("tick") == 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.timeout = 2.0
    with pytest.raises(TypeError):
        policy.timeouts["tick"] = 99.0


def test_a_method_has_its_own_budget_or_the_common_one():
    policy = Policy(timeout=2.0, timeouts={"tick": 0.5})
    assert (policy.budget("tick"), policy.budget("predict")) == (0.5, 2.0)


# Whose doing it is that a model cannot be called.


@pytest.mark.parametrize(
    ("triggers", "excused"),
    [
        ((), True),  # it is loaded for the first time
        ((Trigger.LOAD_FAILED,), False),
        ((Trigger.LOADED, Trigger.DIED), False),
        ((Trigger.LOADED, Trigger.RESTART), False),  # it was late
        ((Trigger.LOADED, Trigger.FORGOTTEN), True),
        ((Trigger.LOADED, Trigger.LOST, Trigger.RESTART), True),
        ((Trigger.LOADED, Trigger.LOST, Trigger.DIED), True),
        ((Trigger.LOADED, Trigger.FORGOTTEN, Trigger.LOADED, Trigger.DIED), False),
        ((Trigger.LOADED, Trigger.STOP), False),
        ((Trigger.LOADED, Trigger.STOP, Trigger.READMIT), False),  # new code every minute is no way to sit out
        ((Trigger.LOADED, Trigger.LEAVE), False),
        ((Trigger.LOADED,), True),  # it was replaced by a fresh instance while it was asked
    ],
)
def test_who_is_loaded_or_was_lost_by_his_host_is_excused_and_nobody_else(triggers, excused):
    health = Health()
    for at, trigger in enumerate(triggers):
        health, _ = health.after(trigger, float(at))

    assert health.excuses is excused

"""What a roster that others keep is told: what is a model's own doing, once that is known, and nothing else."""

from __future__ import annotations

import pytest

from crunch_game import Policy, Submission
from crunch_game.events import FieldFault
from crunch_game.lineup import News
from crunch_game.lineup._reporting import FieldWatch, Reporting
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, State

BROKEN = Fault("ImportError", "no such module")


class Kept:
    """A roster that others keep."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Cause, str]] = []
        self.begun: list[str] = []

    def started(self, submission) -> None:
        self.begun.append(submission.id)

    def stopped(self, submission, cause, reason, fault) -> None:
        self.told.append((submission.id, cause, reason))


@pytest.fixture
def emitted():
    return []


@pytest.fixture
def roster():
    return Kept()


@pytest.fixture
def hear(roster, emitted):
    """Tell it what has become of models."""
    reporting = Reporting(roster, FieldWatch(Policy(field_fault_min=3), emitted.append))

    def tell(state: State, *ids: str, **more) -> None:
        for model_id in ids:
            reporting.hear(News(Submission(model_id, "nowhere"), state, **more))

    return tell


def fails(hear, *ids):
    hear(State.FAILED, *ids, fault=BROKEN, cause=Cause.NOT_LOADED)


def test_a_failed_load_is_told_once_every_first_load_has_ended(hear, roster):
    hear(State.JOINING, "a", "b", "c")
    fails(hear, "a")
    hear(State.READY, "b")
    assert roster.told == []
    hear(State.READY, "c")
    assert roster.told == [("a", Cause.NOT_LOADED, "no such module")]
    hear(State.READY, "b")
    assert len(roster.told) == 1


def test_what_most_of_the_field_cannot_load_is_the_games_fault_and_told_to_the_author_once(hear, roster, emitted):
    hear(State.JOINING, "a", "b", "c")
    fails(hear, "a", "b", "c")
    assert roster.told == []
    assert emitted == [FieldFault("setup", 3, 3, BROKEN)]
    fails(hear, "a")
    assert len(emitted) == 1


def test_a_model_that_loads_after_all_is_not_told_of(hear, roster):
    hear(State.JOINING, "a", "b")
    fails(hear, "a")
    hear(State.READY, "a")
    hear(State.READY, "b")
    assert roster.told == []


@pytest.mark.parametrize("ends", [State.STOPPED, State.UNREACHABLE, State.LEFT, State.FAILED])
def test_a_first_load_that_says_nothing_of_the_field_is_waited_for_no_more(hear, roster, ends):
    hear(State.JOINING, "a", "b")
    fails(hear, "a")
    hear(ends, "b", fault=Fault("KeyError", "the hook's"))
    assert roster.told == [("a", Cause.NOT_LOADED, "no such module")]


def test_a_failed_load_of_a_model_that_leaves_is_not_told(hear, roster):
    hear(State.JOINING, "a", "b")
    fails(hear, "a")
    hear(State.LEFT, "a")
    hear(State.READY, "b")
    assert roster.told == []


def test_what_gets_another_try_is_told_of_no_more_until_that_has_ended(hear, roster):
    hear(State.JOINING, "a", "b")
    fails(hear, "a")
    hear(State.JOINING, "a")
    hear(State.READY, "b")
    assert (roster.begun, roster.told) == (["a", "b", "a"], [])
    fails(hear, "a")
    assert roster.told == [("a", Cause.NOT_LOADED, "no such module")]


def test_a_stop_is_told_at_once_if_it_has_a_cause(hear, roster):
    hear(State.JOINING, "a", "b")
    hear(State.STOPPED, "a", reason="3 failures in a row", cause=Cause.FAILURES)
    hear(State.STOPPED, "b", reason="the author's secret")
    assert roster.told == [("a", Cause.FAILURES, "3 failures in a row")]


def test_everyones_trouble_is_told_again_once_it_has_passed(emitted):
    watch = FieldWatch(Policy(field_fault_min=3), emitted.append)
    for kinds in (["failure"] * 3, ["failure"] * 3, ["success"] * 3, ["failure"] * 3 + ["none"] * 9):
        assert watch.is_everyones("connect", kinds, [BROKEN]) == ("failure" in kinds)
    assert emitted == [FieldFault("connect", 3, 3, BROKEN)] * 2

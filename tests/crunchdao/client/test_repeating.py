"""A report is repeated while its deployment is announced, ever later, and never once it is gone or replaced."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game import Submission
from crunch_game.crunchdao.client._reports import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, MIN_PAUSE_SECONDS, Reports
from crunch_game.crunchdao.protocol import Announced


class Told:
    """Reports on a clock that the test moves, and the deployments that the orchestrator says play."""

    def __init__(self, **playing: str) -> None:
        self.now = 1_000.0
        self.playing = playing
        self.reports = Reports()
        self.made: list[tuple[float, str, str]] = []

    def add(self, model_id: str, code: str = "MULTIPLE_FAILED") -> None:
        self.reports.add(Submission(model_id, "127.0.0.1:1", self.playing[model_id]), code, "no idea")

    def announced(self, model_id: str) -> Announced | None:
        deployment_id = self.playing.get(model_id)
        return deployment_id and Announced(deployment_id, model_id, "RUNNING", ip=f"at-{deployment_id}", port=1)

    def make(self) -> None:
        """Whatever is due is reported."""
        while (due := self.reports.next(self.announced, self.now)) is not None:
            self.made.append((self.now, due.report.model_id, due.report.ip))
            self.reports.made(due.report.model_id, self.now)

    def until(self, end: float) -> None:
        """Time passes, and each report is made when it is due."""
        self.make()
        while (wait := self.reports.wait(self.now)) is not None and self.now + wait <= end:
            self.now = max(self.now + wait, nextafter(self.now, inf))  # so small a wait may be lost in the sum
            self.make()
        self.now = end


def test_a_report_is_repeated_after_pauses_that_double():
    told = Told(alice="d1")
    told.add("alice")
    told.until(1_000 + 40 * MAX_PAUSE_SECONDS)

    times = [time for time, _, _ in told.made]
    pauses = [later - time for time, later in pairwise(times)]
    assert times[0] == 1_000
    assert pauses[:4] == [FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_PAUSE_SECONDS


@pytest.mark.parametrize("then", [{}, {"alice": "d2"}])
def test_what_is_gone_or_replaced_is_never_reported(then):
    told = Told(alice="d1")
    told.add("alice")
    told.until(1_001)
    told.playing = then
    told.until(2_000)
    told.playing = {"alice": "d1"}  # it has come back, and may do better
    told.until(9_000)
    assert told.made == [(1_000, "alice", "at-d1")]
    assert told.reports.wait(told.now) is None


def test_another_try_withdraws_the_report():
    told = Told(alice="d1", bob="d1")
    told.add("alice")
    told.add("bob")
    told.until(1_000)
    told.reports.withdraw("alice")
    told.until(1_000 + FIRST_PAUSE_SECONDS)
    assert [model_id for _, model_id, _ in told.made] == ["alice", "bob", "bob"]


def test_an_orchestrator_that_is_back_is_told_again_but_not_of_those_that_could_not_be_reached():
    told = Told(alice="d1", bob="d1", carol="d1")
    told.add("alice")
    told.add("bob", "CONNECTION_FAILED")
    told.until(1_003)
    told.add("carol")  # while the orchestrator is lost
    told.reports.found(told.now)
    told.until(1_004)
    assert told.made[2:] == [(1_003, "alice", "at-d1"), (1_003, "carol", "at-d1")]


def test_an_orchestrator_that_each_report_takes_away_is_left_in_peace_for_a_second():
    told = Told(alice="d1")
    told.add("alice")
    for _ in range(18):
        told.until(told.now + 0.1)
        told.reports.found(told.now)
    assert [time for time, _, _ in told.made] == [1_000, 1_000 + MIN_PAUSE_SECONDS]


ids = st.sampled_from(["alice", "bob"])
events = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["replace", "end", "stop"]), ids),
        st.tuples(st.just("pass"), st.floats(0, 100)),
        st.tuples(st.just("found"), st.none()),
    ),
    max_size=30,
)


@given(events)
def test_only_what_plays_and_was_stopped_is_reported_and_never_twice_at_once(history):
    told = Told(alice="d0", bob="d0")
    stopped: set[tuple[str, str]] = set()
    for number, (what, argument) in enumerate(history, 1):
        before = len(told.made)
        match what:
            case "replace":
                told.playing[argument] = f"d{number}"
            case "end":
                told.playing.pop(argument, None)
            case "stop" if argument in told.playing and (argument, told.playing[argument]) not in stopped:
                stopped.add((argument, told.playing[argument]))
                told.add(argument)
            case "pass":
                told.until(told.now + argument)
            case "found":
                told.reports.found(told.now)
        told.make()
        for _, model_id, ip in told.made[before:]:
            assert ip == f"at-{told.playing[model_id]}"
            assert (model_id, told.playing[model_id]) in stopped
    times: dict[tuple[str, str], list[float]] = {(model_id, f"at-{version}"): [] for model_id, version in stopped}
    for time, *made in told.made:
        times[tuple(made)].append(time)
    assert all(times.values())
    pauses = [later - time for each in times.values() for time, later in pairwise(each)]
    assert all(pause >= MIN_PAUSE_SECONDS - 1e-9 for pause in pauses), "but for what a sum of times may lose"

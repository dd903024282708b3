"""Boards of a time that is past, and boards as they were published."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
import walk
from histories import HOURS, World
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game import GameError, MemoryStore, ScoreWorker
from crunch_game.storage.base import Correction
from crunch_game.workers import LEADERBOARD, standings_at
from crunch_game.workers.settling import Publishing

NOW = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


@settings(max_examples=max(2, settings().max_examples // 5))
@given(st.integers(0, 10**6))
def test_boards_of_a_time_are_those_that_were_shown_then(seed: int):
    world = World(seed)
    world.in_pieces, world.mended = False, True
    world.truth = lambda prediction, history: walk.truth(prediction, history)  # each is known at its time
    world.saves = list(world._history())
    store, shown = MemoryStore(), {}
    worker = world.worker(store)
    for rows, predictions in world.saves:
        store.save(rows, predictions)
        worker.step()
        shown[rows[0].time] = worker.all_standings(rows[0].time)
    for at in random.Random(seed).sample(sorted(shown), 6):
        assert standings_at(world.game(), store, at) == shown[at]


def test_a_naive_time_is_refused_and_so_is_what_a_board_raises():
    world = World(1)
    store = MemoryStore()
    with pytest.raises(GameError, match="is naive; give an aware one"):
        standings_at(world.game(), store, NOW.replace(tzinfo=None))


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


def note(store: MemoryStore, at: datetime, first: str) -> None:
    board = {"rank_by": "day", "by": "skill", "leaderboard": [{"model_id": first, "rank": 1}]}
    store.note(LEADERBOARD, {"game": "walk", "at": at.isoformat(), "boards": {"all": board}})


def test_boards_are_published_when_a_whole_hour_has_begun_and_not_twice():
    store, clock = MemoryStore(), Clock()
    publishing = Publishing(store, timedelta(hours=1), clock)
    for minute in range(0, 150, 10):
        clock.time = NOW + timedelta(minutes=minute)
        note(store, clock.time, f"at {minute}")
        publishing.noted(minute)
    found = {}
    for minute in range(0, 150, 10):
        for each in store.published(NOW + timedelta(minutes=minute)):
            found[each.moment] = (each.at, each.document["leaderboard"][0]["model_id"], each.correction)
    hours = [NOW + timedelta(minutes=minute) for minute in (30, 90)]
    assert found == {hours[0]: (hours[0], "at 30", 30), hours[1]: (hours[1], "at 90", 90)}


def test_what_is_published_already_is_not_published_again_and_a_game_may_publish_nothing():
    store, clock = MemoryStore(), Clock()
    note(store, NOW, "ada")
    Publishing(store, None, clock).now(1)
    assert store.published() == []
    publishing = Publishing(store, timedelta(hours=1), clock)
    publishing.now(1)
    clock.time += timedelta(seconds=1)
    publishing.now(2)
    [board] = store.published()
    assert (board.moment, board.board, board.correction) == (NOW, "all", 1)
    note(store, NOW, "bob")
    publishing.now(2)
    assert store.published()[0].document["leaderboard"][0]["model_id"] == "bob"
    assert store.published(NOW)[0].document["leaderboard"][0]["model_id"] == "ada"


def test_right_before_and_right_after_a_correction_boards_are_published():
    world, store = World(3), MemoryStore()
    worker: ScoreWorker = world.worker(store)
    for rows, predictions in world.saves:
        store.save(rows, predictions)
        worker.step()
        worker.all_standings(rows[0].time)
    before = (store.noted(LEADERBOARD) or {})["boards"]
    assert store.published() == [], "a history is over before an hour is"
    since = walk.T0 + (HOURS - 12) * walk.HOUR
    store.correct(Correction(NOW, "a", "void", "ada", "why", since=since, until=since + 4 * walk.HOUR))
    worker.step()
    published = store.published()
    assert {each.correction for each in published} == {1}
    assert {each.board: each.document for each in published} == (store.noted(LEADERBOARD) or {})["boards"] != before
    earlier = store.published(published[0].moment - timedelta(microseconds=1))
    assert {each.board: each.document for each in earlier} == before
    assert {each.correction for each in earlier} == {0}

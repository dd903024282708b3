"""A live game and the replay of its store: the same rounds, seen, arguments, answers, outcomes and scores."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import Coming, Dying, Killed, Scripted, VirtualClock

from crunch_game import Game, History, MemoryStore, Policy, Predict, Prediction, PredictWorker, Row, ScoreWorker, Store
from crunch_game.feeds import ReplayFeed

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(milliseconds=round(number * 1000))


class Base:
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self, asset: str, horizon: int) -> float: ...


class Memory(Base):
    """It answers with all that it was ever told, in their order."""

    def __init__(self) -> None:
        self.heard = 0.0

    def tick(self, data: dict[str, float]) -> None:
        self.heard = (self.heard * 0.75 + data.get("a", 1.0)) % 1000.0

    def predict(self, asset: str, horizon: int) -> float:
        return self.heard + len(asset)


def truth(prediction: Prediction, history: History) -> float | None:
    """The first price from the horizon on, and what had arrived until then: a late row changes it."""
    row = history.first_from(prediction.resolves_at)
    if row is None or "a" not in row.data:
        return None
    return row.prices["a"] + sum(each.prices.get("a", 0.0) for each in history.between(prediction.at, row.time))


def game(**options: Any) -> Game:
    given: dict[str, Any] = {
        "name": "replayed",
        "tracker": Base,
        "predictions": [
            Predict(every=10, horizon=20, asset="a"),
            Predict(every=15, horizon=30, offset=2, asset="bb"),
            Predict(every="row", horizon=7, asset="ccc"),
        ],
        "resolve": truth,
        "score": lambda prediction, outcome: abs(prediction.value - outcome),
        "policy": Policy(timeout=1.0, max_consecutive_failures=0, max_consecutive_timeouts=0),
        "windows": {"all": "7d"},
        "wait": 1.0,
    }
    return Game(**given | options)


row_times = st.sampled_from([0.3, 1.0, 2.5, 4.0, 5.0, 10.0, 23.0])
latencies = st.sampled_from([0.0, 0.0, 0.2, 1.0, 1.001, 3.0, 12.0, 31.0])


@st.composite
def scripts(draw: Any) -> list[Coming]:
    """Rows that are punctual, late, missing, repeated, revised, from the future, on a slot and beside it."""
    script, time = [], draw(st.sampled_from([-30.0, 0.0, 0.5]))
    for number in range(draw(st.integers(3, 14))):
        time += draw(row_times)
        row = Row(T0 + seconds(time), {"a": float(draw(st.integers(1, 999)))} if number % 5 else {"b": 1.0})
        when = max(T0, row.time + seconds(draw(latencies)))
        match draw(st.sampled_from(["", "", "", "", "repeated", "revised", "future"])):
            case "repeated":
                script.append(Coming(row, when + seconds(0.7)))
            case "revised":
                script.append(Coming(replace(row, data={"a": 5.0}), when + seconds(draw(latencies))))
            case "future":
                script.append(Coming(Row(row.time + timedelta(days=1), {"a": 7.0}), when))
        script.append(Coming(row, when))
    return script


deaths = st.lists(st.tuples(st.integers(2, 9), st.booleans(), st.sampled_from([0.0, 0.4, 3.0, 26.0])), max_size=3)


async def live(store: Store, script: list[Coming], killed: list[tuple[int, bool, float]], *, has_past: bool) -> None:
    """Play a live game under a virtual clock, with deaths in between, and score it now and then."""
    clock = VirtualClock(T0)
    until = max(coming.when for coming in script) + seconds(40)
    scorer = ScoreWorker(game(), store)
    for at, after, down in [*killed, (10**9, False, 0.0)]:
        feed = Scripted(clock, script, until, has_past=has_past)
        dying: Any = Dying(store, at, after=after)
        worker = PredictWorker(game(feed=feed), [Memory], dying, host="inline", clock=clock, on_event=lambda e: None)
        async with clock.moving():
            with suppress(Killed):
                await worker.run()
        clock.move(clock.now() + seconds(down))
        if after:
            scorer.step()
    ScoreWorker(game(), store).step()


async def replayed(store: Store) -> Store:
    kept = MemoryStore()
    played = game(feed=ReplayFeed(store))
    await PredictWorker(played, [Memory], kept, host="inline").run()
    ScoreWorker(played, kept).step()
    return kept


def rounds(store: Store) -> list[Prediction]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]


@pytest.mark.slow
@settings(max_examples=40)
@given(scripts(), deaths, st.booleans())
def test_a_live_game_is_its_own_replay(script, killed, has_past):
    async def play() -> tuple[Store, Store]:
        store = MemoryStore()
        await live(store, script, killed, has_past=has_past)
        return store, await replayed(store)

    store, again = anyio.run(play)
    assert rounds(again) == rounds(store)
    assert again.scores() == store.scores()
    assert all(each.seen is not None and each.seen <= each.at for each in store.predictions())

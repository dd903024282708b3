"""What is pruned is missed by nobody: the game goes on to answer, score and rank as if it were still there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import walk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crunch_game import Game, MemoryStore, ScoreWorker, Status, open_store
from crunch_game.feeds.base import Row
from crunch_game.ranking import Board
from crunch_game.storage import Correction, PruneBounds
from crunch_game.storage.base import Prediction, Store
from crunch_game.sync import run_game
from crunch_game.workers import plan_pruning, prune
from crunch_game.workers.settling import _boards

HOURS = 60
MODELS = ["ada", "bob", "cy", "dan"]
KEYS = {ask.arguments["asset"]: ask.key for ask in walk.game().asks}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """A random history of a game whose truth is all that `resolve` may look up."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.history = walk.HOUR * self.chance.choice([6, 7, 12])
        self.window = self.chance.choice([3, 8, 20])
        self.slow = self.chance.choice([0, 3, 9])
        self.joins = {name: self.chance.choice([0, 0, 9, 25]) for name in MODELS}
        self.saves = list(self._saves())

    def game(self) -> Game:
        windows = {"short": "2h", "long": f"{self.window}h"}
        return walk.game(
            resolve=self.truth,
            windows=None,
            history=self.history,
            boards=[Board("skill", windows=windows), Board("mean", by="mean", windows=windows, least=2)],
        )

    def truth(self, prediction: Prediction, history: Any) -> float | None:
        late = walk.HOUR * self.slow if prediction.at.hour % 5 == 1 else timedelta()
        if history.latest.time < prediction.resolves_at + late and len(history) % 4:  # it looks at all of it, too
            return None
        first = history.first_from(prediction.resolves_at)
        rows = [row.prices["BTC"] for row in history]
        return None if first is None else first.prices["BTC"] + sum(rows) / len(rows) + len(rows)

    def _saves(self) -> Iterator[tuple[list[Row], list[Prediction]]]:
        hour = 0
        for _ in range(HOURS):
            hour += self.chance.choice([1, 1, 1, 1, 4])
            at = walk.T0 + hour * walk.HOUR
            rows = [Row(at, {"BTC": 100 + self.chance.gauss(0, 1)}, at)]
            if self.chance.random() < 0.2:
                late = at - self.chance.randrange(1, 40) * walk.HOUR / 2
                rows.append(Row(late, {"BTC": self.chance.gauss(0, 9)}, at + walk.HOUR / 9))
            yield rows, [each for asset in KEYS for each in self._asked(hour, asset)]

    def _asked(self, hour: int, asset: str) -> Iterator[Prediction]:
        at, seconds = walk.T0 + hour * walk.HOUR, 7200 if asset == "BTC" else 21600
        for name in MODELS:
            if hour >= self.joins[name] and (asset == "BTC" or hour % 3 == 0):
                given: dict[str, Any] = {"value": self.chance.gauss(200, 9)}
                if self.chance.random() < 0.2:
                    given = {"status": Status.TIMEOUT, "excused": self.chance.random() < 0.3}
                arguments = {"asset": asset, "horizon": seconds}
                until = at + timedelta(seconds=seconds)
                yield Prediction(name, "1", KEYS[asset], at, until, float(seconds), arguments, **given)


def pruned(store: Store, older: timedelta, *, past: int = 512) -> PruneBounds:
    """Delete what is older, and return what that was."""
    plan = plan_pruning(store, older, NOW)
    plan = replace(plan, bounds=replace(plan.bounds, past=past))
    prune(store, plan, Correction(NOW, f"w{random.random()}", "prune", "ada", "it is old"))
    return plan.bounds


def played(world: World, store: Store, moments: random.Random, prunes: bool) -> tuple[list[Any], int]:
    """What a score worker tells, hour by hour, though it is begun anew now and then; and how much was deleted."""
    found: list[Any] = []
    deleted = 0
    worker = ScoreWorker(world.game(), store, patience=10 * 3600)
    store.note("needs-predict", {"format": 1, "written": NOW.isoformat(), "rows": world.history.total_seconds()})
    for rows, predictions in world.saves:
        store.save(rows, predictions)
        steps, restarts, old = moments.random() < 0.8, moments.random() < 0.2, moments.choice([None, None, 0.5, 5, 30])
        if steps:
            found.append(sorted(worker.step(), key=lambda each: (each.resolves_at, each.at, each.key, each.model_id)))
            found.append(worker.all_standings(worker.newest or rows[0].time))
        if old is not None and prunes:
            before = len(store.rows()) + len(store.predictions()) + len(store.scores()) + len(list(store.rounds()))
            pruned(store, old * walk.HOUR, past=8)
            after = len(store.rows()) + len(store.predictions()) + len(store.scores()) + len(list(store.rounds()))
            deleted += before - after
        if restarts:
            worker = ScoreWorker(world.game(), store, patience=10 * 3600)
    return found, deleted


@contextmanager
def few_past() -> Iterator[None]:
    """As few rounds are read from before the windows as are kept there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_boards, "_PAST", 6)
        patch.setattr("crunch_game.workers._pruning._LEAST_PAUSE", 0.0)
        yield


@settings(max_examples=settings().max_examples // 6, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_after_any_pruning_scores_and_boards_are_those_of_a_store_that_never_was(history: int, moments: int) -> None:
    world = World(history)
    with few_past():
        whole, _ = played(world, MemoryStore(), random.Random(moments), prunes=False)
        less, _ = played(world, MemoryStore(), random.Random(moments), prunes=True)
    assert less == whole


@pytest.mark.parametrize("seed", range(1))
def test_a_file_that_is_pruned_tells_the_same(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    with few_past(), open_store(f"sqlite:///{tmp_path}/game.db") as store:
        whole, _ = played(world, MemoryStore(), random.Random(seed), prunes=False)
        less, deleted = played(world, store, random.Random(seed), prunes=True)
        assert less == whole
        assert deleted > 300


def test_a_window_that_was_made_longer_counts_from_what_is_kept() -> None:
    """The rounds of before were not left out by everybody: their scores are gone."""
    world = World(3)
    world.window = 8
    store = MemoryStore()
    played(world, store, random.Random(3), prunes=False)
    bounds = pruned(store, 9 * walk.HOUR)
    assert bounds.rounds is not None
    assert any(scored.resolves_at < bounds.rounds for scored, _ in store.rounds()), "rounds are kept for their numbers"
    world.window = 30
    worker = ScoreWorker(world.game(), store)
    worker.step()
    assert worker.newest is not None
    counted = len(list(store.rounds(bounds.rounds)))
    for standing in worker.standings(worker.newest):
        assert standing.rounds <= counted
        assert standing.scored == len(store.scores(model_id=standing.model_id))


@pytest.mark.parametrize("options", [{"history": "6h"}, {"history": "9h", "warmup": "3h"}, {}])
def test_models_that_start_anew_are_told_and_answer_the_same(options: dict[str, Any]) -> None:
    """They answer with the mean, and the number, of all that they were ever told."""
    windows = {"short": "2h", "long": "5h"}

    def play(store: Store, prunes: bool) -> Any:
        ended: Any = None
        for _ in range(5):  # each time with fresh models, which are told the past first
            game = walk.game(windows=windows, **options)
            ended = run_game(game, walk.MODELS, store=store, host="inline", max_ticks=8)
            if prunes:
                pruned(store, walk.HOUR)
        return ended

    whole, less = MemoryStore(), MemoryStore()
    expected, found = play(whole, prunes=False), play(less, prunes=True)
    assert found.leaderboard == expected.leaderboard
    bounds = plan_pruning(less, walk.HOUR, NOW).bounds
    since = bounds.rounds
    assert since is not None

    def answers(store: Store) -> list[Any]:
        return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions(since)]

    assert answers(less) == answers(whole) != []
    assert less.scores(since) == whole.scores(since) != []
    assert len(less.predictions()) < len(whole.predictions()) / 2
    assert (len(less.rows()) < len(whole.rows()) / 2) == bool(options)


class Watched(MemoryStore):
    """Says from which row on it was read; somebody may save a prediction just after that was decided."""

    def __init__(self) -> None:
        super().__init__()
        self.read_after: list[int] = []
        self.late: Prediction | None = None

    def arriving(self, after: int = 0) -> Iterator[Any]:
        self.read_after.append(after)
        return super().arriving(after)

    def looked_up_from(self, moment: datetime, history: timedelta) -> tuple[int, datetime] | None:
        found = super().looked_up_from(moment, history)
        self.read_after.clear()
        self.save((), [] if self.late is None else [self.late])
        return found


@pytest.mark.parametrize("is_late", [False, True])
def test_a_worker_that_starts_passes_over_the_rows_that_nothing_needs(is_late: bool) -> None:
    world, store, whole = World(5), Watched(), MemoryStore()
    for rows, predictions in world.saves:
        whole.save(rows, predictions)
        store.save(rows, predictions)
    late = next(each for _, predictions in world.saves[20:] for each in predictions if each.status is Status.OK)
    late = replace(late, model_id="late")
    ScoreWorker(world.game(), store).step()
    whole.save((), [late])
    ScoreWorker(world.game(), whole).step()
    store.late = late if is_late else None
    ScoreWorker(world.game(), store).step()
    assert store.read_after[0] > len(store.rows()) / 2
    assert (0 in store.read_after) == is_late, "all that it needs is read then"
    assert store.scores(model_id="late") == (whole.scores(model_id="late") if is_late else [])

"""Whatever happens to who scores, boards and stored rounds come to what they would have been without it.

Histories are random: models that join, fail and are excused, rounds that nobody answers, answers that are saved late,
truths that are late, never come or raise, metrics that fail; and a worker that dies at any write, or is down for hours.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import walk
from histories import Dying, InTheField, Saved, World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from virtual import Killed

from crunch_game import MemoryStore, Predict, ScoreWorker, StoreError, open_store
from crunch_game.feeds.base import Row
from crunch_game.ranking import Board
from crunch_game.storage.base import Prediction, Store


class Scorer:
    """Who scores a history as it is saved; dies now and then, and is down for a while, if it has a chance to."""

    def __init__(self, world: World, store: Store, chance: random.Random | None) -> None:
        self._world, self._store, self._chance = world, store, chance
        self._down_until = 0
        self._begin()

    def _begin(self) -> None:
        store: Any = self._store
        if self._chance is not None:
            store = Dying(store, self._chance.randrange(1, 30), after=self._chance.random() < 0.5)
        self.worker = self._world.worker(store)

    def play(self) -> None:
        self._world.mended = False
        for hour, (rows, predictions) in enumerate(self._world.saves):
            self._store.save(rows, predictions)
            if hour == self._world.mended_at:
                self._world.mended = True
                self._mortal(lambda: self.worker.retry())
            elif hour >= self._down_until:
                self._mortal(lambda: self.worker.step())
                self._mortal(lambda now=rows[0].time: self.worker.all_standings(self.worker.newest or now))
                if self._chance is not None and self._chance.random() < 0.1:
                    self._down_until = hour + self._chance.randrange(1, 16)
        self._mortal(lambda: self.worker.step())
        if self._chance is not None:
            self._chance = None
            self._begin()  # one more, that lives
            self.worker.step()

    def _mortal(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Killed:
            self._begin()
            self._mortal(act)


@contextmanager
def stores(kind: str, folder: Path, count: int) -> Iterator[list[Store]]:
    """New stores of a kind."""
    if kind == "memory":
        yield [MemoryStore() for _ in range(count)]
        return
    for file in folder.glob("*.db*"):
        file.unlink()
    opened = [open_store(f"sqlite:///{folder / f'{number}.db'}") for number in range(count)]
    yield opened
    for store in opened:
        store.close()


def check(world: World, plain: Store, other: Store, chance: random.Random) -> None:
    whole, mortal = Scorer(world, plain, None), Scorer(world, other, chance)
    whole.play()
    mortal.play()
    now = whole.worker.newest
    assert now is not None
    expected = whole.worker.all_standings(now)
    since = now - 11 * walk.HOUR  # no board looks at older rounds, and their facts are left as they are

    assert any(expected.values())
    assert other.scores() == plain.scores()
    assert mortal.worker.all_standings(now) == expected
    for store in (plain, other):
        fresh = world.worker(store)
        fresh.step()
        assert not [each for each in fresh._boards.unsaved() if each.resolves_at > since]
        assert fresh.all_standings(now) == expected
    assert list(other.rounds(since)) == list(plain.rounds(since))


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 4, suppress_health_check=QUIET)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_who_dies_at_any_write_comes_to_the_same_boards_scores_and_rounds(tmp_path: Path, history: int, deaths: int):
    world = World(history)
    with stores("memory", tmp_path, 2) as (plain, other):
        check(world, plain, other, random.Random(deaths))


@pytest.mark.parametrize("seed", range(3))
def test_who_dies_over_a_file_comes_to_the_same_as_over_memory(tmp_path: Path, seed: int):
    world = World(seed)
    with stores("sql", tmp_path, 1) as [other]:
        check(world, MemoryStore(), other, random.Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_what_could_not_be_stored_is_stored_with_the_next_row(after: bool):
    """Late answers change what later rounds are measured by: these are to be stored again, too."""
    for seed, write in product(range(3), range(4, 40, 8)):
        world, plain, other = World(seed), MemoryStore(), MemoryStore()
        whole, failing = Scorer(world, plain, None), world.worker(Dying(other, write, after=after, how=StoreError))
        whole.play()
        world.mended = False
        failed = 0
        for hour, (rows, predictions) in enumerate(world.saves):
            other.save(rows, predictions)
            world.mended = hour >= world.mended_at
            try:
                failing.retry() if hour == world.mended_at else failing.step()
            except StoreError:
                failed += 1
                failing.retry() if hour == world.mended_at else failing.step()
        now = failing.newest
        assert failed == 1
        assert now is not None
        assert other.scores() == plain.scores()
        assert failing.all_standings(now) == whole.worker.all_standings(now)
        since = now - 11 * walk.HOUR
        assert list(other.rounds(since)) == list(plain.rounds(since))


class Steady:
    """A store of a game with one asset, with whom answered how far off in each of its rounds, every minute."""

    def __init__(self, horizon: int, losses: list[dict[str, float]]) -> None:
        self.store = MemoryStore()
        self.saves: list[Saved] = []
        minute, key = timedelta(minutes=1), f"predict(asset='BTC', horizon={horizon * 60})"
        for number, of_round in enumerate(losses):
            at = walk.T0 + number * minute
            resolves_at, seconds = at + horizon * minute, horizon * 60.0
            asked = {"asset": "BTC", "horizon": horizon * 60}
            answers = [
                Prediction(name, "1", key, at, resolves_at, seconds, asked, value=loss)
                for name, loss in of_round.items()
            ]
            self.saves.append(([Row(at, {"BTC": 0.0})], answers))
        self.predictions = [Predict(every="1m", horizon=f"{horizon}m", asset="BTC")]

    def play(self, **options: Any) -> ScoreWorker:
        worker = self.worker(**options)
        for rows, predictions in self.saves:
            self.store.save(rows, predictions)
            worker.step()
            worker.all_standings(rows[0].time)
        return worker

    def worker(self, **options: Any) -> ScoreWorker:
        game = walk.game(predictions=self.predictions, **{"windows": {"window": "30m"}} | options)
        return ScoreWorker(game, self.store, on_event=lambda event: None)


def _boards_of(worker: ScoreWorker) -> Any:
    return worker.all_standings(worker._store.last_row().time)


def test_a_horizon_of_many_rounds_is_measured_after_a_restart_as_before_it():
    chance = random.Random(4)
    losses = [{name: chance.expovariate(1 + number / 50) for name in ("ada", "bob", "cy")} for number in range(420)]
    steady = Steady(100, losses)  # the first round in the window was asked when 100 of the others had not resolved
    worker = steady.play()
    assert _boards_of(steady.worker()) == _boards_of(worker)


def test_rounds_without_an_entry_hide_none_of_those_that_have_one():
    chance = random.Random(4)
    losses = [{name: chance.expovariate(1) for name in ("ada", "bob", "cy")} for _ in range(300)]
    for number in range(100, 265):
        losses[number] = {} if number % 2 else dict.fromkeys(losses[number], -1.0)

    def score(prediction: Prediction, outcome: Any) -> float:
        if prediction.value < 0:
            raise ValueError("negative")
        return abs(prediction.value - outcome)

    steady = Steady(2, losses)
    worker = steady.play(score=score)
    assert any(each.skill for each in _boards_of(worker)["walk"])
    assert _boards_of(steady.worker(score=score)) == _boards_of(worker)


def test_a_metric_whose_rule_could_score_none_of_a_round_costs_nobody_anything():
    def broken_at_times(prediction: Prediction, outcome: Any) -> float:
        if prediction.at.minute % 3 == 0:
            raise RuntimeError("broken")
        return abs(prediction.value - outcome)

    steady = Steady(2, [{"ada": 1.0, "bob": 2.0, "cy": 3.0} for _ in range(40)])
    options: dict[str, Any] = {
        "score": {"near": walk.loss, "other": broken_at_times},
        "windows": None,
        "boards": [Board("other", metric="other", windows={"window": "30m"})],
    }
    worker = steady.play(**options)
    standings = _boards_of(worker)["other"]
    assert [each.model_id for each in standings] == ["ada", "bob", "cy"]
    assert {(each.rounds, each.scored, each.coverage) for each in standings} == {(20, 20, 1.0)}
    assert _boards_of(steady.worker(**options))["other"] == standings


def test_who_cannot_be_scored_through_no_fault_of_its_own_is_not_absent():
    def truth(prediction: Prediction, history: Any) -> float:
        if prediction.model_id == "ada" and prediction.at.minute % 2:
            raise LookupError("no price for what this model was asked")
        return 0.0

    steady = Steady(2, [{"ada": 1.0, "bob": 2.0, "cy": 3.0} for _ in range(40)])
    worker = steady.play(resolve=truth)
    [ada] = [each for each in _boards_of(worker)["walk"] if each.model_id == "ada"]
    assert (ada.rounds, ada.scored) == (15, 15)
    assert _boards_of(steady.worker(resolve=truth)) == _boards_of(worker)


def test_a_weight_that_raises_ends_no_game_and_once_mended_counts_the_rounds():
    fails = True

    def weight(info: Any) -> float:
        if fails and info.at.minute % 2:
            raise KeyError(info.arguments["asset"])
        return 1.0

    def options() -> dict[str, Any]:
        board = Board("one", by="mean", windows={"window": "30m"}, weight=weight, newcomers="absent")
        return {"score": InTheField(), "windows": None, "boards": [board]}

    steady = Steady(2, [{"ada": 1.0, "bob": 2.0} for _ in range(40)])
    first = _boards_of(steady.play(**options()))["one"]
    fails = False
    mended = _boards_of(steady.worker(**options()))["one"]
    assert [each.scored for each in first] == [15, 15]
    assert [each.scored for each in mended] == [30, 30]


def test_a_game_may_change_its_metrics_and_boards_between_two_runs_on_a_store():
    steady = Steady(2, [{"ada": 1.0, "bob": 2.0, "cy": 3.0} for _ in range(120)])
    two = {"near": walk.loss, "square": lambda prediction, outcome: prediction.value**2}
    by_near = Board("near", metric="near", windows={"window": "30m"})
    before = _boards_of(steady.play(score=two, windows=None, boards=[by_near]))["near"]

    renamed = {"near": walk.loss, "cubed": lambda prediction, outcome: prediction.value**3}
    by_cubed = Board("cubed", metric="cubed", windows={"window": "30m"})
    longer = Board("longer", metric="near", windows={"window": "90m"}, least=85)
    found = _boards_of(steady.worker(score=renamed, windows=None, boards=[by_near, by_cubed, longer]))
    assert [each.skill for each in found["near"]] == [each.skill for each in before]
    assert found["cubed"] == []  # nothing is stored of it
    assert [(each.rank, each.scored) for each in found["longer"]] == [(1, 90), (2, 90), (3, 90)]
    single = _boards_of(steady.worker())["walk"]
    assert single == []  # the only metric is called "score" now
    assert list(steady.store.rounds())  # and a start has changed nothing


def test_what_is_made_of_rounds_from_before_facts_were_kept_is_stored_with_the_next():
    chance = random.Random(2)
    steady = Steady(2, [{name: chance.expovariate(1) for name in ("ada", "bob", "cy")} for _ in range(60)])
    steady.play()
    wiped = MemoryStore()
    wiped.save([row for rows, _ in steady.saves for row in rows][:-1])
    wiped.save([], [each for _, predictions in steady.saves for each in predictions])
    wiped.settle([each for each in steady.store.scores() if each.resolves_at < walk.T0 + timedelta(minutes=59)])
    for scored, _ in steady.store.rounds():
        if scored.resolves_at < walk.T0 + timedelta(minutes=59):
            wiped.settle([], [replace(scored, facts={})])
    steady.store = wiped
    worker = steady.worker()
    worker.step()
    wiped.save(steady.saves[-1][0])
    worker.step()
    [(first, _), *_] = list(wiped.rounds(walk.T0 + timedelta(minutes=30)))
    assert first.facts["score"]["usual"] > 0


def test_a_model_without_a_name_is_scored_beside_newcomers():
    board = Board("one", by="mean", windows={"window": "30m"}, newcomers="absent")
    steady = Steady(2, [{"": 1.0, "bob": 2.0} for _ in range(40)])
    standings = _boards_of(steady.play(score=InTheField(), windows=None, boards=[board]))["one"]
    assert [(each.model_id, each.scored) for each in standings] == [("", 30), ("bob", 30)]
    assert {score.model_id for score in steady.store.scores()} == {"", "bob"}

"""Scoring: off the event loop, stopped by nothing, and every prediction that has no score has a reason."""

from __future__ import annotations

import gc
import logging
import math
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from reprlib import repr as brief
from typing import Any

import anyio
import pytest
import walk

from crunch_game import CRPS, MemoryStore, Policy, Predict, ReplayFeed, Row, ScoreWorker, Status, run_game
from crunch_game.errors import ContractError, MissingExtra
from crunch_game.events import PredictionsSetAside
from crunch_game.storage import PruneBounds
from crunch_game.sync import run_game as run_blocking

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture
def anyio_backend() -> str:
    """Scoring awaits nothing; what has to do with the event loop is tested on both."""
    return "asyncio"


BTC = [Predict(every="1h", horizon="2h", asset="BTC")]


async def reasons(**options: Any) -> set[str | None]:
    """Why the predictions of a game of two models were set aside; None for those that were not."""
    store = MemoryStore()
    game = walk.game(**{"predictions": BTC} | options)
    result = await run_game(game, ["walk:Mean", "walk:Last"], store=store, host="inline")
    assert result.ticks == 40
    assert all((score.value is None) == (score.reason is not None) for score in store.scores())
    return {score.reason for score in store.scores()}


def raising(*arguments: Any) -> float:
    raise KeyError("BTC")


def raising_of(what: object) -> float:
    raise ValueError(what)


async def test_what_resolve_raises_sets_aside_and_stops_nothing():
    assert await reasons(resolve=raising) == {"resolve raised KeyError: 'BTC'"}


async def test_what_score_raises_sets_aside_and_stops_nothing():
    assert await reasons(score=raising) == {"score raised KeyError: 'BTC'"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.5", b"1", None, 10**400, 1j, [1.0]], ids=brief)
async def test_what_is_no_finite_number_is_no_score(value):
    assert await reasons(score=lambda p, o: value) == {f"score gave {brief(value)}, which is no finite number"}


@pytest.mark.parametrize("value", [1, 0.5, True, Decimal("0.5")])
async def test_whatever_is_a_number_is_a_score(value):
    assert await reasons(score=lambda p, o: value) == {None}


async def test_an_outcome_that_cannot_be_stored_sets_aside_and_stops_nothing():
    [reason] = await reasons(resolve=lambda p, h: {(1, 2): "x"})
    assert reason.startswith("resolve gave {(1, 2): 'x'}, which cannot be stored: ")


async def test_one_bad_prediction_does_not_cost_the_others_their_scores():
    def picky(prediction, outcome):
        if prediction.model_id == "Mean":
            raise ValueError("not this one")
        return 1.0

    assert await reasons(score=picky) == {None, "score raised ValueError: not this one"}


class Batch:
    higher_is_better = False

    def __init__(self, many) -> None:
        self.score_many = many

    def score(self, prediction, outcome):
        if prediction.model_id == "Mean":
            raise ValueError("not this one")
        return 1.0


async def test_a_batch_scorer_that_raises_is_asked_one_by_one(caplog):
    with caplog.at_level(logging.WARNING, "crunch_game"):
        assert await reasons(score=Batch(raising)) == {None, "score raised ValueError: not this one"}
    assert caplog.messages[0] == "score_many raised KeyError: 'BTC'; scoring one by one"


async def test_a_batch_scorer_that_forgets_some_is_asked_one_by_one():
    assert await reasons(score=Batch(lambda p, o: [1.0])) == {None, "score raised ValueError: not this one"}


async def test_a_batch_scorer_gives_errors_in_the_places_of_scores():
    def many(predictions, outcomes):
        return [ValueError("odd one") if index % 2 else 2.0 for index, _ in enumerate(predictions)]

    assert await reasons(score=Batch(many)) == {None, "score raised ValueError: odd one"}


async def test_a_missing_extra_is_the_authors_error_not_the_predictions():
    def score(prediction, outcome):
        raise MissingExtra("scoringrules", "scoring")

    with pytest.raises(
        MissingExtra,
        match=r"^scoringrules is not installed; from a clone of crunch_game: pip install '\.\[scoring\]'$",
    ):
        await reasons(score=score)


async def test_a_missing_extra_is_told_before_the_first_row(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtra):
        await run_game(walk.game(score=CRPS()), walk.MODELS, store=store, host="inline")
    assert store.rows() == []


async def test_why_predictions_are_set_aside_is_told_once_for_each_reason(log):
    game = walk.game(predictions=BTC, score=raising)
    await run_game(game, ["walk:Mean", "walk:Last"], host="inline", on_event=log)
    [told] = log.of(PredictionsSetAside)
    assert str(told) == "4 predictions could not be scored, and more may follow: score raised KeyError: 'BTC'"


async def test_the_result_counts_what_was_scored_and_why_the_rest_was_not():
    def picky(prediction, outcome):
        if prediction.model_id == "Mean":
            raise ValueError(prediction.arguments["asset"])
        return 1.0

    store = MemoryStore()
    result = await run_game(walk.game(score=picky), ["walk:Mean", "walk:Last"], store=store, host="inline")
    values = [score.value for score in store.scores()]
    assert result.scored == values.count(1.0) > 0
    assert set(result.set_aside) == {"score raised ValueError: BTC", "score raised ValueError: ETH"}
    assert sum(result.set_aside.values()) == values.count(None) == result.scored
    assert result.waiting == 0
    ignorant = walk.game(resolve=lambda p, h: None)
    result = await run_game(ignorant, ["walk:Mean", "walk:Last"], host="inline")
    assert (result.scored, result.set_aside, result.waiting) == (0, {}, len(values))


async def test_the_result_names_few_of_many_reasons():
    store = MemoryStore()
    game = walk.game(predictions=BTC, score=lambda prediction, outcome: raising_of(prediction.at))
    result = await run_game(game, ["walk:Mean"], store=store, host="inline")
    assert list(result.set_aside)[:1] == [f"score raised ValueError: {store.scores()[0].at}"]
    assert (len(result.set_aside), list(result.set_aside)[-1]) == (21, "other reasons")
    assert sum(result.set_aside.values()) == len(store.scores()) > 21


async def test_a_truth_that_never_comes_is_waited_for_a_week_of_rows():
    days = ReplayFeed([Row(walk.T0 + timedelta(days=day), {"BTC": 100.0}) for day in range(12)])
    store = MemoryStore()
    game = walk.game(resolve=lambda p, h: None, feed=days, predictions=[Predict(every="1d", horizon="1d", asset="BTC")])
    await run_game(game, ["walk:Mean"], store=store, host="inline")
    aside = {(score.at - walk.T0).days: score.reason for score in store.scores()}
    sentence = "resolve did not know the truth 604800 s after the horizon"
    assert aside == dict.fromkeys(range(3), sentence)  # the fourth resolves a week before the last row, not longer
    assert len(store.pending(walk.T0 + timedelta(days=100))) == 9


def test_while_no_rows_come_the_truth_is_waited_for():
    store, game = MemoryStore(), walk.game(predictions=BTC)
    anyio.run(lambda: run_game(game, ["walk:Mean"], store=store, host="inline", max_ticks=10))
    waiting = store.pending(walk.T0 + timedelta(days=1000))
    assert waiting
    worker = ScoreWorker(game, store)
    assert worker.step(walk.T0 + timedelta(days=1000)) == []
    assert store.pending(walk.T0 + timedelta(days=1000)) == waiting


@pytest.mark.parametrize(("patience", "count"), [(0, 10), (86_400.0 * 3, 7)])
async def test_patience_is_the_authors(patience, count):
    store = MemoryStore()
    feed = ReplayFeed([Row(walk.T0 + timedelta(days=day), {"BTC": 100.0}) for day in range(12)])
    game = walk.game(resolve=lambda p, h: None, feed=feed, predictions=[Predict(every="1d", horizon="1d", asset="BTC")])
    await run_game(game, ["walk:Mean"], store=store, host="inline")
    fresh = MemoryStore()
    fresh.save(store.rows(), store.predictions())
    assert len(ScoreWorker(game, fresh, patience=patience).step(feed._rows[-1].time)) == count


@both
@pytest.mark.parametrize("live", [False, True])
async def test_scoring_is_never_on_the_event_loops_thread(live, push):
    seen: dict[str, set[int]] = {"resolve": set(), "score": set()}

    def resolve(prediction, history):
        seen["resolve"].add(threading.get_ident())
        return 100.0

    def score(prediction, outcome):
        seen["score"].add(threading.get_ident())
        return walk.loss(prediction, outcome)

    feed, horizon = walk.game().feed, 7200.0
    if live:
        feed, horizon = push(), 0.001
        soon = datetime.now(UTC) + timedelta(minutes=1)
        feed.push(*(replace(row, time=soon + timedelta(milliseconds=n)) for n, row in enumerate(walk.rows())))
        feed.end()
    game = walk.game(
        resolve=resolve,
        score=score,
        feed=feed,
        predictions=[Predict(every="row", horizon=horizon, asset="BTC")],
        ahead="1d",
    )
    await run_game(game, walk.MODELS, host="inline")
    assert seen["resolve"]
    assert seen["score"]
    assert threading.get_ident() not in seen["resolve"] | seen["score"]


class Loose:
    """A contract that leaves open what is answered."""

    def predict(self, asset: str): ...


class Tuples(Loose):
    def predict(self, asset):
        return {(1, 2): 3.0}


class Plain(Loose):
    def predict(self, asset):
        return 1.0


async def test_an_answer_that_cannot_be_stored_is_invalid_and_stops_nothing(store):
    game = walk.game(tracker=Loose, predictions=BTC)
    result = await run_game(game, [Tuples, Plain], store=store, host="inline")
    assert result.ticks == 40
    odd = [p for p in store.predictions() if p.model_id == "Tuples"]
    assert {p.status for p in odd} == {Status.INVALID}
    assert all(p.value is None and p.error.startswith(odd[0].error) for p in odd)
    assert odd[0].error.startswith("the answer does not fit predict's contract: it cannot be stored: ")
    assert {standing.model_id for standing in result.leaderboard} == {"Plain"}


# per_model, and what it is told.


class Ranked:
    def tick(self, prices: dict[str, float], place: dict[str, float] | None = None) -> None: ...

    def predict(self, asset: str, horizon: int, bonus: float = 0.0) -> float: ...


class Good(Ranked):
    def __init__(self):
        self.places = []

    def tick(self, prices, place=None):
        self.price, self.place = prices["BTC"], place

    def predict(self, asset, horizon, bonus=0.0):
        return self.price + bonus + (self.place["rank"] / 100 if self.place else 0)


class Bad(Good):
    def predict(self, asset, horizon, bonus=0.0):
        return super().predict(asset, horizon, bonus) + 50


def by_standing(model, standing):
    place = None if standing is None else {"rank": standing.rank, "score": standing.scores["long"]}
    return {"place": place, "bonus": 1.0 if model.id == "Good" else 2.0}


@pytest.mark.slow
@both
async def test_per_model_arguments_follow_the_standings_and_a_restart_changes_nothing(store, played):
    game = walk.game(tracker=Ranked, per_model=by_standing, predictions=BTC)
    whole = MemoryStore()
    await run_game(game, [Good, Bad], store=whole, host="inline")
    prices = {row.time: row.prices["BTC"] for row in walk.rows()}
    extra = [(p.model_id, round(p.value - prices[p.at], 6)) for p in sorted(whole.predictions(), key=lambda p: p.at)]
    assert extra[:2] == [("Bad", 52.0), ("Good", 1.0)]  # without a standing yet
    assert extra[-2:] == [("Bad", 52.02), ("Good", 1.01)]
    for part in (6, 1, 1, 9, 100):
        await run_game(game, [Good, Bad], store=store, host="inline", max_ticks=part)
    assert played(store) == played(whole)


async def test_per_model_must_name_parameters_that_exist():
    game = walk.game(per_model=lambda model, standing: {"pet": "cat"})
    with pytest.raises(ContractError) as caught:
        await run_game(game, walk.MODELS, host="inline")
    assert str(caught.value) == "per_model gave 'pet', which no method of walk.Walk has"


# Sitting out.


@pytest.mark.parametrize("missing", ["worst", 1000.0, lambda scores: sum(scores) / len(scores)])
async def test_who_fails_a_round_is_given_what_the_games_rule_says(missing):
    store = MemoryStore()
    game = walk.game(missing=missing, windows={"all": "1000d"}, predictions=BTC)
    result = await run_game(game, walk.MODELS, store=store, host="inline")
    rounds: dict = {}
    for score in store.scores():
        rounds.setdefault(score.at, {})[score.model_id] = score.value
    expected = []
    for values in rounds.values():
        known = sorted(values.values())
        absent = known[-1] if missing == "worst" else missing(known) if callable(missing) else missing
        expected.append(values.get("Moody", absent))
    moody = next(standing for standing in result.leaderboard if standing.model_id == "Moody")
    assert moody.scores["all"] == pytest.approx(sum(expected) / len(expected), rel=1e-12)
    assert moody.rounds == len(rounds)
    assert moody.scored == sum("Moody" in values for values in rounds.values()) < moody.rounds
    assert moody.coverage == moody.scored / moody.rounds


async def test_a_stopped_model_keeps_paying_for_its_rounds_and_ages_out():
    policy = Policy(timeout=10, max_consecutive_failures=1)
    game = walk.game(policy=policy, predictions=BTC, windows={"all": "1000d"})
    result = await run_game(game, walk.MODELS, host="inline")
    moody = next(standing for standing in result.leaderboard if standing.model_id == "Moody")
    assert moody.rank == 3
    assert moody.scored < 6 < moody.rounds
    short = await run_game(walk.game(policy=policy, predictions=BTC), walk.MODELS, host="inline")
    assert {standing.model_id for standing in short.leaderboard} == {"Mean", "Last"}


@both
async def test_the_score_worker_runs_until_cancelled_and_notes_the_leaderboard():
    game, whole, store, settled = walk.game(), MemoryStore(), MemoryStore(), []
    result = await run_game(game, walk.MODELS, store=whole, host="inline")
    store.save(whole.rows(), whole.predictions())
    news = anyio.Event()

    def hear(scores):
        settled.extend(scores)
        news.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ScoreWorker(game, store).run, 0.001, hear)
        await news.wait()
        tasks.cancel_scope.cancel()
    assert settled == store.scores() == whole.scores()
    noted = store.noted("leaderboard")
    assert noted == whole.noted("leaderboard")
    assert [each["model_id"] for each in noted["leaderboard"]] == [each.model_id for each in result.leaderboard]


async def test_what_was_set_aside_is_scored_once_its_reason_is_mended(store):
    whole = MemoryStore()
    await run_game(walk.game(predictions=BTC), ["walk:Last"], store=whole, host="inline")
    await run_game(walk.game(predictions=BTC, resolve=raising), ["walk:Last"], store=store, host="inline")
    assert {score.value for score in store.scores()} == {None}
    scores = ScoreWorker(walk.game(predictions=BTC), store).retry("resolve raised KeyError: 'BTC'")
    assert store.scores() == whole.scores()
    assert len(scores) == len(whole.scores())


async def test_a_look_at_the_past_leaves_the_public_board_alone(store):
    game = walk.game(predictions=BTC)
    result = await run_game(game, walk.MODELS, store=store, host="inline")
    public = store.noted("leaderboard")
    past = ScoreWorker(game, store).standings(walk.T0 + 5 * walk.HOUR)
    assert past != result.leaderboard
    assert store.noted("leaderboard") == public


async def test_outcomes_know_the_rows_that_had_arrived_and_no_later_one(store):
    """A scorer that comes late, or is started again, finds more rows: it must not use what was not there in time."""

    def sees(prediction, history):
        return float(len(history))

    game = walk.game(predictions=BTC, resolve=sees, score=lambda prediction, outcome: outcome)
    await run_game(game, ["walk:Last"], store=(played := MemoryStore()), host="inline")
    store.save(played.rows(), played.predictions())
    scores = ScoreWorker(game, store).step()
    assert scores == played.scores()
    times = [row.time for row in played.rows()]
    for score in scores:
        assert score.value == 1 + times.index(next(time for time in times if time >= score.resolves_at))


async def test_a_worker_that_is_started_again_knows_what_was_asked_in_vain(store):
    """Nobody else has a score in the rounds that this one missed."""
    game = walk.game(predictions=BTC)
    result = await run_game(game, ["walk:Moody"], store=store, host="inline")
    [alone] = result.leaderboard
    assert 0 < alone.scored < alone.rounds
    again = ScoreWorker(game, store)
    assert again.step() == []
    assert again.standings(again.newest) == result.leaderboard


@pytest.mark.slow
def test_the_thread_that_scores_ends_with_its_worker():
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "crunch_game judge"]

    before = threads()
    store = MemoryStore()
    run_blocking(walk.game(predictions=BTC), ["walk:Last"], store=store, host="inline")
    gc.collect()
    for thread in [thread for thread in threads() if thread not in before]:
        thread.join(timeout=10)
    assert [thread for thread in threads() if thread not in before] == []
    assert store.scores()


async def test_a_row_that_was_set_aside_holds_up_no_step(store):
    """One from a day ahead stands before the others in the order of arrival."""
    game, rows = walk.game(predictions=BTC), walk.rows()
    await run_game(game, ["walk:Last"], store=(played := MemoryStore()), host="inline")
    ahead = Row(rows[-1].time + timedelta(days=1), {"BTC": 1.0}, arrived=rows[0].time)
    store.save([], aside=[(ahead, "it is from the future")])
    store.save([replace(row, arrived=row.time) for row in rows], played.predictions())
    assert ScoreWorker(game, store).step(rows[-1].time) == played.scores()


async def test_what_was_set_aside_is_not_scored_with_rows_of_another_time(store):
    """The rows that it would have been resolved with are deleted: the first that is left comes long after."""
    short = {"predictions": BTC, "history": "6h"}
    await run_game(walk.game(**short, resolve=raising), ["walk:Last"], store=store, host="inline")
    store.prune(PruneBounds(rows=store.last_row().time - 6 * walk.HOUR))
    oldest = store.rows()[0].time
    whole = MemoryStore()
    await run_game(walk.game(predictions=BTC), ["walk:Last"], store=whole, host="inline")
    right = {(score.key, score.at): score for score in whole.scores()}
    scores = ScoreWorker(walk.game(**short), store).retry()
    assert {score.at for score in scores} == {score.at for score in whole.scores()}
    for score in scores:
        if score.at < oldest:
            assert (score.value, score.reason) == (None, "the rows of its time are no longer kept (the game's history)")
        else:
            assert score == right[score.key, score.at]
    assert any(score.value is not None for score in scores)

"""What the author's functions raise for one row or round sets that aside, is told once a kind, and ends no game."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import walk

from crunch_game import MemoryStore, Predict, ReplayFeed, Row, Status, run_game
from crunch_game.errors import ContractError, GameError
from crunch_game.events import HookFailed, RoundsMissed
from crunch_game.faults import describe_exception
from crunch_game.sync import run_game as run_blocking

pytestmark = pytest.mark.anyio

ROWS = [Row(walk.T0 + n * walk.HOUR, {"BTC": 100.0 + n, "ETH": 10.0 + n}) for n in range(1, 9)]
GAP = [Row(row.time, {"ETH": row.data["ETH"]}) if n in (3, 4) else row for n, row in enumerate(ROWS)]
BTC = [Predict(every="1h", horizon="1h", asset="BTC")]


def failing_at(*hours: int, how: Callable[[], BaseException] = lambda: KeyError("BTC")) -> Callable[[Row], Any]:
    def hook(row: Row) -> Any:
        if (row.time - walk.T0) // walk.HOUR in hours:
            raise how()
        return (row.prices,)

    return hook


async def play(log: Any, rows: list[Row] = ROWS, **options: Any) -> MemoryStore:
    store = MemoryStore()
    game = walk.game(**{"feed": ReplayFeed(rows), "predictions": BTC} | options)
    result = await run_game(game, ["walk:Last"], store=store, host="inline", on_event=log)
    assert result.ticks == len(rows)
    return store


async def test_a_row_without_a_price_is_not_told_and_ends_nothing(log):
    store = await play(log, GAP, tick=lambda row: ({"BTC": row.data["BTC"]},))
    assert [str(event) for event in log.of(HookFailed)] == [
        "tick failed for 2024-01-01 04:00:00 UTC, which is set aside: KeyError: 'BTC'"
    ]
    heard = [n for n in range(1, 9) if n not in (4, 5)]
    assert [p.value for p in store.predictions()] == [
        pytest.approx(100 + [n for n in heard if n <= hour][-1] + len([n for n in heard if n <= hour]) / 1000)
        for hour in range(1, 9)
    ]
    assert len(store.rows()) == 8, "the row is kept: what it has is the truth of others"


async def test_the_row_is_not_met_again_after_a_restart(log):
    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(GAP), predictions=BTC, tick=lambda row: ({"BTC": row.data["BTC"]},))
    for ticks in (4, 1, 3):
        result = await run_game(game, ["walk:Last"], store=store, host="inline", max_ticks=ticks, on_event=log)
        assert result.ticks == ticks
    whole = await play(log, GAP, tick=lambda row: ({"BTC": row.data["BTC"]},))
    assert [p.value for p in store.predictions()] == [p.value for p in whole.predictions()]


@pytest.mark.parametrize("how", [SystemExit, GeneratorExit, RuntimeError])
async def test_whatever_tick_raises_ends_no_game(how, log):
    store = await play(log, tick=failing_at(3, 5, how=how))
    assert len(log.of(HookFailed)) == 1, "each kind is told once"
    assert len(store.predictions()) == 8


async def test_arguments_that_do_not_fit_the_contract_for_one_row_set_it_aside(log):
    await play(log, tick=lambda row: ("no prices",) if row.time == ROWS[4].time else (row.prices,))
    [event] = log.of(HookFailed)
    assert (event.hook, event.at) == ("tick", ROWS[4].time)


async def test_what_fails_for_the_very_first_row_is_the_authors_mistake(log):
    with pytest.raises(GameError, match=r"^the tick of the game walk raised KeyError: 'BTC' for the row of 2024-01-01"):
        await play(log, tick=failing_at(1))
    with pytest.raises(ContractError):
        await play(log, predictions=[Predict(every="1h", horizon="1h", asset=lambda row: 5)])
    assert log.of(HookFailed) == []


async def test_an_argument_that_fails_for_one_slot_sets_that_slot_aside(log):
    def asset(row: Row) -> str:
        if row.time == ROWS[2].time:
            raise LookupError("no asset now")
        return "BTC"

    store = await play(log, predictions=[*BTC, Predict(every="1h", horizon="2h", asset=asset)])
    assert [event.reason for event in log.of(HookFailed)] == ["LookupError: no asset now"]
    times = {key: [p.at for p in store.predictions() if p.key == key] for key in {p.key for p in store.predictions()}}
    assert sorted(map(len, times.values())) == [7, 8], "the other prediction of that slot was asked for"
    assert log.of(RoundsMissed) == []


async def test_models_whom_per_model_fails_for_are_not_asked_and_the_others_are(log):
    def per_model(model: Any, standing: Any) -> dict[str, Any]:
        if model.id == "Mean":
            raise ZeroDivisionError("no standing")
        return {}

    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), predictions=BTC, per_model=per_model)
    await run_game(game, ["walk:Last", "walk:Mean"], store=store, host="inline", on_event=log)
    by_model = {model: [p for p in store.predictions() if p.model_id == model] for model in ("Last", "Mean")}
    assert {p.status for p in by_model["Last"]} == {Status.OK}
    assert {(p.status, p.error) for p in by_model["Mean"]} == {
        (Status.SKIPPED, "the game's per_model raised ZeroDivisionError: no standing")
    }
    assert [(event.hook, event.reason) for event in log.of(HookFailed)] == [
        ("per_model", "ZeroDivisionError: no standing")
    ]


class Free:
    def tick(self, data): ...

    def predict(self, asset=None, level: int = 0) -> float: ...


class Ones(Free):
    def tick(self, data):
        pass

    def predict(self, asset=None, level=0):
        return 1.0


UNUSABLE = {
    "an object": (object(), "a object cannot be sent"),
    "half a character": ("\ud800", "surrogates not allowed"),
    "a large int": (10**30, "an integer of more than 64 bits"),
}


@pytest.mark.parametrize(("value", "why"), UNUSABLE.values(), ids=UNUSABLE)
async def test_what_cannot_be_sent_sets_its_row_or_slot_or_model_aside(value, why, log):
    """It fits the contract, which says nothing of its type."""

    def bad_at_5(row: Row, good: Any = 1.0) -> Any:
        return value if row.time == ROWS[4].time else good

    asked = Predict(every="1h", horizon="1h", asset=bad_at_5)
    store = MemoryStore()
    hooks: dict[str, Any] = {
        "tick": lambda row: (bad_at_5(row),),
        "predictions": [asked, Predict(every="1h", horizon="2h")],
        "per_model": lambda model, standing: {"level": "high"} if model.id == "Other" and len(store.rows()) > 5 else {},
    }
    game = walk.game(tracker=Free, feed=ReplayFeed(ROWS), **hooks)

    class Other(Ones):
        pass

    result = await run_game(game, [Ones, Other], store=store, host="inline", on_event=log)
    assert result.ticks == 8
    failed = {event.hook: event for event in log.of(HookFailed)}
    assert failed.keys() == {"tick", f"an argument of {game.asks[0].key}", "per_model"}
    assert all(
        why in event.reason and event.at == ROWS[4].time for hook, event in failed.items() if hook != "per_model"
    )
    rounds = {key: {p.at for p in store.predictions() if p.key == key} for key in {ask.key for ask in game.asks}}
    assert sorted(map(len, rounds.values())) == [7, 8]
    assert {p.status for p in store.predictions() if p.model_id == "Ones"} == {Status.OK}
    assert {p.status for p in store.predictions() if p.model_id == "Other"} == {Status.OK, Status.SKIPPED}


async def test_a_name_that_per_model_gives_in_vain_ends_no_season(log):
    store = MemoryStore()
    game = walk.game(
        feed=ReplayFeed(ROWS), predictions=BTC, per_model=lambda model, standing: {"levle": 1} if standing else {}
    )
    result = await run_game(game, ["walk:Last"], store=store, host="inline", on_event=log)
    assert result.ticks == 8
    [event] = log.of(HookFailed)
    assert "per_model gave 'levle', which no method of" in event.reason
    assert {p.status for p in store.predictions()} == {Status.OK, Status.SKIPPED}


class Batch:
    """A scorer of whole rounds."""

    higher_is_better = False

    def __init__(self, many: Callable[[int], Any]) -> None:
        self.many = many

    def score(self, prediction: Any, outcome: Any) -> float:
        return 2.0

    def score_many(self, predictions: Any, outcomes: Any) -> Any:
        return self.many(len(predictions))


@pytest.mark.parametrize("many", [lambda n: None, lambda n: (2.0 for _ in range(n)), lambda n: 1.0, lambda n: []])
def test_whatever_score_many_gives_ends_no_game(many):
    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), predictions=BTC, score=Batch(many))
    run_blocking(game, ["walk:Last"], store=store, host="inline")
    assert [score.value for score in store.scores()] == [2.0] * 7


def test_a_score_that_is_no_number_in_its_own_way_is_set_aside():
    """As a tensor of two elements."""

    class Two:
        def __float__(self) -> float:
            raise RuntimeError("two elements cannot be one number")

        def __repr__(self) -> str:
            return "Two()"

    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), predictions=BTC, score=lambda prediction, outcome: Two())
    run_blocking(game, ["walk:Last"], store=store, host="inline")
    assert {score.reason for score in store.scores()} == {"score gave Two(), which is no finite number"}


@pytest.mark.parametrize("how", [KeyError, SystemExit, GeneratorExit, BaseException, KeyboardInterrupt])
@pytest.mark.parametrize("hook", ["resolve", "score"])
def test_nothing_that_resolve_or_a_scorer_raises_ends_a_game(how, hook):
    def fails(prediction: Any, other: Any) -> float:
        if prediction.at == ROWS[2].time:
            raise how("now")
        return 1.0

    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), predictions=BTC, **{hook: fails})
    result = run_blocking(game, ["walk:Last"], store=store, host="inline")
    assert result.ticks == 8
    [reason] = [score.reason for score in store.scores() if score.value is None]
    assert reason == f"{hook} raised {describe_exception(how('now'))}"


@pytest.mark.parametrize(
    "missing",
    [lambda scores: float("nan"), lambda scores: 1 / 0, lambda scores: sys.exit(1)],
    ids=["nan", "raises", "exits"],
)
async def test_a_missing_that_fails_ends_no_game_and_is_told_once(missing, log):
    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), missing=missing, predictions=BTC)
    result = await run_game(game, walk.MODELS, store=store, host="inline", on_event=log)
    assert result.ticks == 8
    assert [event.hook for event in log.of(HookFailed)] == ["a board"]
    assert len(store.scores()) > 8


def test_a_scorer_that_hangs_costs_its_prediction_and_no_other(monkeypatch):
    import time

    from crunch_game import ScoreWorker

    def score(prediction: Any, outcome: Any) -> float:
        if prediction.at == ROWS[2].time:
            while True:
                pass
        if prediction.at == ROWS[4].time:
            time.sleep(1e6)
        return 1.0

    store = MemoryStore()
    game = walk.game(feed=ReplayFeed(ROWS), predictions=BTC)
    run_blocking(game, ["walk:Last"], store=(played := MemoryStore()), host="inline")
    store.save(played.rows(), played.predictions())
    slow = walk.game(feed=ReplayFeed(ROWS), predictions=BTC, score=score)
    scores = ScoreWorker(slow, store, timeout=0.2).step()
    assert {score.at: score.reason for score in scores if score.reason} == {
        ROWS[2].time: "score took longer than 0.2 s",
        ROWS[4].time: "score took longer than 0.2 s",
    }
    assert len(scores) == 7
    assert timedelta(0) < scores[0].resolves_at - scores[0].at

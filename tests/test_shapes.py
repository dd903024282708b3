"""A game of every shape that exists is played, on models in processes, with nothing in their base classes of ours."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
import shapes

from crunch_game import CRPS, Contract, Game, MemoryStore, Predict, ReplayFeed, Row, Status, run_game

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

T0 = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rows(count: int = 12, **series) -> ReplayFeed:
    return ReplayFeed([Row(T0 + n * MINUTE, {name: value(n) for name, value in series.items()}) for n in range(count)])


def price_after(name: str):
    def resolve(prediction, history):
        row = history.first_from(prediction.resolves_at)
        return None if row is None else row.data[name]

    return resolve


async def play(game: Game, model: str) -> tuple[MemoryStore, list]:
    store = MemoryStore()
    result = await run_game(game, [f"shapes:{model}"], store=store)
    assert {model.state for model in result.models} == {"ready"}
    assert {(p.status, p.error) for p in store.predictions()} == {(Status.OK, None)}
    assert store.scores()
    assert {score.reason for score in store.scores()} <= {None, "score raised ValueError: there is no answer"}
    return store, [p.value for p in store.predictions()]


async def test_birdgame():
    def metrics(model, standing):
        return {"performance_metrics": {} if standing is None else {"rank": standing.rank, **standing.scores}}

    game = Game(
        name="birdgame",
        tracker=shapes.Bird,
        predictions=[Predict(every="1m", horizon="3m")],
        resolve=price_after("dove_location"),
        score=CRPS(),
        feed=rows(dove_location=float, time=lambda n: n * 60.0),
        tick=lambda row: (dict(row.data),),
        per_model=metrics,
        init_args=(3,),
        windows={"recent": "1h"},
    )
    store, answers = await play(game, "BirdModel")
    assert answers[:2] == [None, None]
    assert answers[2]["params"] == {"loc": 2.0, "scale": 4.0}
    assert answers[2]["metrics"] == {}
    assert answers[-1]["metrics"]["rank"] == 1
    assert answers[-1]["metrics"]["recent"] > 0
    assert sum(score.value is None for score in store.scores()) == 2


@pytest.mark.parametrize("method", ["predict", "predict_all"])
async def test_crunch_synth(method):
    steps = {"step": 60} if method == "predict" else {"steps": [60, 120, 600]}

    def score(prediction, outcome):
        answer = prediction.value["60"] if method == "predict_all" else prediction.value
        return abs(answer[0]["params"]["loc"] - outcome)

    game = Game(
        name="synth",
        tracker=shapes.Synth,
        predictions=[Predict("1m", "2m", method, asset="BTC", **steps)],
        resolve=price_after("BTC"),
        score=score,
        feed=rows(BTC=lambda n: 100.0 + n),
        tick=lambda row: ({asset: [(int(row.time.timestamp()), price)] for asset, price in row.prices.items()},),
    )
    store, answers = await play(game, "SynthModel")
    density = {"step": 60, "type": "builtin", "name": "norm", "params": {"loc": 100.0, "scale": 1.0}}
    if method == "predict":
        assert answers[0] == [density] * 2
    else:
        assert answers[0] == {"60": [density] * 2, "120": [density | {"step": 120}]}  # as JSON keeps it
    assert {score.value for score in store.scores()} == {2.0}


async def test_vanta():
    game = Game(
        name="vanta",
        tracker=shapes.Vanta,
        predictions=[Predict("1m", "5m", symbol="BTC", horizon_seconds="5m", step_seconds=15)],
        resolve=price_after("close"),
        score=lambda prediction, outcome: abs(prediction.value["expected_return"]),
        feed=rows(close=lambda n: 100.0 + n),
        tick=lambda row: ({"symbol": "BTC", "asof_ts": int(row.time.timestamp()), "candles_1m": [dict(row.data)] * 2},),
    )
    _, answers = await play(game, "VantaModel")
    assert answers[-1] == {"expected_return": pytest.approx(0.11), "asked": [300, 15]}


async def test_btcvol():
    game = Game(
        name="btcvol",
        tracker=shapes.Vol,
        predictions=[Predict("1m", "4m", asset="BTC", step="1m")],
        resolve=price_after("BTC"),
        score=lambda prediction, outcome: math.dist(prediction.value, [outcome] * 4),
        feed=rows(BTC=lambda n: 0.4),
        tick=lambda row: ({"BTC": [(row.time.timestamp(), row.prices["BTC"])]},),
    )
    store, answers = await play(game, "VolModel")
    assert answers == [[0.4] * 4] * 12
    assert {score.value for score in store.scores()} == {0.0}


async def test_numinous():
    events = ReplayFeed(
        [
            Row(T0 + n * MINUTE, {"event_id": f"e{n}", "title": ["it will rise", "it will fall"][n % 2], "was": n % 2})
            for n in range(8)
        ]
    )

    def resolve(prediction, history):
        row = history.at(prediction.at)
        return None if history.latest.time < prediction.resolves_at else 1 - row.data["was"]

    game = Game(
        name="numinous",
        tracker=shapes.Numinous,
        predictions=[Predict("1m", "2m", event=lambda row: {key: row.data[key] for key in ("event_id", "title")})],
        resolve=resolve,
        score=lambda prediction, outcome: (prediction.value["prediction"] - outcome) ** 2,
        feed=events,
    )
    assert game.tick is None
    store, answers = await play(game, "NuminousModel")
    assert answers[1] == {"event_id": "e1", "prediction": 0.1, "reasoning": "it will fall"}
    assert store.predictions()[1].arguments == {"event": {"event_id": "e1", "title": "it will fall"}}
    assert {round(score.value, 9) for score in store.scores()} == {0.01}


def test_the_shapes_ask_of_models_what_the_real_ones_ask():
    required = {cls: Contract(cls).required for cls in (shapes.Bird, shapes.Vanta, shapes.Vol, shapes.Numinous)}
    assert required == {
        shapes.Bird: ("predict", "tick"),
        shapes.Vanta: ("predict",),
        shapes.Vol: ("predict",),
        shapes.Numinous: ("predict",),
    }

"""Workers apart: what the score worker notes in the store reaches the models by the predict worker."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import anyio
import pytest
import walk

from crunch_game import MemoryStore, Predict, PredictWorker, ReplayFeed, ScoreWorker, run_game
from crunch_game.errors import StoreError
from crunch_game.ranking import noted_standings
from crunch_game.workers.predicting import _notices

pytestmark = pytest.mark.anyio

BTC = [Predict(every="1h", horizon="2h", asset="BTC")]
PATIENCE = 30.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request) -> str:
    return request.param


class Ranked:
    def tick(self, prices: dict[str, float], rank: int = 0) -> None: ...

    def predict(self, asset: str, horizon: int) -> float: ...


class Good(Ranked):
    def tick(self, prices, rank=0):
        self.price, self.rank = prices["BTC"], rank

    def predict(self, asset, horizon):
        return self.price + self.rank / 1000


class Bad(Good):
    def predict(self, asset, horizon):
        return super().predict(asset, horizon) + 50


def by_standing(model: Any, standing: Any) -> dict[str, Any]:
    return {} if standing is None else {"rank": standing.rank}


class Halting(ReplayFeed):
    """Awaits something before its tenth row."""

    def __init__(self, halt) -> None:
        super().__init__(walk.rows(20))
        self._halt = halt

    async def rows(self, since=None, on_event=None):
        number = len(walk.rows(20)) - len([row for row in walk.rows(20) if since is None or row.time > since])
        async with aclosing(super().rows(since)) as rows:
            async for row in rows:
                number += 1
                if number == 10:
                    await self._halt()
                yield row


class Away(MemoryStore):
    """A store whose leaderboard cannot be read for a while."""

    is_away = False
    asked = 0

    def noted(self, name):
        if name == "leaderboard" and self.is_away:
            self.asked += 1
            raise StoreError("the server is gone")
        return super().noted(name)


async def until(condition) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - nobody tells of what is waited for
            await anyio.sleep(0.005)


def ranks(store) -> dict[str, list[float]]:
    """What each model was told of its rank in each round, from what it answered."""
    prices = {row.time: row.prices["BTC"] for row in walk.rows(20)}
    found: dict[str, list[float]] = {}
    for each in sorted(store.predictions(), key=lambda each: each.at):
        offset = 50 if each.model_id == "Bad" else 0
        found.setdefault(each.model_id, []).append(round((each.value - prices[each.at] - offset) * 1000))
    return found


async def test_standings_are_made_again_from_what_the_store_has():
    store = MemoryStore()
    result = await run_game(walk.game(), walk.MODELS, store=store, host="inline")
    noted = store.noted("leaderboard")
    assert noted_standings(noted["leaderboard"]) == result.leaderboard
    assert {standing.coverage for standing in result.leaderboard} != {1.0}, "they differ in more than their names"


async def test_a_models_standing_reaches_it_though_another_process_scores(monkeypatch, caplog):
    monkeypatch.setattr(_notices, "_INTERVAL", 0.01)
    store = Away()
    game = walk.game(tracker=Ranked, per_model=by_standing, predictions=BTC, windows={"all": "1000d"})

    async def score() -> None:
        scorer = ScoreWorker(game, store)
        scorer.step()
        scorer.all_standings(scorer.newest)
        await until(lambda: worker._notices.standing_of("Good") is not None)
        store.is_away = True
        await until(lambda: store.asked >= 3)

    worker = PredictWorker(game, [Good, Bad], store, feed=Halting(score), host="inline", max_ticks=15)
    await worker.run()
    rounds = worker.rounds
    told = ranks(store)
    before = told["Good"].index(1)
    assert told == {
        "Good": [0] * before + [1] * (rounds - before),
        "Bad": [0] * before + [2] * (rounds - before),
    }
    assert 0 < before < rounds, "it is told what was noted last, though the store cannot be read since"
    assert [record.getMessage() for record in caplog.records if "standings" in record.getMessage()] == [
        "the standings cannot be read for now, so models keep those that they had: the server is gone"
    ]

    store.is_away = False
    again = PredictWorker(game, [Good, Bad], store, feed=ReplayFeed(walk.rows(20)), host="inline")
    await again.run()
    assert again.rounds
    assert all(set(each[rounds:]) == {rank} for each, rank in zip(ranks(store).values(), (2, 1), strict=True)), (
        "known before its first round"
    )

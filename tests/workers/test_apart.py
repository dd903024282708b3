"""Workers apart: what the score worker notes in the store reaches the models by the predict worker."""

from __future__ import annotations

from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import walk
from virtual import Killed

from crunch_game import MemoryStore, Predict, PredictWorker, ReplayFeed, ScoreWorker, Status, run_game
from crunch_game.errors import StoreError
from crunch_game.ranking import noted_standings
from crunch_game.workers.predicting import HANDLED, _notices

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
    assert [record.getMessage() for record in caplog.records if "others leave" in record.getMessage()] == [
        "what others leave in the store cannot be read for now: the server is gone"
    ]

    store.is_away = False
    again = PredictWorker(game, [Good, Bad], store, feed=ReplayFeed(walk.rows(20)), host="inline")
    await again.run()
    assert again.rounds
    assert all(set(each[rounds:]) == {rank} for each, rank in zip(ranks(store).values(), (2, 1), strict=True)), (
        "known before its first round"
    )


# What people ask for, by the store.


class Asked(MemoryStore):
    """A store that keeps corrections, and of which the worker is killed before it notes that one was carried out."""

    keeps_corrections = True
    kills = False

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[SimpleNamespace] = []

    def ask(self, verb: str, model_id: str, reason: str = "") -> None:
        self._asked.append(SimpleNamespace(verb=verb, model_id=model_id, reason=reason))

    def corrections(self, after: int = 0) -> list[tuple[int, SimpleNamespace]]:
        return list(enumerate(self._asked, 1))[after:]

    def note(self, name, document):
        if self.kills and name == HANDLED:
            raise Killed
        super().note(name, document)

    @property
    def handled(self) -> int:
        return (self.noted(HANDLED) or {}).get("number", 0)

    def state(self, model_id: str) -> tuple[str, str | None]:
        [found] = [each for each in self.models() if each.model_id == model_id]
        return found.state, found.reason


def playing(store: Asked, halt: Any = None, *, ticks: int | None = None) -> PredictWorker:
    feed = ReplayFeed(walk.rows(20)) if halt is None else Halting(halt)
    return PredictWorker(
        walk.game(predictions=BTC), ["walk:Last", "walk:Mean"], store, feed=feed, host="inline", max_ticks=ticks
    )


def absent(store: MemoryStore, model_id: str) -> list[int]:
    """In which rows' rounds a model was not asked."""
    numbers = {row.time: number for number, row in enumerate(walk.rows(20), 1)}
    return sorted(
        numbers[each.at] for each in store.predictions() if each.model_id == model_id and each.status is Status.SKIPPED
    )


async def test_what_is_asked_of_a_running_worker_is_done_once(monkeypatch, caplog):
    monkeypatch.setattr(_notices, "_INTERVAL", 0.01)
    store = Asked()

    async def ask() -> None:
        store.ask("stop", "Last", "it copies")
        store.ask("void", "Last", "not this worker's")
        store.ask("stop", "Nobody", "who?")
        await until(lambda: store.handled == 3)

    worker = playing(store, ask, ticks=12)
    await worker.run()
    assert store.state("Last") == ("stopped", "it copies")
    assert absent(store, "Last") == list(range(10, 13))
    assert absent(store, "Mean") == []
    assert "there is no model 'Nobody' in the game; there is Last, Mean" in caplog.text

    await playing(store, ticks=2).run()  # until rows 13 and 14
    assert absent(store, "Last") == list(range(10, 15)), "a restart changes nothing"
    store.ask("readmit", "Last")
    await playing(store, ticks=2).run()
    assert absent(store, "Last") == list(range(10, 15)), "asked while no worker ran, done at the start"
    assert (store.handled, store.state("Last")[0]) == (4, "ready")
    store.ask("stop", "Mean", "it is enough")
    await playing(store, ticks=1).run()
    assert absent(store, "Mean") == [17], "before the first round"
    assert store.state("Mean") == ("stopped", "it is enough")


async def test_the_newest_request_counts_and_a_model_is_readmitted_while_the_game_runs(monkeypatch):
    monkeypatch.setattr(_notices, "_INTERVAL", 0.01)
    store = Asked()
    store.ask("stop", "Last", "by mistake")
    store.ask("readmit", "Last")
    store.ask("stop", "Mean", "for a while")

    async def ask() -> None:
        store.ask("readmit", "Mean")
        await until(lambda: store.handled == 4 and worker.runner.models["Mean"].state == "ready")

    worker = playing(store, ask)
    await worker.run()
    assert absent(store, "Last") == []
    assert absent(store, "Mean") == list(range(1, 10))
    whole = MemoryStore()
    await run_game(
        walk.game(), walk.MODELS[:1], store=whole, host="inline", feed=ReplayFeed(walk.rows(20)), max_ticks=20
    )
    known = {each.at: each.value for each in whole.predictions() if each.key == store.predictions()[0].key}
    assert all(
        each.value == known[each.at]
        for each in store.predictions()
        if each.model_id == "Mean" and each.status is Status.OK
    ), "it knows the rows that it missed"


@pytest.mark.parametrize("verb", ["stop", "readmit"])
async def test_a_kill_before_it_is_noted_forgets_nothing_and_does_nothing_twice(verb):
    store = Asked()
    if verb == "readmit":
        store.ask("stop", "Last", "first")
        await playing(store, ticks=2).run()
    store.ask(verb, "Last", "asked")
    store.kills = True
    with pytest.raises(Killed):
        await playing(store, ticks=4).run()
    store.kills = False
    before = store.handled
    await playing(store, ticks=3).run()
    assert store.handled == before + 1
    assert store.state("Last")[0] == ("stopped" if verb == "stop" else "ready")
    assert absent(store, "Last") == ([1, 2, 3] if verb == "stop" else [1, 2])

"""What a fresh instance is told before it plays: every row that it missed, once, wherever it runs."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
import walk
from virtual import Coming, Scripted, VirtualClock

from crunch_game import MemoryStore, ModelRunner, Predict, PredictWorker, ProcessHost, ReplayFeed, Row, Sandbox, Status
from crunch_game.events import HookFailed, ModelJoined, ModelReady, RoundPlayed

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
HOURLY = [Predict(every="1h", horizon="2h", asset="BTC")]


class Counting:
    def tick(self, prices: dict[str, Any], step: int = 0) -> None: ...

    def predict(self, asset: str, horizon: int) -> Any: ...


class Counter(Counting):
    """Answers how many rows it was told, the sum of their numbers, whether they were in order, and of its steps."""

    def __init__(self):
        self.told, self.steps = [], 0

    def tick(self, prices, step=0):
        self.told.append(prices["BTC"])
        self.steps += step

    def predict(self, asset, horizon):
        return [len(self.told), sum(self.told), self.told == sorted(self.told), self.steps]


class Other(Counter):
    pass


def rows(count: int) -> list[Row]:
    return [Row(walk.T0 + number * MINUTE, {"BTC": float(number)}) for number in range(1, count + 1)]


def counting(**options: Any) -> Any:
    return walk.game(tracker=Counting, predictions=HOURLY, **options)


async def answers(game: Any, count: int, *, known: int, host: str, models: list[Any], log: Any) -> dict[str, Any]:
    """Play the rest of so many rows, and return what was answered to the last round by models that missed the first."""
    store = MemoryStore()
    store.save(rows(known))
    worker = PredictWorker(game, models, store, feed=ReplayFeed(rows(count)), host=host, on_event=log)
    await worker.run()
    last = max(each.at for each in store.predictions())
    return {each.model_id: each.value for each in store.predictions() if each.at == last}


def expected(numbers: Any, step: int = 0) -> list[Any]:
    told = list(numbers)
    return [len(told), sum(told), True, step * len(told)]


@HOSTS
async def test_a_fresh_model_knows_every_row_once_and_in_order(host, log):
    found = await answers(counting(), 1320, known=1301, host=host, models=[Counter, Other], log=log)
    assert found == {"Counter": expected(range(1, 1321)), "Other": expected(range(1, 1321))}


@HOSTS
async def test_a_fresh_model_knows_no_more_than_the_game_says(host, log):
    game = counting(warmup="10h")
    found = await answers(game, 1320, known=1320 - 60, host=host, models=[Counter], log=log)
    assert found == {"Counter": expected(range(1320 - 60 - 600, 1321))}


@HOSTS
async def test_arguments_of_its_own_reach_each_model_with_every_row(host, log):
    game = counting(per_model=lambda model, standing: {"step": 3 if model.id == "Other" else 1})
    found = await answers(game, 1320, known=1301, host=host, models=[Counter, Other], log=log)
    assert found == {"Counter": expected(range(1, 1321), 1), "Other": expected(range(1, 1321), 3)}


@HOSTS
async def test_rows_that_nobody_was_told_are_left_out(host, log):
    """One that `tick` raises for, one that the contract does not allow, one that cannot be sent."""

    def tick(row: Row) -> Any:
        number = row.prices["BTC"]
        odd = {7.0: {"BTC": object()}, 8.0: "no prices at all", 600.0: {"BTC": object()}}
        if number == 9.0:
            raise KeyError(number)
        return (odd.get(number, row.prices),)

    found = await answers(counting(tick=tick), 720, known=719, host=host, models=[Counter], log=log)
    assert found["Counter"] == expected(set(range(1, 721)) - {7, 8, 9, 600})
    assert log.of(HookFailed)


@HOSTS
async def test_rows_are_prepared_once_for_all_models_and_no_more_at_once_than_memory_is_for(
    host, log, tmp_path, monkeypatch
):
    told, sizes = [], []
    kept = ModelRunner.retelling

    def retelling(self: ModelRunner, calls: Any) -> Any:
        sizes.append(len(calls))
        return kept(self, calls)

    def tick(row: Row) -> Any:
        told.append(row.time)
        return ({**row.prices, **({"news": "x" * 50_000} if large else {})},)

    monkeypatch.setattr(ModelRunner, "retelling", retelling)
    game = walk.game(tracker=Counting, predictions=HOURLY, tick=tick)
    models = [tmp_path / f"model{number}.py" for number in range(6)]
    for model in models:
        model.write_text(f"from {__name__} import Counter\n\n\nclass Mine(Counter):\n    pass\n")
    large = False
    found = await answers(game, 1920, known=1919, host=host, models=models, log=log)
    assert found == {model.stem: expected(range(1, 1921)) for model in models}
    assert len(told) <= 1.2 * 1919, "and not six times as many"
    assert max(sizes) <= 512

    large = True
    game = walk.game(tracker=Counting, predictions=HOURLY, tick=tick)
    del sizes[:]
    assert (await answers(game, 60, known=50, host=host, models=models[:1], log=log))["model0"][0] == 60
    assert max(sizes) <= 3, "two of them are a hundred kilobytes"


GATED = """
import os, time
from walk import Last

class Gated(Last):
    def tick(self, prices):
        while not os.path.exists({gate!r}):
            time.sleep(0.002)
        super().tick(prices)
"""


@pytest.mark.processes
@pytest.mark.parametrize("live", [True, False], ids=["live", "replay"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_model_that_is_not_warmed_up_is_not_asked_and_not_punished_and_nobody_waits(
    tmp_path, log, live, members
):
    """It joins before the fourth row, and cannot be told the first one before the eighth."""
    folder, gate = tmp_path / "gate", tmp_path / "gate" / "open"
    folder.mkdir()
    roster = members("walk:Last")
    (tmp_path / "gated.py").write_text(GATED.format(gate=str(gate)))
    hours = [Row(walk.T0 + number * walk.HOUR, {"BTC": float(number), "ETH": 1.0}) for number in range(1, 13)]

    async def act(number: int) -> None:
        if number == 4:
            roster.tell("walk:Last", str(tmp_path / "gated.py"))
            await log.until(ModelJoined, "gated")
        if number == 8:
            assert not log.of(ModelReady, "gated")
            gate.touch()
            await log.until(ModelReady, "gated")

    class Replayed(ReplayFeed):
        async def rows(self, since: Any = None, on_event: Any = None) -> Any:
            async with aclosing(super().rows(since)) as found:
                async for row in found:
                    await act(hours.index(row) + 1)
                    yield row

    class Watched(Scripted):
        async def rows(self, since: Any = None, on_event: Any = None) -> Any:
            async with aclosing(super().rows(since)) as found:
                async for row in found:
                    await act(hours.index(row) + 1)
                    yield row

    clock = VirtualClock(walk.T0)
    script = [Coming(row, row.time) for row in hours]
    feed = Watched(clock, script, hours[-1].time + MINUTE, has_past=True) if live else Replayed(hours)
    store = MemoryStore()
    game = walk.game(predictions=HOURLY)
    host = ProcessHost(sandbox=Sandbox(write=[folder]))
    worker = PredictWorker(game, roster, store, feed=feed, host=host, on_event=log, clock=clock if live else None)
    async with clock.moving():
        await worker.run()

    by_model = {
        name: sorted((each for each in store.predictions() if each.model_id == name), key=lambda each: each.at)
        for name in ("Last", "gated")
    }
    assert [each.value for each in by_model["Last"]] == [number + number / 1000 for number in range(1, 13)]
    assert [each.at for each in by_model["gated"]] == [row.time for row in hours[3:]]
    absent = [each for each in by_model["gated"] if each.status is Status.SKIPPED]
    assert [each.at for each in absent] == [row.time for row in hours[3:7]]
    assert {each.error.partition(" for ")[0] for each in absent} == {"it has been loading"}
    assert all(each.excused for each in absent)
    played = [each.value for each in by_model["gated"] if each.status is Status.OK]
    assert played == [number + number / 1000 for number in range(8, 13)], "it was told all of them"
    assert not worker.runner.models["gated"].health.strikes
    assert (worker.missed, worker.late) == (0, 0)
    assert len(log.of(RoundPlayed)) == 12

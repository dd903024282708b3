"""The worker itself: whom it asks when, where it ends, what it leaves in the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import diary
import pytest
import thirteen
import walk

from crunch_game import (
    Game,
    MemoryStore,
    Policy,
    Predict,
    PredictWorker,
    ReplayFeed,
    Row,
    ScoreWorker,
    Status,
    open_store,
    run_game,
)
from crunch_game.errors import GameError, UsageError
from crunch_game.events import ModelLeft, ModelReady, RoundPlayed, TickPlayed

pytestmark = pytest.mark.anyio


def assets(rows: int, **options: Any) -> Game:
    given: dict[str, Any] = {
        "name": "assets",
        "tracker": thirteen.Assets,
        "predictions": [Predict(every="1h", horizon="1h", asset=asset) for asset in thirteen.ASSETS],
        "resolve": lambda prediction, history: 1.0,
        "score": lambda prediction, outcome: 0.0,
        "feed": ReplayFeed([Row(walk.T0 + n * walk.HOUR, {"A00": 1.0}) for n in range(1, rows + 1)]),
    }
    return Game(**given | options)


@pytest.mark.processes
async def test_a_slow_model_makes_nobody_else_late_for_any_of_thirteen_assets():
    """It takes 0.9 of its budget for each; all others have been asked everything before its second answer."""
    store, models = MemoryStore(), ("Quick", "Quicker", "Slow")
    game = assets(2, policy=Policy(timeout=thirteen.BUDGET, max_consecutive_timeouts=0))
    await run_game(game, [f"thirteen:{model}" for model in models], store=store)
    for at in {p.at for p in store.predictions()}:
        quick, quicker, slow = (
            sorted(p.value for p in store.predictions() if (p.at, p.model_id, p.status) == (at, model, Status.OK))
            for model in models
        )
        assert (len(quick), len(quicker)) == (13, 13)
        assert len(slow) > 1, "each of its calls has its own budget"
        assert max(quick[-1], quicker[-1]) < slow[1]


async def test_one_bad_moment_is_one_strike_for_each_asset_and_the_same_asset_three_times_stops(log):
    store = MemoryStore()
    policy = Policy(timeout=5, max_consecutive_failures=3)
    await run_game(assets(6, policy=policy), [thirteen.Moody], store=store, host="inline", on_event=log)
    by_slot = {
        at: [p.status for p in store.predictions() if p.at == at] for at in sorted({p.at for p in store.predictions()})
    }
    statuses = list(by_slot.values())
    assert statuses[1] == [Status.RAISED] * 13
    assert statuses[2].count(Status.OK) == 12, "thirteen failures of one moment have not stopped it"
    assert set(statuses[3]) == {Status.SKIPPED}, "the third failure of one asset in a row has"
    [record] = store.models()
    assert (
        record.reason
        == "3 failures of predict(asset='A12') +3600s in a row (the limit is 3); the last: RuntimeError: not now"
    )


async def test_a_model_that_has_left_is_not_ready_in_the_store(push, members, log):
    feed, roster, store = push(), members("diary:Keeper", "diary:Other"), MemoryStore()
    game = walk.game(
        tracker=diary.Diary,
        feed=feed,
        predictions=[Predict(every="row", horizon="1h")],
        tick=lambda row: (dict(row.data),),
    )
    worker = PredictWorker(game, roster, store, host="inline", on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await log.until(ModelReady, count=2)
        feed.push(Row(datetime.now(UTC), {"n": 1.0}))
        await log.until(RoundPlayed)
        roster.tell("diary:Keeper")
        await log.until(ModelLeft)
        feed.push(Row(datetime.now(UTC), {"n": 2.0}))
        await log.until(RoundPlayed, count=2)
        feed.end()
    assert {record.model_id: record.state for record in store.models()} == {"Keeper": "ready", "Other": "left"}


async def test_a_worker_is_stopped_from_any_thread_while_it_waits(push, log):
    worker = PredictWorker(walk.game(feed=push()), walk.MODELS, MemoryStore(), host="inline", on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await log.until(ModelReady, count=3)
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(lambda: [worker.stop(), threading.get_ident()])
    assert worker.ticks == 0


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs signals that a program may give a meaning")
async def test_a_worker_is_stopped_by_a_signal_handler(push, log):
    worker = PredictWorker(walk.game(feed=push()), walk.MODELS, MemoryStore(), host="inline", on_event=log)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: worker.stop())
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            await log.until(ModelReady, count=3)
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert worker.ticks == 0


async def test_two_workers_do_not_play_on_one_store(store, push, log):
    feed = push()
    first = PredictWorker(walk.game(feed=feed), walk.MODELS, store, host="inline", on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await log.until(ModelReady, count=3)
        with pytest.raises(UsageError, match=r"^the store has a predict worker already \(in this process, since 20"):
            await PredictWorker(walk.game(feed=push()), walk.MODELS, store, host="inline").run()
        feed.end()
    await PredictWorker(walk.game(), walk.MODELS, store, host="inline").run()


async def test_two_workers_do_not_score_on_one_store(store):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ScoreWorker(walk.game(), store).run)
        while store.lease("score") is None:  # noqa: ASYNC110 - nothing tells of it
            await anyio.sleep(0.001)
        with pytest.raises(UsageError, match=r"^the store has a score worker already"):
            await run_game(walk.game(), walk.MODELS, store=store, host="inline")
        tasks.cancel_scope.cancel()


@pytest.mark.processes
def test_a_second_run_of_a_game_on_one_store_is_refused_and_a_killed_ones_place_is_free(tmp_path):
    url = f"sqlite:///{tmp_path / 'game.db'}"
    program = (
        "import sys, walk\n"
        "from crunch_game import open_store\n"
        "from crunch_game.sync import run_game\n"
        "def slow(row):\n"
        "    print('tick', flush=True)\n"
        "    return (row.prices,)\n"
        "game = walk.game(feed=walk.ReplayFeed(walk.rows(100_000)), tick=slow)\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    run_game(game, walk.MODELS, store=store, host='inline')\n"
    )
    folder = Path(walk.__file__).parent
    command = [sys.executable, "-c", program, url]
    for _ in range(2):  # the second finds the place of the killed one
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                assert running.stdout.readline() == "tick\n"
                refused = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
                assert refused.returncode == 1
                assert "UsageError: the store has a " in refused.stderr
                assert f"(process {running.pid} on " in refused.stderr
            finally:
                running.kill()


async def test_rows_may_be_told_to_another_method(log):
    class Fed:
        def feed_update(self, prices: dict[str, float]) -> None: ...

        def predict(self, asset: str, horizon: int) -> float: ...

    class Last(Fed):
        def feed_update(self, prices):
            self.prices = prices

        def predict(self, asset, horizon):
            return self.prices[asset]

    store = MemoryStore()
    game = walk.game(tracker=Fed, tick_method="feed_update")
    await run_game(game, [Last], store=store, host="inline", on_event=log)
    assert len(log.of(TickPlayed)) == 40
    assert {p.status for p in store.predictions()} == {Status.OK}
    with pytest.raises(
        GameError, match=r"Fed has no method tick, so nobody would be told the rows; .*tick_method='feed_update'"
    ):
        walk.game(tracker=Fed, tick=lambda row: (row.prices,))
    with pytest.raises(GameError, match=r"Walk has no method feed_update"):
        walk.game(tick_method="feed_update")
    assert walk.game(tracker=Fed).tick is None, "a game may have none"


async def test_a_store_of_the_last_release_goes_on(tmp_path, log):
    """Its predictions' times are those at which they were asked: the slot that contains one counts as played."""
    url = f"sqlite:///{tmp_path / 'game.db'}"
    rows = walk.rows(10)
    with open_store(url) as store:
        await run_game(walk.game(feed=ReplayFeed(rows[:6])), ["walk:Last"], store=store, host="inline")
        odd = [replace(p, at=p.at + timedelta(minutes=7), asked_at=None, seen=None) for p in store.predictions()]
    with open_store("memory:") as old:
        old.save([replace(row, arrived=None) for row in rows[:6]], odd)
        await run_game(walk.game(feed=ReplayFeed(rows)), ["walk:Last"], store=old, host="inline", on_event=log)
        new = [p for p in old.predictions() if p.asked_at is not None]
        assert min(p.at for p in new) > rows[5].time

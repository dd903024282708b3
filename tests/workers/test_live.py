"""A live game: the wall clock rules, rows come when they come, and models join when they like."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import diary
import pytest
import walk

from crunch_game import (
    Game,
    MemoryStore,
    PollingFeed,
    Predict,
    PredictWorker,
    ProcessHost,
    Row,
    Sandbox,
    Status,
    run_game,
)
from crunch_game.errors import FeedError
from crunch_game.events import ModelLeft, ModelReady, ModelRestarted, RoundLate, RoundPlayed, RoundsMissed, TickPlayed
from crunch_game.feeds import Backoff
from crunch_game.feeds.base import FeedTrouble
from crunch_game.workers import Standings

pytestmark = pytest.mark.anyio

T0 = walk.T0
MINUTE = timedelta(minutes=1)


class Clock:
    """A wall clock that stands until the test sets it."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        return self.now


def row(n: int, time: datetime | None = None) -> Row:
    return Row(time or T0 + n * MINUTE, {"n": float(n)})


def diaries(**options) -> Game:
    given = {
        "name": "diary",
        "tracker": diary.Diary,
        "predictions": [Predict(every="1h", horizon="1h")],
        "resolve": lambda prediction, history: None,
        "score": lambda prediction, outcome: 0.0,
    }
    return Game(**given | options)


async def test_late_and_missed_rounds_are_told_and_each_slot_is_played_once(push, log):
    feed, clock, store = push(), Clock(), MemoryStore()

    async def stored(now: datetime) -> None:
        log(now)

    worker = PredictWorker(
        diaries(feed=feed), [diary.Keeper], store, host="inline", on_event=log, after_row=stored, clock=clock
    )

    async def at(minutes: float, n: int) -> None:
        clock.now = T0 + minutes * MINUTE
        feed.push(row(n, clock.now))
        await log.until(datetime, count=n)
        await anyio.wait_all_tasks_blocked()  # it waits for the next row, and looks at the clock no more

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await at(20, 1)  # the first round comes at the first occasion, and is not late
        await at(30, 2)  # its slot is played
        await at(61, 3)  # a minute of an hour is not late
        await at(90, 4)
        await at(150, 5)  # half an hour late
        await at(361, 6)  # 3, 4 and 5 o'clock went by
        feed.end()
    key = "predict() +3600s"
    assert [event.at for event in log.of(RoundPlayed)] == [T0 + m * MINUTE for m in (20, 61, 150, 361)]
    assert log.of(RoundLate) == [RoundLate(key, T0 + 120 * MINUTE, 1800.0)]
    assert log.of(RoundsMissed) == [RoundsMissed(key, T0 + 360 * MINUTE, 3)]
    assert (worker.ticks, worker.rounds, worker.late, worker.missed) == (6, 4, 1, 3)
    assert [p.value for p in store.predictions()] == [[1.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0], [*range(1, 7)]]


async def test_a_gap_while_the_game_was_down_is_told_after_the_restart(push, log):
    store, clock = MemoryStore(), Clock()
    for now, n in ((T0, 1), (T0 + timedelta(hours=6), 2)):
        feed, clock.now = push(), now
        feed.push(row(n, now))
        feed.end()
        await PredictWorker(diaries(feed=feed), [diary.Keeper], store, host="inline", on_event=log, clock=clock).run()
    assert feed.asked_since == [T0]
    assert [event.count for event in log.of(RoundsMissed)] == [5]
    assert [p.at for p in store.predictions()] == [T0, T0 + timedelta(hours=6)]
    assert [row.data["n"] for row in store.rows()] == [1, 2]


async def test_a_round_that_is_due_is_played_without_a_row(push, log):
    feed, store = push(), MemoryStore()
    game = diaries(feed=feed, predictions=[Predict(every=0.05, horizon="1h")])
    worker = PredictWorker(game, [diary.Keeper], store, host="inline", on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        feed.push(row(1, datetime.now(UTC)))
        await log.until(RoundPlayed, count=4)
        worker.stop()
    assert worker.ticks == 1
    assert {tuple(p.value) for p in store.predictions()} == {(1.0,)}
    slots = [int(p.at.timestamp() * 1e6) // 50_000 for p in store.predictions()]
    assert slots == sorted(set(slots))


async def test_nothing_is_played_before_the_first_row(push, log):
    feed = push()
    game = diaries(feed=feed, predictions=[Predict(every=0.01, horizon="1h")])
    worker = PredictWorker(game, [diary.Keeper], MemoryStore(), host="inline", on_event=log)
    asked = []
    worker._clock = lambda: asked.append(1) or datetime.now(UTC)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await log.until(ModelReady)
        await anyio.wait_all_tasks_blocked()
        assert len(asked) <= 2  # it waits for the row; it does not turn in circles
        feed.push(row(1, datetime.now(UTC)))
        await log.until(RoundPlayed)
        feed.end()
    assert worker.ticks == 1


async def test_a_live_feed_that_breaks_is_told_after_all_that_it_gave_is_played(log):
    class Breaking:
        live = True

        async def rows(self, since=None, on_event=None):
            for n in range(1, 6):
                yield row(n)
            raise FeedError("the source is gone")

    store = MemoryStore()
    with pytest.raises(FeedError, match=r"^the source is gone$"):
        await run_game(diaries(feed=Breaking()), [diary.Keeper], store=store, host="inline")
    assert len(store.rows()) == 5


async def test_max_ticks_ends_a_live_game(push):
    feed = push()
    feed.push(*map(row, range(1, 10)))
    worker = PredictWorker(diaries(feed=feed), [diary.Keeper], MemoryStore(), host="inline", max_ticks=4)
    await worker.run()
    assert worker.ticks == 4


async def rows_without_end(feed, count: list[int]) -> None:
    while feed.open:
        count[0] += 1
        feed.push(row(count[0]))
        await anyio.sleep(0.001)


@pytest.mark.parametrize("host", ["inline", "process"])
async def test_who_joins_late_is_told_every_row_exactly_once_while_they_keep_arriving(host, push, members, log):
    feed, roster, store, count = push(), members("diary:Keeper"), MemoryStore(), [0]
    game = diaries(feed=feed, predictions=[Predict(every=0.001, horizon="1h")])
    worker = PredictWorker(game, roster, store, host=host, on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        tasks.start_soon(rows_without_end, feed, count)
        await log.until(TickPlayed, count=60)
        roster.tell("diary:Keeper", "diary:Other")
        await log.until(ModelReady, count=2)
        await log.until(RoundPlayed, count=len(log.of(RoundPlayed)) + 60)
        roster.tell("diary:Keeper")
        await log.until(ModelLeft)
        worker.stop()
        feed.end()
    answers = [p for p in store.predictions() if p.status is Status.OK]
    assert {p.model_id for p in answers} == {"Keeper", "Other"}
    times = [row.time for row in store.rows()]
    for answer in answers:
        assert answer.value == [*range(1, int(answer.value[-1]) + 1)]
    at_once: dict = {}
    for answer in answers:
        assert at_once.setdefault(answer.at, answer.value) == answer.value
    assert len(times) == worker.ticks
    assert sum(p.model_id == "Other" for p in answers) >= 50


@pytest.mark.processes
async def test_who_is_restarted_is_told_every_row_exactly_once(push, log, tmp_path):
    feed, store, count = push(), MemoryStore(), [0]
    game = diaries(feed=feed, predictions=[Predict(every=0.001, horizon="1h")])
    host = ProcessHost(env={"DIED": str(tmp_path / "died")}, sandbox=Sandbox(write=[tmp_path]))
    worker = PredictWorker(game, ["diary:Keeper", "diary:DiesOnce"], store, host=host, on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        tasks.start_soon(rows_without_end, feed, count)
        await log.until(ModelRestarted)
        await log.until(ModelReady, count=3)
        await log.until(RoundPlayed, count=len(log.of(RoundPlayed)) + 41)  # one may have been under way
        worker.stop()
        feed.end()
    answers = [p for p in store.predictions() if p.status is Status.OK and p.model_id == "DiesOnce"]
    assert len(answers) >= 40
    for answer in answers:
        assert answer.value == [*range(1, int(answer.value[-1]) + 1)]


class Prices(ThreadingHTTPServer):
    """A server of prices that stumbles now and then."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps({"time": time.time(), "BTC": 100.0 + self.server.asked % 3}).encode()
        if self.server.asked % 5 == 4:
            body = b"junk"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.processes
async def test_a_game_is_fed_by_an_endpoint_scored_and_ranked(store, log):
    def parse(document):
        return Row(datetime.fromtimestamp(document["time"], UTC), {"BTC": document["BTC"]})

    with Prices() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        feed = PollingFeed(server.url, parse=parse, every=0.02, backoff=Backoff(0.001, 0.001))
        game = walk.game(
            feed=feed,
            predictions=[Predict(every=0.05, horizon=0.1, asset="BTC")],
            windows={"minute": "1m"},
        )
        try:
            result = await run_game(game, walk.MODELS, store=store, max_ticks=40, on_event=log)
        finally:
            server.shutdown()
            thread.join()
    assert (result.ticks, len(store.rows())) == (40, 40)
    assert log.of(FeedTrouble)
    assert len(log.of(Standings)) >= 2
    assert {standing.model_id for standing in result.leaderboard} == {"Mean", "Last", "Moody"}
    assert store.noted("leaderboard")["game"] == "walk"
    rows = store.rows()
    scores = [score for score in store.scores() if score.value is not None]
    assert len(scores) >= 10
    predictions = {(p.model_id, p.key, p.at): p for p in store.predictions()}
    for score in scores:
        prediction = predictions[score.model_id, score.key, score.at]
        truth = next(row.prices["BTC"] for row in rows if row.time >= score.resolves_at)
        assert score.value == abs(prediction.value - truth)

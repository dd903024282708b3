"""A live game: the wall clock rules, rows come when they come, and models join when they like."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import diary
import pytest
import walk
from virtual import Coming, Scripted, VirtualClock

from crunch_game import (
    Game,
    MemoryStore,
    PollingFeed,
    Predict,
    PredictWorker,
    ProcessHost,
    ReplayFeed,
    Row,
    Sandbox,
    ScoreWorker,
    Status,
    run_game,
)
from crunch_game.errors import FeedError, GameError
from crunch_game.events import ModelLeft, ModelReady, ModelRestarted, RoundPlayed, RoundsMissed, RowsSlow, TickPlayed
from crunch_game.feeds import Backoff
from crunch_game.feeds.base import FeedTrouble, RowDropped, RowKept
from crunch_game.workers import Answered, Standings

pytestmark = pytest.mark.anyio

T0 = walk.T0


@pytest.fixture
def anyio_backend():
    """A virtual clock turns the event loop until nothing happens; `test_worker` plays live games on trio too."""
    return "asyncio"


MINUTE = timedelta(minutes=1)


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


def coming(minutes: float, n: int, late: float = 0.0) -> Coming:
    return Coming(row(n, T0 + minutes * MINUTE), T0 + (minutes + late) * MINUTE)


async def play(game: Game, script: list[Coming], minutes: float, log, store=None, *, clock=None) -> PredictWorker:
    """Play rows that come when the script says, for so many minutes of a virtual clock."""
    clock = clock or VirtualClock(T0)
    feed = Scripted(clock, script, clock.now() + minutes * MINUTE, has_past=True)
    store = store or MemoryStore()
    worker = PredictWorker(game, [diary.Keeper], store, feed=feed, host="inline", on_event=log, clock=clock)
    async with clock.moving():
        await worker.run()
    return worker


@pytest.mark.slow
async def test_a_slot_knows_every_row_up_to_it_and_none_later(log):
    store = MemoryStore()
    script = [coming(n * 20, n) for n in range(1, 10)]  # 00:20 to 03:00
    script[4] = coming(101, 5, late=0.0)  # not at 01:40, and one is exactly at 01:00, 02:00 and 03:00
    await play(diaries(), script, 200, log, store)
    assert [(p.at, p.seen, p.value) for p in store.predictions()] == [
        (T0 + hours * 60 * MINUTE, T0 + hours * 60 * MINUTE, [*range(1, 3 * hours + 1)]) for hours in (1, 2, 3)
    ]


async def test_a_slot_without_a_row_of_its_own_is_played_before_a_later_row_is_told(log):
    store = MemoryStore()
    await play(diaries(wait="30m", max_age="2h"), [coming(59, 1), coming(61, 2), coming(125, 3)], 130, log, store)
    assert [(p.at, p.seen, p.value) for p in store.predictions()] == [
        (T0 + 60 * MINUTE, T0 + 59 * MINUTE, [1.0]),
        (T0 + 120 * MINUTE, T0 + 61 * MINUTE, [1.0, 2.0]),
    ]


@pytest.mark.slow
async def test_a_slot_waits_for_rows_that_are_late_and_no_longer(log):
    store = MemoryStore()
    script = [coming(50, 1), coming(60, 2, late=0.5), coming(120, 3, late=0.75)]
    await play(diaries(wait=30), script, 130, log, store)
    assert [(p.at, p.seen, p.value) for p in store.predictions()] == [
        (T0 + 60 * MINUTE, T0 + 60 * MINUTE, [1.0, 2.0]),  # it came at the very end of the wait: in time
    ], "the row of two o'clock came too late, and that of one is too old"
    assert [(event.slot, event.count) for event in log.of(RoundsMissed)] == [(T0 + 120 * MINUTE, 1)]
    assert log.of(RoundsMissed)[0].reason == "the newest row was of 2024-01-01 01:00:00 UTC, and may be 3,600 s old"


async def test_slots_may_be_beside_the_whole_hours(log):
    store = MemoryStore()
    game = diaries(predictions=[Predict(every="1h", horizon="1h", offset="5m")])
    await play(game, [coming(60, 1), coming(63, 2), coming(65, 3), coming(67, 4)], 70, log, store)
    assert [(p.at, p.value) for p in store.predictions()] == [(T0 + 65 * MINUTE, [1.0, 2.0, 3.0])]


async def test_each_row_may_be_a_slot(log):
    store = MemoryStore()
    game = diaries(predictions=[Predict(every="row", horizon=3)])
    await play(game, [coming(n * 0.05, n) for n in range(1, 5)], 1, log, store)
    assert [(p.at, p.seen, p.value) for p in store.predictions()] == [
        (T0 + n * timedelta(seconds=3), T0 + n * timedelta(seconds=3), [*range(1, n + 1)]) for n in range(1, 5)
    ]


@pytest.mark.slow
async def test_slots_are_played_without_new_rows_as_long_as_the_newest_is_young_enough(log):
    store = MemoryStore()
    await play(diaries(max_age="3h", wait=0), [coming(60, 1)], 400, log, store)
    assert [(p.at, p.value) for p in store.predictions()] == [(T0 + h * 60 * MINUTE, [1.0]) for h in (1, 2, 3)]
    assert sum(event.count for event in log.of(RoundsMissed)) == 3


async def test_a_gap_while_the_game_was_down_is_told_after_the_restart(log):
    store, clock = MemoryStore(), VirtualClock(T0)
    await play(diaries(), [coming(0, 1)], 1, log, store, clock=clock)
    clock.move(T0 + 361 * MINUTE)
    await play(diaries(), [coming(300, 2), coming(360, 3)], 1, log, store, clock=clock)
    assert [(p.at, p.value) for p in store.predictions()] == [(T0, [1.0]), (T0 + 360 * MINUTE, [1.0, 2.0, 3.0])]
    assert [(event.slot, event.count) for event in log.of(RoundsMissed)] == [(T0 + 300 * MINUTE, 5)]
    assert log.of(RoundsMissed)[0].reason == "the game was not running"
    assert [session.number for session in store.sessions()] == [1, 2]
    assert [session.committed for session in store.sessions()] == [T0, T0 + 360 * MINUTE]


async def test_a_slot_from_before_the_start_is_played_within_its_grace(log):
    store = MemoryStore()
    for late, played in ((5.9, True), (6.0, False)):
        store, clock = MemoryStore(), VirtualClock(T0 + 60 * MINUTE)
        clock.move(clock.now() + late * MINUTE)
        await play(diaries(wait=0), [coming(30, 1), coming(60, 2), coming(61, 3)], 1, log, store, clock=clock)
        assert [(p.at, p.value) for p in store.predictions()] == [(T0 + 60 * MINUTE, [1.0, 2.0])] * played


async def test_a_row_from_the_future_is_set_aside_and_silences_nobody(log):
    store = MemoryStore()
    ahead = Coming(row(99, T0 + timedelta(days=1)), T0 + MINUTE)
    await play(diaries(), [ahead, coming(59, 1), coming(60, 2)], 65, log, store)
    assert [p.value for p in store.predictions()] == [[1.0, 2.0]]
    assert [each.data["n"] for each in store.rows()] == [1, 2]
    [dropped] = log.of(RowDropped)
    assert dropped.reason == "its time is 86,340 s ahead of the clock"
    assert [arrival.aside for _, arrival in store.arrivals()] == [dropped.reason, None, None]


async def test_late_rows_and_corrections_are_kept_and_told_to_nobody(log):
    store = MemoryStore()
    script = [coming(10, 1), coming(30, 3), coming(20, 2, late=15), coming(30, 4, late=6), coming(30, 4, late=7)]
    script += [coming(20, 2, late=late) for late in (16, 17, 18)]
    await play(diaries(), [*script, coming(60, 5)], 61, log, store)
    assert [p.value for p in store.predictions()] == [[1.0, 3.0, 5.0]]
    assert [each.data["n"] for each in store.rows()] == [1, 2, 4, 5]
    assert [(event.time, event.is_correction) for event in log.of(RowKept)] == [
        (T0 + 20 * MINUTE, False),
        (T0 + 30 * MINUTE, True),
    ], "a repetition is none"


async def test_rows_that_come_later_than_slots_wait_are_told_once(log):
    await play(diaries(wait=1), [coming(n, n, late=0.1) for n in range(1, 50)], 60, log)
    assert [str(event) for event in log.of(RowsSlow)] == [
        "rows arrive 6 s after their time in the median, but slots wait for 1 s; give the game a longer wait"
    ]


async def test_budgets_that_do_not_fit_between_the_slots_are_refused(push):
    game = diaries(feed=push(), predictions=[Predict(every=2, horizon=n) for n in (1, 2, 3)])
    sentence = (
        "the predictions of diary cannot be played live: models may take 3 × 1 s every 2 s, which is 150% of the time; "
        "give Policy(timeout=...) less, or ask less often"
    )
    with pytest.raises(GameError) as refused:
        PredictWorker(game, [diary.Keeper], MemoryStore())
    assert str(refused.value) == sentence


async def test_it_waits_for_the_first_row_and_does_not_turn_in_circles(log):
    clock = VirtualClock(T0)
    looked = []
    real, clock.adopted = clock.adopted, lambda seen=None: looked.append(1) or real(seen)
    worker = await play(diaries(), [coming(1, 1)], 1, log, clock=clock)
    assert worker.ticks == 1
    assert len(looked) < 40, "twelve heartbeats, and a few more"


async def test_a_live_feed_that_breaks_is_told_after_all_that_it_gave_is_played(log):
    class Breaking:
        live = True

        async def rows(self, since=None, on_event=None):
            now = datetime.now(UTC)
            for n in range(1, 6):
                yield row(n, now + n * timedelta(milliseconds=1))
            raise FeedError("the source is gone")

    store = MemoryStore()
    with pytest.raises(FeedError, match=r"^the source is gone$"):
        await run_game(diaries(feed=Breaking()), [diary.Keeper], store=store, host="inline")
    assert len(store.rows()) == 5


async def test_max_ticks_ends_a_live_game(push):
    feed = push()
    now = datetime.now(UTC)
    feed.push(*(row(n, now + n * timedelta(milliseconds=1)) for n in range(1, 10)))
    worker = PredictWorker(diaries(feed=feed), [diary.Keeper], MemoryStore(), host="inline", max_ticks=4)
    await worker.run()
    assert worker.ticks == 4


async def rows_without_end(feed, count: list[int]) -> None:
    while feed.open:
        count[0] += 1
        feed.push(row(count[0], datetime.now(UTC)))
        await anyio.sleep(0.001)


@pytest.mark.parametrize("host", ["inline", "process"])
async def test_who_joins_late_is_told_every_row_exactly_once_while_they_keep_arriving(host, push, members, log):
    feed, roster, store, count = push(), members("diary:Keeper"), MemoryStore(), [0]
    game = diaries(feed=feed, predictions=[Predict(every="row", horizon="1h")])
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
    game = diaries(feed=feed, predictions=[Predict(every="row", horizon="1h")])
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
            predictions=[Predict(every="row", horizon=0.1, asset="BTC")],
            windows={"minute": "1m"},
        )
        try:
            result = await run_game(game, walk.MODELS, store=store, max_ticks=40, on_event=log)
        finally:
            server.shutdown()
            thread.join()
    assert (result.ticks, len(store.rows())) == (40, 40)
    assert {model_id: answered["tick"] for model_id, answered in result.answered.items()} == dict.fromkeys(
        ("Mean", "Last", "Moody"), Answered(40, 40)
    )
    assert {(fault.model_id, fault.kind, fault.count) for fault in result.faults} == {("Moody", "RuntimeError", 8)}
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


async def test_a_replay_asks_whom_the_live_game_has_asked(members, push, log):
    """One joins late, and leaves."""
    feed, roster, store = push(), members("diary:Keeper"), MemoryStore()
    game = walk.game(
        tracker=diary.Diary,
        feed=feed,
        predictions=[Predict(every="row", horizon="1h")],
        tick=lambda row: (dict(row.data),),
    )
    worker = PredictWorker(game, roster, store, host="inline", on_event=log)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        for n in range(1, 7):
            if n == 3:
                roster.tell("diary:Keeper", "diary:Other")
                await log.until(ModelReady, count=2)
            if n == 5:
                roster.tell("diary:Keeper")
                await log.until(ModelLeft)
            feed.push(row(n, datetime.now(UTC)))
            await log.until(RoundPlayed, count=n)
        feed.end()
    assert [sum(p.model_id == "Other" for p in store.predictions() if p.status is Status.OK)] == [2]
    again = MemoryStore()
    await run_game(game, ["diary:Keeper", "diary:Other"], store=again, feed=ReplayFeed(store), host="inline")
    live, replayed = ([replace(p, elapsed=0.0, asked_at=None) for p in each.predictions()] for each in (store, again))
    assert replayed == live


async def test_a_short_history_deletes_no_rows_that_are_still_to_be_scored(log):
    """With a short history and a scorer that was down for longer."""
    whole, late = MemoryStore(), MemoryStore()
    rows = [Row(T0 + n * MINUTE, {"n": float(n)}) for n in range(1, 120)]

    def options(**more):
        return diaries(
            predictions=[Predict(every="5m", horizon="5m")],
            resolve=lambda prediction, history: history.first_from(prediction.resolves_at).data["n"],
            score=lambda prediction, outcome: outcome,
            feed=ReplayFeed(rows),
            **more,
        )

    await run_game(options(), [diary.Keeper], store=whole, host="inline")
    await PredictWorker(options(history="10m"), [diary.Keeper], late, host="inline").run()
    assert ScoreWorker(options(history="10m"), late).step() == whole.scores()
    assert len(late.rows()) > 100


async def test_nobody_is_told_of_a_row_while_none_comes():
    told, clock = [], VirtualClock(T0)

    async def after_row(time: datetime) -> None:
        told.append(time)

    feed = Scripted(clock, [coming(59, 1), coming(60, 2)], T0 + 90 * MINUTE, has_past=True)
    worker = PredictWorker(
        diaries(), [diary.Keeper], MemoryStore(), feed=feed, host="inline", clock=clock, after_row=after_row
    )
    async with clock.moving():
        await worker.run()
    assert told == [T0 + 59 * MINUTE, T0 + 60 * MINUTE]

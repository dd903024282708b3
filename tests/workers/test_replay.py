"""A game over history: the same on every host, in every store, and however often it is interrupted."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
import walk

from crunch_game import (
    MemoryStore,
    Policy,
    Predict,
    PredictWorker,
    ReplayFeed,
    ScoreWorker,
    Status,
    open_store,
    run_game,
)
from crunch_game.errors import FeedError, UsageError
from crunch_game.events import ModelStopped, RoundPlayed, TickPlayed
from crunch_game.sync import run_game as run_blocking
from crunch_game.workers import Standings

pytestmark = pytest.mark.anyio

GAMES = Path(walk.__file__).parent


def test_an_uninterrupted_run_is_what_the_rules_say(uninterrupted):
    """The numbers that the other tests compare with are themselves computed here, from the rows alone."""
    (rows, predictions, scores, _, _), result = uninterrupted
    assert rows == walk.rows()
    asked = {key: [] for key in ("predict(asset='BTC', horizon=7200)", "predict(asset='ETH', horizon=21600)")}
    times, due = [row.time for row in rows], 0
    for slots, hours in zip(asked.values(), (1, 3), strict=True):
        every = timedelta(hours=hours)
        slot = walk.T0 + every
        while slot <= times[-1]:
            due += slot >= times[0]
            if any(slot - every < time <= slot for time in times):
                slots.append(slot)
            slot += every
    assert (result.ticks, result.missed, result.late) == (40, due - result.rounds, 0)
    assert {(p.key, p.at) for p in predictions} == {(key, at) for key, slots in asked.items() for at in slots}
    assert result.rounds == sum(map(len, asked.values()))
    assert result.predictions == len(predictions) == 3 * result.rounds
    for prediction in predictions:
        assert prediction.seen == max(time for time in times if time <= prediction.at)
        heard = [row.prices["BTC"] for row in rows if row.time <= prediction.at]
        expected = {"Mean": sum(heard) / len(heard), "Last": heard[-1] + len(heard) / 1000, "Moody": heard[-1]}
        if prediction.model_id == "Moody" and len(heard) % 5 == 0:
            assert prediction.status is Status.RAISED
            assert prediction.error == f"RuntimeError: not in the mood after {len(heard)} rows"
        else:
            assert prediction.value == pytest.approx(expected[prediction.model_id])
    due = [p for p in predictions if p.status is Status.OK and p.resolves_at <= rows[-1].time]
    assert {(s.model_id, s.key, s.at) for s in scores} == {(p.model_id, p.key, p.at) for p in due}


@pytest.mark.parametrize("host", ["inline", "process"])
async def test_every_host_and_store_gives_the_same(host, store, played, uninterrupted):
    result = await run_game(walk.game(), walk.MODELS, store=store, host=host)
    expected, reference = uninterrupted
    assert played(store) == expected
    assert result.leaderboard == reference.leaderboard
    board, legend, *faults = str(result).split("\n\n")
    assert legend == result.legend
    assert [fault.partition(":")[0] for fault in faults] == ["Moody", "Moody"]
    assert [line.split()[:2] for line in board.splitlines()] == [
        ["rank", "model"],
        *([str(each.rank), each.model_id] for each in result.leaderboard),
    ]
    assert [model.model_id for model in result.models] == ["Last", "Mean", "Moody"]
    assert {model.state for model in result.models} == {"ready"}


async def test_stopped_and_started_again_the_union_is_an_uninterrupted_run(store, played, uninterrupted):
    ticks = 0
    for part in (1, 1, 7, 3, 100):
        result = await run_game(walk.game(), walk.MODELS, store=store, host="inline", max_ticks=part)
        ticks += result.ticks
    expected, reference = uninterrupted
    assert ticks == 40
    assert played(store) == expected
    assert result.leaderboard == reference.leaderboard


@pytest.mark.processes
async def test_stop_ends_after_the_row_in_hand(store, played, uninterrupted):
    workers = []

    def stop_at_the_ninth(event):
        if isinstance(event, TickPlayed) and workers[-1].ticks == 8:
            workers[-1].stop()

    first = await run_game(
        walk.game(), walk.MODELS, store=store, host="process", on_event=stop_at_the_ninth, on_start=workers.append
    )
    assert (first.ticks, len(store.rows())) == (9, 9)
    await run_game(walk.game(), walk.MODELS, store=store, host="process")
    assert played(store) == uninterrupted[0]


@pytest.mark.processes
async def test_stop_does_not_wait_for_models_that_load(store, tmp_path):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\ntime.sleep(3600)\n")
    workers = []

    def stop_when_it_loads(event):
        workers[-1].stop()

    with anyio.fail_after(20):
        result = await run_game(
            walk.game(), [sleeper], store=store, on_event=stop_when_it_loads, on_start=workers.append
        )
    assert (result.ticks, store.rows()) == (0, [])


@pytest.mark.processes
def test_a_killed_game_goes_on_as_if_nothing_had_been(tmp_path, played, uninterrupted):
    url, chance, kills = f"sqlite:///{tmp_path / 'game.db'}", random.Random(7), 0
    while True:
        with subprocess.Popen(
            [sys.executable, "-W", "error", str(GAMES / "walk.py"), url], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = list(zip(range(chance.randint(2, 18)), process.stdout, strict=False))
            if lines and lines[-1][1] == "done\n":
                break
            time.sleep(chance.random() / 50)  # somewhere in the row that follows
            process.kill()
        if process.returncode == 0:
            break  # it was faster than the kill
        assert process.returncode == -9
        kills += 1
    assert kills >= 1
    with closing(open_store(url)) as store:
        assert played(store) == uninterrupted[0]


class Killed(Exception):
    """Stands for the end of the process."""


class Mortal(MemoryStore):
    """A store whose process ends instead of a write, once it has no more lives."""

    lives = 10**9

    def _write(self, write, *arguments, **named):
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        write(*arguments, **named)

    def save(self, *arguments, **named):
        self._write(super().save, *arguments, **named)

    def settle(self, scores, rounds=()):
        self._write(super().settle, scores, rounds)


@pytest.mark.slow
def test_killed_between_any_two_writes_the_union_is_an_uninterrupted_run(played):
    game = walk.game(feed=ReplayFeed(walk.rows(14)))
    whole = Mortal()
    reference = run_blocking(game, walk.MODELS, store=whole, host="inline")
    writes = Mortal.lives - whole.lives
    assert writes > 20
    for lives in range(writes):
        store = Mortal()
        store.lives = lives
        with pytest.raises(Killed):
            run_blocking(game, walk.MODELS, store=store, host="inline")
        store.lives = Mortal.lives
        assert run_blocking(game, walk.MODELS, store=store, host="inline").leaderboard == reference.leaderboard
        assert played(store) == played(whole)


@pytest.mark.processes
def test_scores_may_be_made_in_another_process(tmp_path, played, uninterrupted):
    url = f"sqlite:///{tmp_path / 'game.db'}"
    program = (
        "import sys, anyio, walk\n"
        "from crunch_game import ScoreWorker, open_store\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    print('up', flush=True)\n"
        "    anyio.run(ScoreWorker(walk.game(), store).run, 0.01, lambda scores: print(len(scores), flush=True))\n"
    )
    with (
        open_store(url) as store,
        subprocess.Popen([sys.executable, "-c", program, url], cwd=GAMES, stdout=subprocess.PIPE, text=True) as scorer,
    ):
        try:
            assert scorer.stdout is not None
            assert scorer.stdout.readline() == "up\n"
            anyio.run(PredictWorker(walk.game(), walk.MODELS, store, host="process").run)
            expected, reference = uninterrupted
            settled = 0
            while settled < len(expected[2]):
                settled += int(scorer.stdout.readline())
            assert played(store) == expected
        finally:
            scorer.kill()
    with open_store(url) as store:
        board = ScoreWorker(walk.game(), store).standings(walk.rows()[-1].time)
        assert board == reference.leaderboard
        assert store.noted("leaderboard")["game"] == "walk"


async def test_the_workers_can_be_used_one_after_the_other(store, played, uninterrupted):
    await PredictWorker(walk.game(), walk.MODELS, store, host="inline").run()
    assert store.scores() == []
    end = walk.rows()[-1].time
    scorer = ScoreWorker(walk.game(), store)
    assert scorer.step(end) == store.scores()
    assert scorer.step(end) == []
    assert played(store) == uninterrupted[0]
    assert scorer.standings(end) == uninterrupted[1].leaderboard


async def test_no_row_is_played_with_max_ticks_0(store):
    result = await run_game(walk.game(), walk.MODELS, store=store, host="inline", max_ticks=0)
    assert (result.ticks, result.predictions, result.leaderboard, store.rows()) == (0, 0, [], [])


async def test_what_happens_is_told(log):
    result = await run_game(walk.game(), walk.MODELS, host="inline", on_event=log)
    rows = walk.rows()
    assert [event.at for event in log.of(TickPlayed)] == [row.time for row in rows]
    assert len(log.of(RoundPlayed)) == result.rounds
    first = log.of(RoundPlayed)[0]
    assert (first.key, first.at) == ("predict(asset='BTC', horizon=7200)", rows[0].time)
    assert set(first.round) == {"Mean", "Last", "Moody"}
    last = log.of(Standings)[-1]
    assert (last.at, last.standings) == (rows[-1].time, result.leaderboard)


async def test_a_listener_that_raises_stops_nothing(played, uninterrupted, caplog):
    def hear(event):
        raise RuntimeError("deaf")

    store = MemoryStore()
    await run_game(walk.game(), walk.MODELS, store=store, host="inline", on_event=hear)
    assert played(store) == uninterrupted[0]
    kinds = {record.args[0].__class__ for record in caplog.records if record.exc_info}
    assert {TickPlayed, RoundPlayed, Standings} <= kinds
    assert caplog.messages[-1].endswith("; the game goes on")


@pytest.mark.processes
async def test_a_stopped_model_stays_stopped_over_a_restart_until_it_has_new_code(tmp_path, log):
    store = MemoryStore()
    broken = tmp_path / "models" / "broken.py"
    broken.parent.mkdir()
    text = "from walk import Walk\nclass Broken(Walk):\n    def tick(self, prices): pass\n"
    broken.write_text(text + "    def predict(self, asset, horizon): return 'many'\n")
    game = walk.game(policy=Policy(timeout=10, max_consecutive_failures=3))
    await run_game(game, broken.parent, store=store, max_ticks=10)
    [record] = store.models()
    assert record.state == "stopped"
    assert record.reason.startswith(
        "3 failures of predict(asset='BTC', horizon=7200) in a row (the limit is 3); the last: the answer does not fit"
    )
    before = len(store.predictions())
    await run_game(game, broken.parent, store=store, max_ticks=10, on_event=log)
    later = [p for p in store.predictions() if p.at > walk.rows()[9].time]
    assert len(store.predictions()) - before == len(later) > 0
    assert {(p.status, p.error) for p in later} == {(Status.SKIPPED, f"it was stopped: {record.reason}")}
    assert [event.reason for event in log.of(ModelStopped)] == [record.reason]
    broken.write_text(text + "    def predict(self, asset, horizon): return 1.0\n")
    await run_game(game, broken.parent, store=store, max_ticks=10)
    assert {p.status for p in store.predictions() if p.at > walk.rows()[19].time} == {Status.OK}
    assert store.models()[0].state == "ready"


async def test_all_rows_are_kept_and_only_the_history_that_is_asked_for_is_told_again(store):
    game = walk.game(history="10h", predictions=[Predict(every="1h", horizon="2h", asset="BTC")])
    await run_game(game, ["walk:Last"], store=store, host="inline")
    rows = walk.rows()
    assert store.rows() == rows
    more = ReplayFeed([*rows, *[walk.Row(rows[-1].time + walk.HOUR, {"BTC": 5.0})]])
    await run_game(game, ["walk:Last"], store=store, host="inline", feed=more)
    told = [row for row in rows if row.time >= rows[-1].time - 10 * walk.HOUR]
    assert store.predictions()[-1].value == 5.0 + (len(told) + 1) / 1000


async def test_a_shorter_warmup_is_told_less_than_is_kept(store):
    game = walk.game(warmup="3h", predictions=[Predict(every="1h", horizon="2h", asset="BTC")])
    rows = walk.rows()
    await run_game(game, ["walk:Last"], store=store, host="inline", max_ticks=20)
    await run_game(game, ["walk:Last"], store=store, host="inline", max_ticks=1)
    told = [row for row in rows[:20] if row.time >= rows[19].time - 3 * walk.HOUR]
    assert len(store.rows()) == 21
    assert store.predictions()[-1].value == rows[20].prices["BTC"] + (len(told) + 1) / 1000


async def test_history_bounds_what_resolve_sees_whether_restarted_or_not():
    seen = []

    def looking(prediction, history):
        seen.append((prediction.at, prediction.key, len(history), next(iter(history)).time))
        return walk.truth(prediction, history)

    game, models = walk.game(history="6h", resolve=looking), ["walk:Mean", "walk:Last"]
    whole, parts = MemoryStore(), MemoryStore()
    await run_game(game, models, store=whole, host="inline")
    once, seen[:] = list(seen), []
    for _ in range(8):
        await run_game(game, models, store=parts, host="inline", max_ticks=5)
    assert set(seen) == set(once)
    assert all(at >= first or at - first < walk.HOUR for at, _, _, first in seen)
    assert [(s.at, s.model_id, s.outcome) for s in parts.scores()] == [
        (s.at, s.model_id, s.outcome) for s in whole.scores()
    ]


async def test_a_feed_that_breaks_off_is_told_as_it_is_and_what_it_gave_is_kept(store):
    def rows():
        yield from walk.rows(3)
        yield walk.rows(1)[0]

    with pytest.raises(FeedError, match=r"^row 3: its time .* is not later than .* of row 2; sort by time"):
        await run_game(walk.game(), walk.MODELS, store=store, host="inline", feed=ReplayFeed(rows()))
    assert len(store.rows()) == 3


async def test_a_store_belongs_to_one_game(store, played):
    await run_game(walk.game(), walk.MODELS, store=store, host="inline", max_ticks=2)
    before = played(store)
    with pytest.raises(
        UsageError, match=r"^the store keeps the game 'walk', not 'run'; give each game a store of its own$"
    ):
        await run_game(walk.game(name="run"), walk.MODELS, store=store, host="inline")
    assert played(store) == before


async def test_a_game_without_a_feed_says_so():
    with pytest.raises(UsageError) as caught:
        await run_game(walk.game(feed=None), walk.MODELS)
    assert str(caught.value) == "the game walk has no feed of its own; give one, for example a replay of history"


class Steps:
    """A feed whose rows are an iterator of its own kind, with nothing but what the protocol asks for."""

    live = False

    def rows(self, since=None, on_event=None):
        return Stepping(iter(walk.rows(4)))


class Stepping:
    def __init__(self, rows) -> None:
        self._rows = rows

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return next(self._rows)
        except StopIteration:
            raise StopAsyncIteration from None


async def test_an_authors_feed_needs_only_what_the_protocol_asks_for():
    assert (await run_game(walk.game(feed=Steps()), walk.MODELS, host="inline", max_ticks=2)).ticks == 2
    assert (await run_game(walk.game(feed=Steps()), walk.MODELS, host="inline")).ticks == 4

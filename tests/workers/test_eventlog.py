"""What is kept of what a worker tells: all of it in order, in its round's transaction; and what becomes of models."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import walk

from crunch_game import MemoryStore, Policy, PredictWorker, ReplayFeed, Status, open_store, run_game
from crunch_game.events import ModelJoined, ModelLeft, ModelLoadFailed, ModelReady, ModelRedeployed, ModelStopped
from crunch_game.outcomes import Fault
from crunch_game.storage import DeploymentRecord, EventRecord, GameLog, Store
from crunch_game.workers._deployments import Deployments
from crunch_game.workers._eventlog import EventLog

pytestmark = pytest.mark.anyio

T0 = walk.T0
SECOND = timedelta(seconds=1)


class HandClock:
    """A wall clock that the test sets."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def waiting(clock) -> EventLog:
    return EventLog(MemoryStore(), clock.now, lambda: T0 - SECOND)


def test_events_wait_in_their_order_and_no_two_are_of_one_moment(waiting):
    for name in "abc":
        waiting.hear(ModelJoined(name, "d1"))
    events = waiting.take().events
    assert [(each.model_id, each.moment - T0, each.seen) for each in events] == [
        ("a", timedelta(0), T0 - SECOND),
        ("b", timedelta(microseconds=1), T0 - SECOND),
        ("c", timedelta(microseconds=2), T0 - SECOND),
    ]
    assert len({each.writer for each in events}) == 1
    assert not waiting.take()


def test_a_clock_that_is_set_back_loses_no_event(waiting, clock):
    """Those of the second hour of that day are another writer's, so that none is taken for one of the first."""
    waiting.hear(ModelJoined("a", "d1"))
    clock.time += 3600 * SECOND
    waiting.hear(ModelJoined("b", "d1"))
    clock.time = T0
    waiting.hear(ModelJoined("c", "d1"))
    events = waiting.take().events
    assert [each.moment for each in events] == [T0, T0 + 3600 * SECOND, T0]
    store = MemoryStore()
    store.save(log=GameLog(events))
    assert [each.model_id for _, each in store.events()] == ["a", "b", "c"]


def test_what_waits_is_bounded_and_what_was_lost_is_said(waiting):
    for n in range(10_003):
        waiting.hear(ModelLeft(str(n), "d1"))
    *kept, last = waiting.take().events
    assert [each.model_id for each in kept] == [str(n) for n in range(3, 10_003)]
    assert last.kind == "EventsLost"
    assert last.text == "3 events before this could not be kept: the store was not written to for too long"
    waiting.hear(ModelLeft("x", "d1"))
    assert [each.kind for each in waiting.take().events] == ["ModelLeft"]


def test_threads_tell_at_once(waiting):
    def tell(name: str) -> None:
        for n in range(500):
            waiting.hear(ModelLeft(f"{name}{n}", "d1"))

    threads = [threading.Thread(target=tell, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = waiting.take().events
    assert len({each.moment for each in events}) == 2_000
    for name in "abcd":
        own = [each.model_id for each in events if each.model_id.startswith(name)]
        assert own == [f"{name}{n}" for n in range(500)]


def test_what_is_no_event_of_the_game_is_none_of_the_logs(waiting):
    waiting.hear("a word")
    assert not waiting.take()


async def test_a_store_that_keeps_no_log_is_given_none():
    class Small(MemoryStore):
        """As an author wrote it before there were logs."""

        keeps_log = False

        def save(self, rows=(), predictions=(), models=(), *, aside=(), session=None):
            super().save(rows, predictions, models, aside=aside, session=session)

        events, faults, deployments = Store.events, Store.faults, Store.deployments

    store = Small()
    result = await run_game(walk.game(), walk.MODELS, store=store, host="inline")
    assert result.predictions == len(store.predictions()) > 0
    assert (store.events(), store.faults(), store.deployments()) == ([], [], [])


# In the transaction of the round.


def kept(store: Store) -> Counter[str]:
    return Counter(each.kind for _, each in store.events())


def assert_events_are_of_what_was_played(store: Store) -> None:
    """A round, or a row, is in the store with its event and its faults, or none of it is."""
    events = [each for _, each in store.events()]
    rounds = [(each.details["key"], each.details["at"]) for each in events if each.kind == "RoundPlayed"]
    predictions = store.predictions()
    assert len(rounds) == len({*rounds})
    assert {*rounds} == {(each.key, each.at.isoformat()) for each in predictions}
    told = [each.details["at"] for each in events if each.kind == "TickPlayed"]
    assert told == [row.time.isoformat() for row in store.rows()]
    failed = {(each.key, each.at, each.model_id): each for each in store.faults() if each.key != "tick"}
    assert failed.keys() == {(p.key, p.at, p.model_id) for p in predictions if p.status.kind in ("failure", "timeout")}
    for p in predictions:
        if p.status.kind == "failure":
            assert failed[p.key, p.at, p.model_id].message == p.error


async def test_every_row_round_and_fault_of_a_game_is_there(store, log):
    await run_game(walk.game(), walk.MODELS, store=store, host="inline", on_event=log)
    assert_events_are_of_what_was_played(store)
    assert kept(store) == Counter(type(each).__name__ for each in log.records if type(each).__name__ != "Standings")
    [first, *_] = store.faults()
    assert (first.model_id, first.kind) == ("Moody", "RuntimeError")
    assert first.traceback.endswith(
        f'raise RuntimeError(f"not in the mood after {{len(self.heard)}} rows")\n{first.message}'
    )


KILLED = """
import os, signal, sys
import walk
from crunch_game import open_store
from crunch_game.sync import run_game

def dying(event):
    if type(event).__name__ == "RoundPlayed" and event.at >= walk.rows(40)[int(sys.argv[2])].time:
        os.kill(os.getpid(), signal.SIGKILL)

with open_store(sys.argv[1]) as store:
    run_game(walk.game(), walk.MODELS, store=store, host="inline", on_event=dying)
"""


@pytest.mark.processes
def test_a_kill_loses_no_event_of_what_the_store_has(tmp_path):
    """It comes in the middle of a round: neither that round nor its events are there, and all before it are."""
    url = f"sqlite:///{tmp_path / 'game.db'}"
    for row in (7, 20):  # the second worker goes on where the first was killed
        command = [sys.executable, "-c", KILLED, url, str(row)]
        ended = subprocess.run(command, cwd=Path(walk.__file__).parent, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        with open_store(url) as store:
            assert_events_are_of_what_was_played(store)
            assert store.rows()[-1].time < walk.rows(40)[row].time
            assert len(store.deployments()) == 3
    with open_store(url) as store:
        assert kept(store)["ModelReady"] == 6, "three models, twice"
        assert len({each.writer for _, each in store.events()}) == 2


KILLED_WRITING = """
import os, signal, sys
import walk
from sqlalchemy import Engine, event
from crunch_game import open_store
from crunch_game.sync import run_game

def die(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

for n, path in enumerate(sys.argv[1:]):
    pid = os.fork()  # which is cheaper than to import all of this once for each
    if pid == 0:
        with open_store(f"sqlite:///{path}") as store:
            left = 90 + n
            for moment in ("before_cursor_execute", "commit"):
                event.listen(Engine, moment, die)
            run_game(walk.game(), walk.MODELS, store=store, host="inline")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.processes
def test_a_kill_before_any_statement_leaves_a_round_with_its_events_or_neither(tmp_path):
    """So many statements in a row that several writes of a round, and what is between them, are among them."""
    paths = [tmp_path / f"{n}.db" for n in range(60)]
    command = [sys.executable, "-c", KILLED_WRITING, *map(str, paths)]
    ended = subprocess.run(command, cwd=Path(walk.__file__).parent, capture_output=True, text=True, check=True)
    assert {int(line) for line in ended.stdout.split()} == {-signal.SIGKILL}
    rounds = Counter[int]()
    for path in paths:
        with open_store(f"sqlite:///{path}") as store:
            assert_events_are_of_what_was_played(store)
            rounds[kept(store)["RoundPlayed"]] += 1
    assert len(rounds) > 2


async def test_what_happened_last_is_kept_when_a_game_is_ended_by_a_fault_of_its_feed(store):
    class Broken(ReplayFeed):
        async def rows(self, since=None, on_event=None):
            async for row in super().rows(since):
                yield row
            raise OSError("the wire is cut")

    game = walk.game(feed=Broken(walk.rows(5)))
    with pytest.raises(OSError, match="the wire is cut"):
        await PredictWorker(game, walk.MODELS, store, host="inline").run()
    assert_events_are_of_what_was_played(store)


async def test_a_model_that_fails_when_it_is_told_a_row_has_faults_with_the_rows_time(store):
    class Deaf(walk.Last):
        def tick(self, prices):
            super().tick(prices)
            if len(self.heard) in (2, 3):
                raise ValueError(f"row {len(self.heard)}")

    rows = walk.rows(6)
    await run_game(walk.game(feed=ReplayFeed(rows)), [Deaf], store=store, host="inline")
    faults = [each for each in store.faults() if each.key == "tick"]
    assert [(each.model_id, each.at, each.status, each.message) for each in faults] == [
        ("Deaf", rows[1].time, Status.RAISED, "ValueError: row 2"),
        ("Deaf", rows[2].time, Status.RAISED, "ValueError: row 3"),
    ]
    told = {each.details["at"]: each.details["others"] for _, each in store.events() if each.kind == "TickPlayed"}
    assert told[rows[1].time.isoformat()] == {"raised": ["Deaf"]}
    assert told[rows[3].time.isoformat()] == {}


@pytest.mark.parametrize("rows", [8, 9, 11, 14])
async def test_strikes_are_kept_as_they_stand_and_go_with_a_success(store, rows):
    class Bad(walk.Last):
        def predict(self, asset, horizon):
            if len(self.heard) % 7 > 2:
                raise ValueError("no")
            return 1.0

    await run_game(walk.game(feed=ReplayFeed(walk.rows(rows))), [Bad], store=store, host="inline")
    standing: dict[str, int] = {}
    for each in sorted(store.predictions(), key=lambda each: each.at):
        standing[each.key] = 0 if each.status is Status.OK else standing.get(each.key, 0) + 1
    [deployment] = store.deployments()
    expected = {key: {"failures": count, "timeouts": 0} for key, count in standing.items() if count}
    assert deployment.strikes == expected


# Deployments.


def at(n: int) -> datetime:
    return T0 + n * SECOND


FAULT = Fault("ValueError", "ValueError: no")


def test_a_deployment_from_its_coming_to_its_going():
    kept = Deployments()
    kept.hear(ModelJoined("ada", "d1"), at(0))
    kept.hear(ModelReady("ada", "d1"), at(1))
    assert kept.changed() == [DeploymentRecord("ada", "d1", at(0), at(1), state="ready")]
    assert kept.changed() == []
    kept.hear(ModelStopped("ada", "d1", "3 failures", FAULT), at(2))
    kept.hear(ModelLeft("ada", "d1"), at(3))
    kept.hear(ModelJoined("ada", "d1"), at(4))
    assert kept.changed() == [
        DeploymentRecord("ada", "d1", at(0), at(1), at(2), "left", "3 failures"),
        DeploymentRecord("ada", "d1", at(4)),
    ]


def test_new_code_replaces_the_old_and_code_that_cannot_be_loaded_does_not():
    kept = Deployments()
    kept.hear(ModelJoined("ada", "d1"), at(0))
    kept.hear(ModelReady("ada", "d1"), at(1))
    kept.hear(ModelLoadFailed("ada", "d2", FAULT), at(2))
    assert [(each.deployment_id, each.state) for each in kept.changed()] == [("d1", "ready"), ("d2", "failed")]
    kept.hear(ModelRedeployed("ada", "d3", "d1"), at(3))
    kept.hear(ModelReady("ada", "d3"), at(3))
    assert kept.changed() == [
        DeploymentRecord("ada", "d1", at(0), at(1), at(3), "replaced"),
        DeploymentRecord("ada", "d2", at(2), None, at(3), "replaced", "ValueError: no"),
        DeploymentRecord("ada", "d3", at(3), at(3), state="ready"),
    ]


def test_a_restart_of_the_worker_begins_no_deployment_anew():
    before = Deployments()
    for name in ("ada", "bob", "cy"):
        before.hear(ModelJoined(name, "d1"), at(0))
        before.hear(ModelReady(name, "d1"), at(1))
    before.hear(ModelStopped("bob", "d1", "3 failures", FAULT), at(2))
    known = before.changed()
    after = Deployments(known)
    for name, deployment in (("ada", "d1"), ("bob", "d1"), ("cy", "d2")):
        after.hear(ModelJoined(name, deployment), at(10))
        after.hear(ModelReady(name, deployment), at(11))
    after.hear(ModelStopped("bob", "d1", "3 failures"), at(12))
    after.stay_stopped("bob", "d1")
    assert after.changed() == [
        DeploymentRecord("cy", "d1", at(0), at(1), at(10), "replaced"),
        DeploymentRecord("cy", "d2", at(10), at(11), state="ready"),
    ]


async def test_who_was_stopped_before_a_restart_was_stopped_then(store):
    class Bad(walk.Last):
        def predict(self, asset, horizon):
            raise ValueError("no")

    rows = walk.rows(12)
    policy = Policy(timeout=10, max_consecutive_failures=3)
    first, second = (walk.game(feed=ReplayFeed(some), policy=policy) for some in (rows[:8], rows))
    await run_game(first, [Bad, walk.Mean], store=store, host="inline")
    before = store.deployments()
    assert [each.state for each in before] == ["stopped", "ready"]
    await run_game(second, [Bad], store=store, host="inline")
    [bad, mean] = store.deployments()
    assert bad == before[0]
    assert (mean.joined, mean.ready, mean.state) == (before[1].joined, before[1].ready, "left")
    assert mean.ended > mean.ready


def test_the_record_of_an_event_says_what_the_event_says(waiting):
    waiting.hear(ModelLoadFailed("ada", "d1", Fault("ImportError", "no", "Traceback", exit=-9)))
    [event] = waiting.take().events
    assert event == EventRecord(
        T0,
        event.writer,
        "ModelLoadFailed",
        "ada could not be loaded: no",
        "ada",
        T0 - SECOND,
        {
            "deployment_id": "d1",
            "fault": {"kind": "ImportError", "message": "no", "traceback": "Traceback", "exit": -9},
        },
    )

"""What a session of a live game leaves behind: the next one goes on from it, and so does the replay of its store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from virtual import Coming, Dying, Killed, Scripted, Set, VirtualClock

from crunch_game import Game, MemoryStore, Policy, Predict, PredictWorker, ReplayFeed, Row, Store
from crunch_game.events import ClockSet, RoundPlayed, RoundsMissed
from crunch_game.feeds.base import FeedStands, RowDropped

pytestmark = pytest.mark.anyio

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Base:
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self) -> float: ...


class Last(Base):
    def tick(self, data: dict[str, float]) -> None:
        self.last = data["a"]

    def predict(self) -> float:
        return self.last


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def coming(time: float, late: float = 0.0) -> Coming:
    return Coming(Row(after(time), {"a": time}), after(time + late))


def game(**options: Any) -> Game:
    given: dict[str, Any] = {
        "name": "sessions",
        "tracker": Base,
        "predictions": [Predict(every=10, horizon=20)],
        "resolve": lambda prediction, history: None,
        "score": lambda prediction, outcome: 0.0,
        "policy": Policy(timeout=1.0),
        "wait": 1.0,
        "max_age": 60,
    }
    return Game(**given | options)


async def play(
    played: Game, script: list[Coming], until: float, clock: VirtualClock, store: Any, log: Any, models: Any = (Last,)
) -> None:
    feed = Scripted(clock, script, after(until), has_past=False)
    worker = PredictWorker(played, models, store, feed=feed, host="inline", clock=clock, on_event=log)
    async with clock.moving():
        with suppress(Killed):
            await worker.run()


async def replayed(played: Game, store: Store) -> list[Any]:
    again = MemoryStore()
    await PredictWorker(played, [Last], again, feed=ReplayFeed(store), host="inline").run()
    return rounds(again)


def rounds(store: Store) -> list[Any]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]


async def test_a_slot_is_asked_once_however_often_the_clock_is_set(log):
    store = MemoryStore()
    clock = Set(T0, (after(12), timedelta(seconds=1)), (after(15), timedelta(seconds=0.5)))
    await play(game(grace=10), [coming(9)], 19, clock, store, log)
    assert len(log.of(ClockSet)) == 2
    assert [event.at for event in log.of(RoundPlayed)] == [after(10)], "it was played in the first of three sessions"
    assert log.of(RoundsMissed) == []


async def test_a_step_of_the_clock_is_no_standstill(log):
    clock = Set(T0, (after(12), timedelta(hours=1)))
    await play(game(), [coming(9)], 3650, clock, MemoryStore(), log)
    assert len(log.of(ClockSet)) == 1
    assert log.of(FeedStands) == []


async def test_a_slot_that_was_played_with_nobody_is_not_played_again_after_a_restart(log):
    store, clock = MemoryStore(), VirtualClock(T0)
    await play(game(grace=5), [coming(9)], 11.5, clock, store, log, models=())
    await play(game(grace=5), [coming(9.5, late=2.5), coming(12.1)], 14, clock, store, log)
    assert [event.at for event in log.of(RoundPlayed)] == [after(10)]
    assert store.predictions() == [], "the replay of this record would know nothing of the row that came since"


async def test_a_row_whose_data_cannot_be_read_is_left_out(log):
    class Broken(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise LookupError("the frame is closed")

    store = MemoryStore()
    script = [coming(9), Coming(Row(after(9.5), Broken(a=1.0)), after(9.5)), coming(10)]
    await play(game(), script, 14, VirtualClock(T0), store, log)
    assert [event.reason for event in log.of(RowDropped)] == ["it cannot be read: LookupError: the frame is closed"]
    assert [each.at for each in store.predictions()] == [after(10)]


@pytest.mark.parametrize("offsets", [(0,), (0, 0.25)], ids=["one slot", "two slots"])
async def test_a_slot_from_before_the_start_is_in_the_replay_though_the_row_that_decided_it_was_lost(offsets, log):
    """The row is stored after the slot's answers, and the worker was killed in between."""
    played = game(grace=1, predictions=[Predict(every=10, horizon=20 + n, offset=n) for n in offsets])
    counts = []
    for at in range(2, 8):
        store = MemoryStore()
        script = [coming(9, late=1.45), coming(10.3, late=0.2), coming(12)]
        await play(played, script, 14, VirtualClock(after(10.4)), Dying(store, at, after=True), log)
        assert await replayed(played, store) == rounds(store)
        counts.append((len(store.predictions()), len(store.rows())))
    assert (len(offsets), 1) in counts, "one of the deaths was between the two"


class Behind(VirtualClock):
    """It stood still for an hour, as the whole machine did; the wall clock is right again."""

    def adopted(self, seen: datetime | None = None) -> timedelta | None:
        if seen is None or seen > self._now + timedelta(hours=1, seconds=1):
            return None
        self._now += timedelta(hours=1)
        return timedelta(hours=1)


async def test_no_row_is_lost_to_a_clock_that_is_behind(log):
    hour = timedelta(hours=1)
    clock, store = Behind(T0), MemoryStore()
    script = [Coming(Row(after(second) + hour, {"a": second}), after(1)) for second in (1.0, 1.5, 2.0)]
    script += [Coming(Row(after(second) + hour, {"a": second}), after(second) + hour) for second in (10.0, 11.0)]
    await play(game(), script, 3630, clock, store, log)
    assert [row.data["a"] for row in store.rows()] == [1.0, 1.5, 2.0, 10.0, 11.0]
    assert [event.seconds for event in log.of(ClockSet)] == [3600.0]
    assert log.of(RowDropped) == []
    assert len(store.sessions()) == 2
    assert [(p.at, p.seen) for p in store.predictions()] == [
        (after(10) + hour, after(10) + hour),
        (after(20) + hour, after(11) + hour),
    ]


async def test_a_clock_that_is_ahead_forgets_no_rows(log):
    """What is old is told by the rows, whatever the clock says."""
    clock, store = Set(T0, (after(22), timedelta(hours=1)), (after(3640), timedelta(hours=-1))), MemoryStore()
    script = [coming(5), coming(15), Coming(Row(after(25), {"a": 25.0}), after(3630))]
    await play(game(history=60), script, 3650, clock, store, log)
    assert [row.data["a"] for row in store.rows()] == [5.0, 15.0, 25.0]
    assert [event.seconds for event in log.of(ClockSet)] == [3600.0, -3600.0]

"""How many models are told a history at once, and when: as there are processors, in turn, and between rounds."""

from __future__ import annotations

import anyio
import pytest

from crunch_game import _retelling
from crunch_game._retelling import Pace
from crunch_game.lineup import playing

pytestmark = pytest.mark.anyio


@pytest.fixture
def pace(monkeypatch) -> Pace:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(_retelling, "_LONG_SECONDS", 1e6)
    monkeypatch.setattr(_retelling, "_ROUND_SECONDS", 1e6)
    return Pace()


class Told:
    """Models that are told until they are let go."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.begun: list[int] = []
        self.ends = [anyio.Event() for _ in range(5)]

    async def __call__(self, number: int) -> None:
        async with self._pace.turn(512):
            self.begun.append(number)
            await self.ends[number].wait()


async def test_as_many_at_once_as_there_are_processors_and_the_next_when_one_is_done(pace):
    told = Told(pace)
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(told, number)
            await anyio.wait_all_tasks_blocked()
        assert told.begun == [0, 1]
        told.ends[1].set()
        await anyio.wait_all_tasks_blocked()
        assert told.begun == [0, 1, 2]
        told.ends[2].set()
        await anyio.wait_all_tasks_blocked()
        assert told.begun == [0, 1, 2, 3], "in the order that they came"
        tasks.cancel_scope.cancel()


async def test_who_takes_long_keeps_nobody(pace, monkeypatch):
    monkeypatch.setattr(_retelling, "_LONG_SECONDS", 0.01)
    told = Told(pace)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(told, number)
            while len(told.begun) < 5:  # noqa: ASYNC110 - it is time that lets them begin
                await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()
    assert sorted(told.begun) == list(range(5))


async def test_nobody_is_told_while_a_round_is_played_but_for_one_that_does_not_end(pace, monkeypatch):
    told = Told(pace)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            with playing():
                tasks.start_soon(told, 0)
                for _ in range(10):
                    await anyio.sleep(0.002)
                assert told.begun == []
            while told.begun != [0]:  # noqa: ASYNC110 - a look at the rounds takes a moment
                await anyio.sleep(0.002)
            with playing():
                monkeypatch.setattr(_retelling, "_ROUND_SECONDS", 0.01)
                tasks.start_soon(told, 1)
                while told.begun != [0, 1]:  # noqa: ASYNC110
                    await anyio.sleep(0.002)
            tasks.cancel_scope.cancel()

"""Long work on another thread lets the rounds of its process pass."""

from __future__ import annotations

import threading

import anyio
import pytest

from crunch_game import MethodCall, ModelRunner
from crunch_game.lineup import _quiet

pytestmark = pytest.mark.anyio


class Tracker:
    def predict(self) -> float:
        return 1.0


def test_a_piece_of_work_waits_until_no_round_is_played(monkeypatch):
    monkeypatch.setattr(_quiet, "_PATIENCE", 1e9)
    taken, began, told = threading.Event(), threading.Event(), []

    def work() -> None:
        for piece in _quiet.between_rounds("ab"):
            taken.set()
            began.wait()
            told.append(piece)

    worker = threading.Thread(target=work)
    worker.start()
    taken.wait()
    with _quiet.playing(), _quiet.playing():  # two runners in one process
        began.set()
        worker.join(0.05)
        told.append("round")
    worker.join()
    assert told == ["a", "round", "b"]


def test_work_goes_on_though_rounds_leave_no_time_between_them():
    with _quiet.playing():
        assert list(_quiet.between_rounds(range(3))) == [0, 1, 2]


async def test_a_round_is_played_from_the_first_question_to_the_last_answer():
    seen = []

    class Asking(Tracker):
        def predict(self) -> float:
            seen.append(_quiet._quiet.is_set())
            return 1.0

    async with ModelRunner(Tracker, [Asking], host="inline") as runner:
        await runner.predict()
        await runner.batch([MethodCall("predict"), MethodCall("predict")])
        await anyio.lowlevel.checkpoint()
        assert _quiet._quiet.is_set()
    assert seen == [False] * 3

"""Ours: a row of the demo game, told, asked for and stored, with what a store keeps of events and faults; and without.

The models are copies of the demo's, in processes of their own; one in five is faulty on purpose. Nothing is scored.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import anyio

from benchmarks.demo import GAME, fill
from crunch_game import PredictWorker, ReplayFeed, SQLStore
from crunch_game.datasets import daily_prices

__all__ = ["kept", "without"]

_LEAST = 3
"""Rows before what is measured: the first ones pay for what is made once."""


class _Unlogged(SQLStore):
    """A store that is given no logs."""

    keeps_log: ClassVar[bool] = False


def kept(models: int, rounds: int) -> dict[str, float]:
    """Play so many rows (a tick and three predictions each) with so many models."""
    return _played(models, rounds, SQLStore)


def without(models: int, rounds: int) -> dict[str, float]:
    """The same, in a store that keeps no logs."""
    return _played(models, rounds, _Unlogged)


def _played(models: int, rounds: int, kind: type[SQLStore]) -> dict[str, float]:
    sys.path.insert(0, str(GAME))
    from daily_density.game import game

    seconds: list[float] = []
    busy: list[float] = []
    last, cpu = 0.0, 0.0

    async def after_row(at: datetime) -> None:
        nonlocal last, cpu
        now, used = time.perf_counter(), time.process_time()
        seconds.append(now - last)
        busy.append(used - cpu)
        last, cpu = now, used

    feed = ReplayFeed(daily_prices()[: rounds + _LEAST])
    with TemporaryDirectory() as folder, kind(f"sqlite:///{folder}/game.db") as store:
        fill(Path(folder, "models"), models)
        worker = PredictWorker(game, Path(folder, "models"), store, feed=feed, after_row=after_row)
        anyio.run(worker.run)
        size = Path(folder, "game.db").stat().st_size
        assert len(store.predictions()) == models * 3 * (rounds + _LEAST)
        assert bool(store.events(last=1)) is kind.keeps_log
    ordered = sorted(seconds[_LEAST:])
    middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]
    return {
        "row_ms": middle * 1e3,
        "row_p90_ms": late * 1e3,
        "cpu_ms": sum(busy[_LEAST:]) / rounds * 1e3,
        "row_kib": size / 1024 / (rounds + _LEAST),
    }

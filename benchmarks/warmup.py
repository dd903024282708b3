"""A history told to fresh models before they play, and what rounds of a live game cost meanwhile.

The floor is forked processes that are written the same rows, as many at once, and read and keep them.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec

from benchmarks.field import ASKED, PRICES
from benchmarks.field import field as submissions
from benchmarks.floor import Children, Tracker
from crunch_game import Game, MemoryStore, Predict, PredictWorker, ReplayFeed, Row
from crunch_game.events import ModelReady, RoundPlayed, RoundsMissed

__all__ = ["beside", "floor", "told"]

_AT_ONCE = 512
_NOW_ROWS = 3
"""Rows that are played after the history."""
_FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_encode = msgspec.msgpack.Encoder().encode


def floor(models: int, rows: int) -> dict[str, float]:
    """Tell bare children so many rows."""
    children = Children(models, _keeping())
    try:
        busy, began = time.process_time(), time.perf_counter()
        for first in range(0, rows, _AT_ONCE):
            children.ask(_encode([PRICES] * min(_AT_ONCE, rows - first)))
        return _measured(time.process_time() - busy, time.perf_counter() - began, models, rows)
    finally:
        children.end()


def _keeping() -> Tracker:
    kept: dict[str, float] = {}
    decode, nothing = msgspec.msgpack.Decoder().decode, _encode(None)

    def serve(question: bytes) -> bytes:
        for row in decode(question):
            kept.update(row)
        return nothing

    return serve


def told(models: int, rows: int) -> dict[str, float]:
    """Start so many models upon a store with so many rows, and take off what starting them takes without."""
    with submissions("density", models) as folder:
        busy, seconds = _started(folder, rows)
        alone, at_least = _started(folder, 1)
    least = 1e-9  # of a tiny history nothing may be left
    return _measured(max(least, busy - alone), max(least, seconds - at_least), models, rows)


def _started(folder: Path, rows: int) -> tuple[float, float]:
    history = [Row(_FIRST + timedelta(seconds=number), PRICES) for number in range(rows + _NOW_ROWS)]
    store = MemoryStore()
    store.save(history[:rows])
    worker = PredictWorker(_game("1s"), folder, store, feed=ReplayFeed(history))
    busy, began = time.process_time(), time.perf_counter()
    anyio.run(worker.run)
    return time.process_time() - busy, time.perf_counter() - began


def _game(every: str) -> Game:
    bench_game = importlib.import_module("bench_game")

    asset, horizon, step = ASKED
    return Game(
        name="warmup",
        tracker=bench_game.TrackerBase,
        predictions=[Predict(every=every, horizon=horizon, asset=asset, step=step)],
        resolve=lambda prediction, history: None,
        score=lambda prediction, outcome: 0.0,
    )


def _measured(busy: float, seconds: float, models: int, rows: int) -> dict[str, float]:
    return {"cpu_us": busy / (models * rows) * 1e6, "told_s": seconds}


class _EverySecond:
    """A live feed: a row each second, for so long."""

    live = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def rows(self, since: datetime | None = None, on_event: Any = None) -> AsyncIterator[Row]:
        ends = time.monotonic() + self._seconds
        while time.monotonic() < ends:
            await anyio.sleep(1.0 - time.time() % 1.0)
            yield Row(datetime.fromtimestamp(int(time.time()), UTC), PRICES)


def beside(models: int, rows: int, players: int, seconds: float) -> dict[str, float]:
    """Play a live game of a round a second, which so many models join after three rounds: each is told the history.

    Returns the percentage of rounds that were played, and not late, how long one took (milliseconds), and how long it
    took until all had joined.
    """
    with submissions("density", models + players) as folder:
        joining = folder.parent / "joining"
        joining.mkdir()
        for source in sorted(folder.iterdir())[:models]:
            source.rename(joining / source.name)
        return anyio.run(_beside, folder, joining, models + players, rows, seconds)


async def _beside(folder: Path, joining: Path, models: int, rows: int, seconds: float) -> dict[str, float]:
    newest = datetime.fromtimestamp(int(time.time()) - 1, UTC)
    store = MemoryStore()
    store.save([Row(newest - timedelta(seconds=rows - number), PRICES) for number in range(rows)])
    ready: list[float] = []
    elapsed: list[float] = []
    missed: list[int] = []
    began = 0.0

    def hear(event: Any) -> None:
        nonlocal began
        if isinstance(event, ModelReady):
            ready.append(time.monotonic())
        elif isinstance(event, RoundsMissed) and began:  # what was before the start is none of this
            missed.append(event.count)
        elif isinstance(event, RoundPlayed):
            elapsed.append(event.round.elapsed)
            if len(elapsed) == _NOW_ROWS:
                began = time.monotonic()
                for source in sorted(joining.iterdir()):
                    source.rename(folder / source.name)

    worker = PredictWorker(_game("1s"), folder, store, feed=_EverySecond(seconds), on_event=hear)
    await worker.run()
    if len(ready) != models:
        raise RuntimeError(f"{len(ready)} of {models} models were ready in time")
    return {
        "in_time": 100.0 * (worker.rounds - worker.late) / (worker.rounds + sum(missed)),
        "round_p90_ms": _p90(elapsed) * 1e3,
        "joined_s": max(ready) - began,
    }


def _p90(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10)[-1]

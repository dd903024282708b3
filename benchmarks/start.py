"""A board of a week of five-minute rounds, from a store: how long a start takes, and what it costs a live game.

Beside it the bare SELECT of the scores. A live game is asked at its usual pace, once alone and once while the board is
loaded in the same process, as a ScoreWorker does.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks.field import ASKED, PRICES, field
from benchmarks.meter import Meter, pss
from crunch_game import Game, ModelRunner, Policy, Predict, Row, ScoreWorker, SQLStore
from crunch_game.storage.base import Score, ScoredRound

__all__ = ["beside", "loaded", "selected"]

_START = datetime(2024, 1, 1, tzinfo=UTC)
_STEP = timedelta(minutes=5)
_HORIZON = timedelta(hours=1)
_PACE = 0.1
"""Seconds between two rounds of the live game."""


class _Tracker:
    def tick(self, prices: dict[str, float]) -> None: ...

    def predict(self, asset: str) -> float:
        raise NotImplementedError


def selected(models: int, rounds: int) -> dict[str, float]:
    """The rows alone."""
    with _file(models, rounds) as path, closing(sqlite3.connect(path)) as connection:
        meter, count = Meter(), 0
        query = "SELECT resolves_at, at, key, model_id, value, kind, metrics FROM scores ORDER BY resolves_at, at, key"
        with meter.round():
            for _ in connection.execute(query):
                count += 1
        assert count == rounds * models
    return {"start_s": meter.seconds[0]}


def loaded(models: int, rounds: int) -> dict[str, float]:
    """The board, with its standings."""
    with _file(models, rounds) as path, SQLStore(f"sqlite:///{path}") as store:
        worker, meter = _worker(store), Meter()
        with meter.round():
            [*standings] = worker.standings(_now(rounds))
        assert len(standings) == models
        return {"start_s": meter.seconds[0], "start_mib": pss([os.getpid()])}


def beside(models: int, rounds: int, players: int) -> dict[str, float]:
    """The rounds of a live game of so many players: alone, and while the board is loaded."""
    with _file(models, rounds) as path, SQLStore(f"sqlite:///{path}") as store, field("density", players) as folder:
        return anyio.run(_beside, _worker(store), _now(rounds), folder)


async def _beside(worker: ScoreWorker, now: datetime, folder: Path) -> dict[str, float]:
    alone, loading = Meter(), Meter()
    async with ModelRunner("bench_game:TrackerBase", folder, policy=Policy(timeout=30), ready_timeout=300) as runner:
        await _round(runner, Meter())
        for _ in range(30):
            await _round(runner, alone)
        loader = threading.Thread(target=worker.standings, args=(now,))
        loader.start()
        while loader.is_alive():
            await _round(runner, loading)
    return {"alone_ms": alone.latency()["round_p90_ms"], "loading_ms": loading.latency()["round_p90_ms"]}


async def _round(runner: ModelRunner, meter: Meter) -> None:
    with meter.round():
        await runner.tick(PRICES)
        await runner.predict(*ASKED)
    await anyio.sleep(_PACE)


def _worker(store: SQLStore) -> ScoreWorker:
    def none(*_: Any) -> Any:
        return None

    asked = [Predict(every=_STEP, horizon=_HORIZON, asset="BTC")]
    return ScoreWorker(Game("start", _Tracker, asked, none, none), store)


def _now(rounds: int) -> datetime:
    return _START + (rounds - 1) * _STEP + _HORIZON


@contextmanager
def _file(models: int, rounds: int) -> Iterator[Path]:
    names = sorted(f"model_{number}" for number in range(models))
    with TemporaryDirectory() as folder:
        path = Path(folder, "game.db")
        with SQLStore(f"sqlite:///{path}") as store:
            for index in range(rounds):
                at, draw = _START + index * _STEP, random.Random(index)
                key, due = "predict(asset='BTC')", at + _HORIZON
                scores = [Score(name, key, at, due, draw.expovariate(1000), 1.0) for name in names]
                store.settle(scores, [ScoredRound(key, at, due, _HORIZON.total_seconds(), {}, models)])
            store.save([Row(_now(rounds), {"BTC": 1.0})])
        yield path

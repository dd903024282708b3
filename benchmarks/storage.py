"""Predictions stored durably in SQLite: ours, and the floor, which writes the same columns with bare sqlite3.

Durable means write-ahead mode with `synchronous = FULL`: one transaction, on the disk when the call returns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.meter import Meter
from crunch_game import Prediction, SQLStore
from crunch_game.storage._codec import PackedPrediction, pack_prediction

__all__ = ["floor", "ours"]

_START = datetime(2024, 1, 1, tzinfo=UTC)


def ours(predictions: int, rounds: int) -> dict[str, float]:
    """Save so many predictions in one call, so often."""
    with TemporaryDirectory() as folder, SQLStore(f"sqlite:///{folder}/game.db") as store:
        measured = _timed(rounds, predictions, lambda batch: store.save(predictions=batch))
        assert len(store.predictions()) == rounds * predictions
    return measured


def floor(predictions: int, rounds: int) -> dict[str, float]:
    """The same rows, ready packed, into a bare table with the same key."""
    names = PackedPrediction._fields
    insert = f"INSERT INTO predictions VALUES ({', '.join('?' * len(names))})"
    with TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder, "game.db"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"CREATE TABLE predictions ({', '.join(names)}, PRIMARY KEY (at, key, model_id))")

        def write(batch: list[PackedPrediction]) -> None:
            with connection:
                connection.executemany(insert, batch)

        measured = _timed(rounds, predictions, write, pack=pack_prediction)
        [(written,)] = connection.execute("SELECT count(*) FROM predictions")
        assert written == rounds * predictions
    return measured


def _timed(
    rounds: int, predictions: int, write: Callable[[list[Any]], None], pack: Callable[[Prediction], Any] | None = None
) -> dict[str, float]:
    meter = Meter()
    for index in range(rounds):
        batch = _batch(predictions, _START + timedelta(hours=index))
        packed = [pack(prediction) for prediction in batch] if pack else batch
        with meter.round():
            write(packed)
    return {**meter.latency(), **meter.cpu_per_call(predictions)}


def _batch(predictions: int, at: datetime) -> list[Prediction]:
    return [
        Prediction(
            model_id=f"model_{index}",
            deployment_id="1",
            key="predict/BTC/3600",
            at=at,
            resolves_at=at + timedelta(hours=1),
            horizon=3600.0,
            arguments={"asset": "BTC", "horizon": 3600, "step": 3600},
            value=[{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": 0.01 + index * 1e-6}}],
            elapsed=0.001,
        )
        for index in range(predictions)
    ]

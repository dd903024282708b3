"""Predictions stored durably: ours, and the floor, which writes the same columns with the bare driver.

Durable means one transaction, on the disk when the call returns: SQLite in write-ahead mode with `synchronous = FULL`,
and PostgreSQL as it is by default. Its server is that of the tests.
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
from tests.storage.postgres import server

__all__ = ["copied", "floor", "many", "ours", "postgres"]

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


def postgres(predictions: int, rounds: int) -> dict[str, float]:
    """Save so many predictions in one call, so often."""
    with server(durable=True) as running, SQLStore(running.fresh()) as store:
        measured = _timed(rounds, predictions, lambda batch: store.save(predictions=batch))
        assert len(store.predictions()) == rounds * predictions
    return measured


def copied(predictions: int, rounds: int) -> dict[str, float]:
    """The same rows, ready packed, into a bare table with the same key, with COPY."""

    def write(cursor: Any, batch: list[PackedPrediction]) -> None:
        with cursor.copy(f"COPY predictions ({_NAMES}) FROM STDIN") as copy:
            for each in batch:
                copy.write_row(each)

    return _bare(predictions, rounds, write)


def many(predictions: int, rounds: int) -> dict[str, float]:
    """The same with `executemany`."""
    marks = ", ".join(["%s"] * len(PackedPrediction._fields))
    insert = f"INSERT INTO predictions ({_NAMES}) VALUES ({marks})"
    return _bare(predictions, rounds, lambda cursor, batch: cursor.executemany(insert, batch))


_NAMES = ", ".join(f'"{name}"' for name in PackedPrediction._fields)


def _bare(predictions: int, rounds: int, write: Callable[[Any, list[PackedPrediction]], None]) -> dict[str, float]:
    import psycopg

    kinds = {"int": "bigint", "int | None": "bigint", "float": "double precision"}
    columns = [f'"{name}" {kinds.get(str(kind), "text")}' for name, kind in PackedPrediction.__annotations__.items()]
    with server(durable=True) as running, psycopg.connect(running.url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE predictions ({', '.join(columns)}, PRIMARY KEY (at, key, model_id))")

        def transaction(batch: list[PackedPrediction]) -> None:
            with connection.transaction(), connection.cursor() as cursor:
                write(cursor, batch)

        return _timed(rounds, predictions, transaction, pack=pack_prediction)


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

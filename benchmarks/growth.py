"""What a store answers as it grows: the same questions over 10^5, 10^6 and 10^7 predictions, 100 in each round.

python -m benchmarks.growth sqlite 100000 1000000 10000000
python -m benchmarks.growth postgresql 100000 1000000 10000000
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from crunch_game import Prediction, Row, SQLStore
from crunch_game.storage import ModelRecord, Score
from crunch_game.storage._codec import pack_prediction, pack_round, pack_score
from crunch_game.storage.base import ScoredRound
from tests.storage.postgres import server

__all__ = ["grown"]

MODELS: Final = 100
REPEATS: Final = 15
_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)


def grown(kind: str, predictions: int) -> dict[str, float]:
    """Fill a store, and ask it; milliseconds, the median of each question and the longest."""
    rounds = predictions // MODELS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'game.db'}"
        else:
            url = stack.enter_context(server(durable=True)).fresh()
        store = stack.enter_context(SQLStore(url))
        models = [ModelRecord(f"model-{number:03}", "a model", "1", "ready") for number in range(MODELS)]
        store.save([Row(_START + rounds * _MINUTE, {"BTC": 1.0})], _round(0), models)
        began = time.perf_counter()
        _fill(store, url, rounds)
        filled = time.perf_counter() - began
        found: dict[str, float] = {}
        for name, ask in _ASKED.items():
            spent = _spent(ask, store, rounds)
            found |= {f"{name}_ms": statistics.median(spent), f"{name}_most_ms": max(spent)}
    return {"predictions": rounds * MODELS, "filled_s": filled, **found}


def _round(number: int) -> list[Prediction]:
    at = _START + number * _MINUTE
    asked = {"asset": "BTC", "horizon": 60}
    return [
        Prediction(f"model-{model:03}", "1", "BTC", at, at + _MINUTE, 60.0, asked, value=[float(model), 1.0], seen=at)
        for model in range(MODELS)
    ]


def _fill(store: SQLStore, url: str, rounds: int) -> None:
    """Keep rounds from the second on, all but the last scored, by the bare driver: it is not what is measured."""
    first, minute = _round(1), 60_000_000
    predictions = [pack_prediction(each) for each in first]
    scores = [pack_score(Score(each.model_id, each.key, each.at, each.resolves_at, 0.5, 1.0)) for each in first]
    played = pack_round(ScoredRound("BTC", first[0].at, first[0].resolves_at, 60.0, {}, MODELS))

    def later(record: Any, number: int) -> Any:
        by = (number - 1) * minute
        return record._replace(at=record.at + by, resolves_at=record.resolves_at + by)

    def written(table: str) -> Iterator[Any]:
        for number in range(1, rounds):
            last = number == rounds - 1
            if table == "predictions":
                yield from (later(each, number)._replace(pending=int(last)) for each in predictions)
            elif table == "known_rounds":
                one = later(played, number)
                yield one.resolves_at, one.at, one.key
            elif not last:
                yield from [later(played, number)] if table == "rounds" else (later(each, number) for each in scores)

    columns = {
        "predictions": predictions[0]._fields,
        "scores": scores[0]._fields,
        "rounds": played._fields,
        "known_rounds": ("resolves_at", "at", "key"),
    }
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            for table, names in columns.items():
                quoted, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
                connection.executemany(f"INSERT INTO {table} ({quoted}) VALUES ({marks})", written(table))
            connection.execute("ANALYZE")
        return
    with store._writing() as writing:
        cursor: Any = writing.connection.cursor()
        for table, names in columns.items():
            quoted = ", ".join(f'"{name}"' for name in names)
            with cursor.copy(f"COPY {table} ({quoted}) FROM STDIN") as copy:
                for each in written(table):
                    copy.write_row(each)
        cursor.execute("ANALYZE")


def _spent(ask: Callable[[SQLStore, int, int], object], store: SQLStore, rounds: int) -> list[float]:
    """What each time took, in milliseconds."""
    spent = []
    for number in range(REPEATS):
        began = time.perf_counter()
        ask(store, rounds, number)
        spent.append(1_000 * (time.perf_counter() - began))
    return spent


def _board(store: SQLStore, rounds: int, _: int) -> None:
    """What a board of an hour is loaded from."""
    assert len(list(store.rounds(_START + rounds * _MINUTE - timedelta(hours=1)))) > 50


def _due(store: SQLStore, rounds: int, _: int) -> None:
    [found] = store.due(_START + (rounds - 1) * _MINUTE, _START + rounds * _MINUTE)
    assert len(found) == store.pending_count(_START + rounds * _MINUTE) - MODELS == MODELS


def _one_model(store: SQLStore, rounds: int, number: int) -> None:
    """What `crunch-game model --since 6h` reads."""
    since, name = _START + rounds * _MINUTE - _DAY / 4, f"model-{number:03}"
    assert len(store.predictions(since, model_id=name)) > 300
    assert len(store.scores(since, model_id=name)) > 300


def _store_a_round(store: SQLStore, rounds: int, number: int) -> None:
    store.save(predictions=_round(rounds + 10 + number))


_ASKED: Final[Mapping[str, Callable[[SQLStore, int, int], object]]] = {
    "board": _board,
    "due": _due,
    "one_model": _one_model,
    "store": _store_a_round,
}


if __name__ == "__main__":
    kind, *sizes = sys.argv[1:]
    for size in sizes:
        print(kind, {name: round(value, 2) for name, value in grown(kind, int(size)).items()}, flush=True)

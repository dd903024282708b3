"""Any history of writes leaves the SQL store, the memory store and a plain dict in the same state."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import MemoryStore, ModelRecord, Prediction, Score, SQLStore

T0 = datetime(2024, 1, 1, tzinfo=UTC)
times = st.integers(-3, 6).map(lambda n: T0 + n * timedelta(microseconds=1))
names = st.sampled_from(["a", "b", "é", "Z"])
values = st.none() | st.floats(allow_nan=False) | st.lists(st.integers() | st.none(), max_size=2)
order = attrgetter("resolves_at", "at", "key", "model_id")

rows = st.builds(Row, times, st.dictionaries(names, values, max_size=2))
models = st.builds(ModelRecord, names, names, names, st.just("ready"), st.none() | names)
predictions = st.builds(
    Prediction,
    model_id=names, deployment_id=names, key=names, at=times, resolves_at=times, horizon=st.just(60.0),
    arguments=st.just({"asset": "BTC"}), status=st.sampled_from([Status.OK, Status.OK, Status.DIED]),
    value=values, error=st.none() | names, elapsed=st.just(0.5),
)  # fmt: skip
scores = st.builds(
    Score, names, names, times, times, st.none() | st.floats(allow_nan=False, allow_infinity=False), values
)


def identity(record: Any) -> tuple[str, str, datetime]:
    return (record.model_id, record.key, record.at)


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{Path(self.folder.name) / 'game.db'}"
        self.stores: list[Any] = [MemoryStore(), SQLStore(self.url)]
        self.rows: dict[datetime, Row] = {}
        self.models: dict[str, ModelRecord] = {}
        self.predictions: dict[Any, Prediction] = {}
        self.scores: dict[Any, Score] = {}

    @rule(rows=st.lists(rows, max_size=3), new=st.lists(predictions, max_size=4), models=st.lists(models, max_size=2))
    def save(self, rows: list[Row], new: list[Prediction], models: list[ModelRecord]) -> None:
        for store in self.stores:
            store.save(rows, new, models)
        for row in rows:
            self.rows.setdefault(row.time, row)
        for prediction in new:
            self.predictions.setdefault(identity(prediction), prediction)
        self.models.update((model.model_id, model) for model in models)

    @rule(scores=st.lists(scores, max_size=3))
    def settle(self, scores: list[Score]) -> None:
        for store in self.stores:
            store.settle(scores)
        for score in scores:
            self.scores.setdefault(identity(score), score)

    @rule(count=st.integers(1, 3))
    def settle_what_is_pending(self, count: int) -> None:
        due = self.due(T0 + timedelta(days=1))[:count]
        self.settle([Score(p.model_id, p.key, p.at, p.resolves_at, 1.0) for p in due])

    @rule(before=times)
    def forget(self, before: datetime) -> None:
        for store in self.stores:
            store.forget_rows(before)
        self.rows = {time: row for time, row in self.rows.items() if time >= before}

    @rule()
    def reopen(self) -> None:
        self.stores.pop().close()
        self.stores.append(SQLStore(self.url, create=False))

    def due(self, until: datetime) -> list[Prediction]:
        open_ones = (p for name, p in self.predictions.items() if p.status is Status.OK and name not in self.scores)
        return sorted((p for p in open_ones if p.resolves_at <= until), key=order)

    @invariant()
    def same_everywhere(self) -> None:
        asked = self.predictions.values()
        for store in self.stores:
            assert store.rows() == [self.rows[time] for time in sorted(self.rows)]
            assert store.last_row() == (self.rows[max(self.rows)] if self.rows else None)
            assert store.models() == [self.models[name] for name in sorted(self.models)]
            assert store.predictions() == sorted(asked, key=order)
            assert store.scores() == sorted(self.scores.values(), key=order)
            assert store.pending(T0) == self.due(T0)
            assert store.pending(T0 + timedelta(days=1)) == self.due(T0 + timedelta(days=1))
            assert store.first_rounds() == {
                p.model_id: min(q.at for q in asked if q.model_id == p.model_id) for p in asked
            }
            assert store.last_rounds() == {p.key: max(q.at for q in asked if q.key == p.key) for p in asked}

    @rule(since=times)
    def since(self, since: datetime) -> None:
        for store in self.stores:
            assert store.rows(since) == [self.rows[time] for time in sorted(self.rows) if time >= since]
            assert store.predictions(since) == [p for p in store.predictions() if p.resolves_at >= since]
            assert store.scores(since) == [s for s in store.scores() if s.resolves_at >= since]

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=15)

"""The tables of a store, and the statements that write them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    literal_column,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from crunch_game.storage._codec import PackedModel, PackedPrediction
from crunch_game.storage._sqlite import Written

SCHEMA_VERSION = 1

metadata = MetaData()
schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))
rows = Table(
    "rows",
    metadata,
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("data", Text),
)
models = Table(
    "models",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("deployment_id", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text),
)


def _identity() -> list[Column[Any]]:
    """Return the columns that identify a prediction. `at` is first, so that new ones go to the end of the index."""
    return [
        Column("at", BigInteger, primary_key=True, autoincrement=False),
        Column("key", String, primary_key=True),
        Column("model_id", String, primary_key=True),
    ]


predictions = Table(
    "predictions",
    metadata,
    *_identity(),
    Column("resolves_at", BigInteger, nullable=False, index=True),
    Column("deployment_id", String, nullable=False),
    Column("horizon", Float, nullable=False),
    Column("arguments", Text),
    Column("status", String, nullable=False),
    Column("value", Text),
    Column("error", Text),
    Column("elapsed", Float, nullable=False),
    Column("pending", Integer, nullable=False),
)
scores = Table(
    "scores",
    metadata,
    *_identity(),
    Column("resolves_at", BigInteger, nullable=False, index=True),
    Column("value", Float),
    Column("outcome", Text),
    Column("reason", Text),
)
first_rounds = Table(
    "first_rounds",
    metadata,
    Column("model_id", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
last_rounds = Table(
    "last_rounds",
    metadata,
    Column("key", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
)
notes = Table(
    "notes",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
)

# A literal: with a bound parameter, SQLite would not use the partial index.
is_pending = predictions.c.pending == literal_column("1")
Index("pending_predictions", predictions.c.resolves_at, sqlite_where=is_pending, postgresql_where=is_pending)

same_prediction = and_(*(scores.c[name] == predictions.c[name] for name in ("at", "key", "model_id")))
prediction_columns = [predictions.c[name] for name in PackedPrediction._fields]

INSERT_ROW = Written(insert(rows).on_conflict_do_nothing())
INSERT_PREDICTION = Written(insert(predictions).on_conflict_do_nothing())
INSERT_SCORE = Written(insert(scores).on_conflict_do_nothing())
_MODEL, _NOTE, _FIRST, _LAST = insert(models), insert(notes), insert(first_rounds), insert(last_rounds)
UPSERT_MODEL = Written(
    _MODEL.on_conflict_do_update(
        index_elements=["model_id"],
        set_={name: _MODEL.excluded[name] for name in PackedModel._fields if name != "model_id"},
    )
)
UPSERT_NOTE = Written(_NOTE.on_conflict_do_update(index_elements=["name"], set_={"document": _NOTE.excluded.document}))
NOTE_FIRST = Written(
    _FIRST.on_conflict_do_update(
        index_elements=["model_id"], set_={"at": _FIRST.excluded.at}, where=_FIRST.excluded.at < first_rounds.c.at
    )
)
NOTE_LAST = Written(
    _LAST.on_conflict_do_update(
        index_elements=["key"], set_={"at": _LAST.excluded.at}, where=_LAST.excluded.at > last_rounds.c.at
    )
)
END_PENDING = Written(
    update(predictions)
    .where(*(predictions.c[name] == bindparam(f"_{name}") for name in ("at", "key", "model_id")))
    .values(pending=literal_column("0"))
)

"""The tables of a store, and the statements that write them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from crunch_game.storage._codec import PackedLease, PackedModel, PackedPrediction, PackedRound, PackedRow, PackedSession
from crunch_game.storage._sqlite import Written

metadata = sa.MetaData()
schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))
rows = sa.Table(
    "rows",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("session", sa.Integer),
    sa.Column("aside", sa.Text),
    sa.Column("data", sa.Text),
    sa.UniqueConstraint("time", "arrived"),
    sqlite_autoincrement=True,  # no number is used again, though its row is forgotten
)
models = sa.Table(
    "models",
    metadata,
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("deployment_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.Text),
)


def _identity() -> list[sa.Column[Any]]:
    """Return the columns that identify a prediction. `at` is first, so that new ones go to the end of the index."""
    return [
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("model_id", sa.String, primary_key=True),
    ]


predictions = sa.Table(
    "predictions",
    metadata,
    *_identity(),
    sa.Column("resolves_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("deployment_id", sa.String, nullable=False),
    sa.Column("horizon", sa.Float, nullable=False),
    sa.Column("arguments", sa.Text),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("value", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("elapsed", sa.Float, nullable=False),
    sa.Column("pending", sa.Integer, nullable=False),
    sa.Column("asked_at", sa.BigInteger),
    sa.Column("seen", sa.BigInteger),
    sa.Column("excused", sa.Integer),
)
scores = sa.Table(
    "scores",
    metadata,
    *_identity(),
    sa.Column("resolves_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("value", sa.Float),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("kind", sa.String),
    sa.Column("metrics", sa.Text),
)
rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("resolves_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("horizon", sa.Float, nullable=False),
    sa.Column("arguments", sa.Text),
    sa.Column("answers", sa.Integer, nullable=False),
    sa.Column("facts", sa.Text),
    sa.Index("rounds_of_key", "key", "resolves_at", "at"),
)
first_answers = sa.Table(
    "first_answers",
    metadata,
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
first_rounds = sa.Table(
    "first_rounds",
    metadata,
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
last_rounds = sa.Table(
    "last_rounds",
    metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", sa.BigInteger, nullable=False),
    sa.Column("heartbeat", sa.BigInteger, nullable=False),
    sa.Column("committed", sa.BigInteger),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("token", sa.String, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("process", sa.String),
)

# A literal: with a bound parameter, SQLite would not use the partial index.
is_pending = predictions.c.pending == sa.literal_column("1")
sa.Index("pending_predictions", predictions.c.resolves_at, sqlite_where=is_pending, postgresql_where=is_pending)

is_excused = predictions.c.excused == sa.literal_column("1")
sa.Index("excused_predictions", predictions.c.resolves_at, sqlite_where=is_excused, postgresql_where=is_excused)

# An absentee whom the first metric does not score has no value either, and nothing to be scored once more.
is_no_absence = sa.or_(scores.c.kind.is_distinct_from("absent"), scores.c.reason.is_not(None))

same_prediction = sa.and_(*(scores.c[name] == predictions.c[name] for name in ("at", "key", "model_id")))
row_columns = [rows.c[name] for name in PackedRow._fields]
round_columns = [rounds.c[name] for name in PackedRound._fields]
prediction_columns = [predictions.c[name] for name in PackedPrediction._fields]


def _upsert(table: sa.Table, *columns: str) -> Written:
    """Insert a record, or replace the one that has the same primary key."""
    statement = insert(table)
    identity = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in columns if name not in identity}
    return Written(statement.on_conflict_do_update(index_elements=identity, set_=replaced))


def _bound(table: sa.Table, column: sa.ColumnElement[int], *, least: bool) -> Written:
    """Insert a record, or lower (raise) the column of the one that has the same primary key."""
    statement = insert(table)
    new = statement.excluded[column.name]
    identity = [each.name for each in table.primary_key]
    return Written(
        statement.on_conflict_do_update(
            index_elements=identity, set_={column.name: new}, where=new < column if least else new > column
        )
    )


# All but the number, which SQLite gives.
INSERT_ROW = Written(
    insert(rows).values({name: sa.bindparam(name) for name in PackedRow._fields}).on_conflict_do_nothing()
)
INSERT_PREDICTION = Written(insert(predictions).on_conflict_do_nothing())
INSERT_SCORE = Written(insert(scores).on_conflict_do_nothing())
UPSERT_MODEL = _upsert(models, *PackedModel._fields)
UPSERT_SESSION = _upsert(sessions, *PackedSession._fields)
UPSERT_LEASE = _upsert(leases, *PackedLease._fields)
UPSERT_NOTE = _upsert(notes, "name", "document")
UPSERT_ROUND = _upsert(rounds, *PackedRound._fields)
SCORES_OF_ROUND = 'SELECT model_id, value, kind, metrics FROM scores WHERE at = ? AND "key" = ? ORDER BY model_id'
NOTE_FIRST = _bound(first_rounds, first_rounds.c.at, least=True)
NOTE_FIRST_ANSWER = _bound(first_answers, first_answers.c.at, least=True)
NOTE_LAST = _bound(last_rounds, last_rounds.c.at, least=False)
END_PENDING = Written(
    sa.update(predictions)
    .where(*(predictions.c[name] == sa.bindparam(f"_{name}") for name in ("at", "key", "model_id")))
    .values(pending=sa.literal_column("0"))
)

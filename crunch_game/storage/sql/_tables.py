"""The tables of a store, the same in every database, and what is written to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from crunch_game.storage._codec import (
    PackedLease,
    PackedModel,
    PackedPrediction,
    PackedRound,
    PackedRow,
    PackedScore,
    PackedSession,
)

metadata = sa.MetaData()

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite gives numbers by itself to a column of this very type only."""
Name = sa.String().with_variant(sa.String(collation="C"), "postgresql")
"""What records are sorted by: by code points, as Python does and SQLite, whatever the language of the database is."""

schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))
rows = sa.Table(
    "rows",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("session", sa.Integer),
    sa.Column("aside", sa.Text),
    sa.Column("data", sa.Text),
    sa.UniqueConstraint("time", "arrived"),
    sqlite_autoincrement=True,  # no number is used again, though its row is deleted
)
models = sa.Table(
    "models",
    metadata,
    sa.Column("model_id", Name, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("deployment_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.Text),
)


def identity_columns() -> list[sa.Column[Any]]:
    """Return the columns that identify a prediction. `at` is first, so that new ones go to the end of the index."""
    return [
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", Name, primary_key=True),
        sa.Column("model_id", Name, primary_key=True),
    ]


predictions = sa.Table(
    "predictions",
    metadata,
    *identity_columns(),
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
    *identity_columns(),
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
    sa.Column("key", Name, primary_key=True),
    sa.Column("resolves_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("horizon", sa.Float, nullable=False),
    sa.Column("arguments", sa.Text),
    sa.Column("answers", sa.Integer, nullable=False),
    sa.Column("facts", sa.Text),
    sa.Column("void", sa.Text),
    sa.Index("rounds_of_key", "key", "resolves_at", "at"),
)
first_answers = sa.Table(
    "first_answers",
    metadata,
    sa.Column("model_id", Name, primary_key=True),
    sa.Column("key", Name, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
first_rounds = sa.Table(
    "first_rounds",
    metadata,
    sa.Column("model_id", Name, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
last_rounds = sa.Table(
    "last_rounds",
    metadata,
    sa.Column("key", Name, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("name", Name, primary_key=True),
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
    sa.Column("kind", Name, primary_key=True),
    sa.Column("token", sa.String, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("process", sa.String),
)

known_rounds = sa.Table(
    "known_rounds",
    metadata,
    sa.Column("resolves_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", Name, primary_key=True),
)
"""Every round of which there is a prediction or a score.

What one model did in each is then found by the primary keys of `predictions` and `scores`. An index by model would have
as many ends as there are models, and each round would write a page at every one of them.
"""

# Literals: with a bound parameter, SQLite would not use a partial index.
is_pending = predictions.c.pending == sa.literal_column("1")
is_excused = predictions.c.excused == sa.literal_column("1")
is_unanswered = predictions.c.status != sa.literal_column("'ok'")
for _name, _is in ("pending", is_pending), ("excused", is_excused), ("unanswered", is_unanswered):
    sa.Index(f"{_name}_predictions", predictions.c.resolves_at, sqlite_where=_is, postgresql_where=_is)

has_no_value = scores.c.value.is_(None)
sa.Index("scores_without_value", scores.c.resolves_at, sqlite_where=has_no_value, postgresql_where=has_no_value)

# An absentee whom the first metric does not score has no value either, and nothing to be scored once more.
_kind = sa.func.coalesce(scores.c.kind, "")
was_set_aside = sa.and_(
    _kind.not_in(("void", "retracted")), sa.or_(_kind != "absent", scores.c.reason.is_not(None)), has_no_value
)

same_prediction = sa.and_(*(scores.c[name] == predictions.c[name] for name in ("at", "key", "model_id")))
row_columns = [rows.c[name] for name in PackedRow._fields]
round_columns = [rounds.c[name] for name in PackedRound._fields]
prediction_columns = [predictions.c[name] for name in PackedPrediction._fields]


def oldest_first(query: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    """Sort records by `resolves_at`; those of one moment by the columns that identify them."""
    order = dict.fromkeys([table.c.resolves_at, *table.primary_key])  # of a known round, it is of the key
    return query.order_by(*order)


class Insert(NamedTuple):
    """An insert of records, as parts of its text: SQLAlchemy would process each, which costs more than SQLite."""

    table: str
    columns: tuple[str, ...]
    conflict: str = "DO NOTHING"
    """What is done if a record is there already."""

    @property
    def names(self) -> str:
        """The columns, as a list in SQL."""
        return ", ".join(f'"{name}"' for name in self.columns)

    def text(self, mark: str) -> str:
        """The statement for one record, with this mark for each parameter."""
        marks = ", ".join([mark] * len(self.columns))
        return f"INSERT INTO {self.table} ({self.names}) VALUES ({marks}) ON CONFLICT {self.conflict}"


def upsert(table: sa.Table, *columns: str) -> Insert:
    """Insert a record, or replace the one that has the same primary key."""
    replaced = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in table.primary_key)
    return Insert(table.name, columns, f"({_key_of(table)}) DO UPDATE SET {replaced}")


def _bound(table: sa.Table, *, least: bool) -> Insert:
    """Insert a record, or lower (raise) `at` of the one that has the same primary key."""
    where = f"excluded.at {'<' if least else '>'} {table.name}.at"
    names = tuple(column.name for column in table.columns)
    return Insert(table.name, names, f"({_key_of(table)}) DO UPDATE SET at = excluded.at WHERE {where}")


def _key_of(table: sa.Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.primary_key)


INSERT_ROW = Insert("rows", PackedRow._fields)  # the database gives the number
INSERT_PREDICTION = Insert("predictions", PackedPrediction._fields)
INSERT_SCORE = Insert("scores", PackedScore._fields)
UPSERT_SCORE = upsert(scores, *PackedScore._fields)
UPSERT_MODEL = upsert(models, *PackedModel._fields)
UPSERT_SESSION = upsert(sessions, *PackedSession._fields)
UPSERT_LEASE = upsert(leases, *PackedLease._fields)
UPSERT_NOTE = upsert(notes, "name", "document")
UPSERT_ROUND = upsert(rounds, *PackedRound._fields)
NOTE_FIRST = _bound(first_rounds, least=True)
NOTE_FIRST_ANSWER = _bound(first_answers, least=True)
NOTE_LAST = _bound(last_rounds, least=False)
NOTE_ROUND = Insert("known_rounds", ("resolves_at", "at", "key"))


def bounds_of(packed: Sequence[PackedPrediction]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the first round of each model, and the last of each key, among these predictions."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, key, model_id, *_ in packed:
        first[model_id] = min(at, first.get(model_id, at))
        last[key] = max(at, last.get(key, at))
    return first, last


def rounds_of(packed: Sequence[PackedPrediction] | Sequence[PackedScore]) -> list[tuple[int, int, str]]:
    """Return the columns of the known rounds of these records."""
    return sorted({(each.resolves_at, each.at, each.key) for each in packed})

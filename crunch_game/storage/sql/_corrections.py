"""Corrections in the tables of a database, with what they replaced, and boards as they were published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from crunch_game.storage import _codec as codec
from crunch_game.storage._corrections import Change, Correction, FormerScore, KeepsCorrections, PublishedBoard
from crunch_game.storage.base import ScoredRound
from crunch_game.storage.corrected import (
    PackedCorrection,
    PackedFormer,
    PackedPublished,
    pack_amendment,
    pack_correction,
    pack_published,
    unpack_correction,
    unpack_former,
    unpack_published,
)
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._database import Database
from crunch_game.storage.sql._reading import Reader
from crunch_game.storage.sql._tables import Insert, Name, Number, metadata

corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("moment", sa.BigInteger, nullable=False),
    sa.Column("writer", Name, nullable=False),
    sa.Column("verb", Name, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("model_id", Name),
    sa.Column("key", Name),
    sa.Column("since", sa.BigInteger),
    sa.Column("until", sa.BigInteger),
    sa.UniqueConstraint("moment", "writer"),
    sqlite_autoincrement=True,
)
former_scores = sa.Table(
    "former_scores",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    *tables.identity_columns(),
    sa.Column("resolves_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("existed", sa.Integer, nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("kind", sa.String),
    sa.Column("metrics", sa.Text),
    sa.Index("former_scores_of_model", "model_id", "number", "at", "key"),
)
published = sa.Table(
    "published",
    metadata,
    sa.Column("moment", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("board", Name, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("correction", sa.BigInteger, nullable=False),
    sa.Index("published_of_time", "at", "moment"),
)

_correction_columns = [corrections.c[name] for name in PackedCorrection._fields]
_former_columns = [former_scores.c[name] for name in PackedFormer._fields]
_published_columns = [published.c[name] for name in PackedPublished._fields]

_INSERT_CORRECTION = Insert("corrections", PackedCorrection._fields)
_INSERT_FORMER = Insert("former_scores", PackedFormer._fields)
_INSERT_PUBLISHED = Insert("published", PackedPublished._fields)
_its = tables.scores.c
_DROP_SCORE = sa.delete(tables.scores).where(
    *(_its[name] == sa.bindparam(f"its_{name}") for name in ("at", "key", "model_id"))
)


class SQLCorrections(KeepsCorrections):
    """The corrections of a SQLStore."""

    keeps_corrections: ClassVar[bool] = True
    _reader: Reader
    _database: Database

    def _fetch(self, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
        raise NotImplementedError

    def _writing(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def correct(self, correction: Correction) -> int:
        """Append a correction; returns its number."""
        packed = pack_correction(correction)
        columns = corrections.c
        its = columns.moment == packed.moment, columns.writer == packed.writer
        with self._writing() as connection:
            self._database.insert(connection, _INSERT_CORRECTION, [packed])
            return int(connection.execute(sa.select(columns.number).where(*its)).scalar_one())

    def corrections(self, after: int = 0) -> list[tuple[int, Correction]]:
        """Return the corrections with larger numbers than this, in their order."""
        number = corrections.c.number
        query = sa.select(number, *_correction_columns).where(number > after).order_by(number)
        found = self._fetch(query)
        return list(self._reader.each("correction", lambda row: (row[0], unpack_correction(row[1:])), found, 1))

    def amend(
        self,
        number: int,
        changes: Sequence[Change],
        rounds: Sequence[ScoredRound] = (),
        *,
        note: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Replace scores by what a correction makes of them, and keep what they were, in one transaction."""
        packed = pack_amendment(number, changes, rounds, note)
        gone = [dict(zip(("its_at", "its_key", "its_model_id"), each, strict=True)) for each in packed.gone]
        with self._writing() as connection:
            insert = self._database.insert
            insert(connection, _INSERT_FORMER, packed.former)
            if gone:
                connection.execute(_DROP_SCORE, gone)
            insert(connection, tables.UPSERT_SCORE, packed.scores)
            insert(connection, tables.UPSERT_ROUND, packed.rounds)
            insert(connection, tables.UPSERT_NOTE, packed.notes)
            self._database.end_pending(connection, [score[:3] for score in packed.scores])

    def former_scores(self, number: int | None = None, *, model_id: str | None = None) -> list[FormerScore]:
        """Return what corrections have replaced, by number, `at`, `key` and model."""
        query = sa.select(*_former_columns).order_by(*former_scores.primary_key)
        if number is not None:
            query = query.where(former_scores.c.number == number)
        if model_id is not None:
            query = query.where(former_scores.c.model_id == model_id)
        return list(self._reader.each("former score", unpack_former, self._fetch(query), 4))

    def publish(self, boards: Sequence[PublishedBoard]) -> None:
        """Keep boards as they are shown from now on, in one transaction."""
        packed = [pack_published(each) for each in boards]
        with self._writing() as connection:
            self._database.insert(connection, _INSERT_PUBLISHED, packed)

    def published(self, moment: datetime | None = None, *, at: datetime | None = None) -> list[PublishedBoard]:
        """Return the boards that were published together, last of all; sorted by name."""
        columns = published.c
        order = [columns.moment.desc()] if at is None else [columns.at.desc(), columns.moment.desc()]
        last = sa.select(columns.moment).order_by(*order).limit(1)
        if moment is not None:
            last = last.where(columns.moment <= codec.microseconds(moment))
        if at is not None:
            last = last.where(columns.at <= codec.microseconds(at))
        query = sa.select(*_published_columns).where(columns.moment == last.scalar_subquery()).order_by(columns.board)
        return list(self._reader.each("published board", unpack_published, self._fetch(query), 2))

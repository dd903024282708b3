"""SQLStore: keeps a game in a SQLite file, or in a PostgreSQL database."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, select, tuple_, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from crunch_game._public import public
from crunch_game._status import Status
from crunch_game.errors import StoreError, StoreUnavailable
from crunch_game.feeds.base import Row
from crunch_game.storage import _codec as codec
from crunch_game.storage._log import GameLog
from crunch_game.storage._values import decode_object
from crunch_game.storage.base import (
    KeptScore,
    Lease,
    ModelRecord,
    Prediction,
    Score,
    ScoredRound,
    Session,
)
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._backlog import SQLBacklog
from crunch_game.storage.sql._corrections import SQLCorrections
from crunch_game.storage.sql._database import Database, Packed, is_away
from crunch_game.storage.sql._log import SQLLog, inserts
from crunch_game.storage.sql._migrations import VERSION
from crunch_game.storage.sql._pruning import SQLPruning
from crunch_game.storage.sql._reading import EXCUSED, KINDS, Reader
from crunch_game.storage.sql._schema import bring_up_to_date, open_command, version_of

_STREAMED = {"yield_per": 200}
"""So many records are read together."""


@public
class SQLStore(SQLLog, SQLCorrections, SQLPruning, SQLBacklog):
    """A store in a SQLite file or a PostgreSQL database, which several processes may use at once.

    Every `save` and `settle` is one transaction, which is on the disk when it returns: what was accepted survives the
    kill of any process, and a loss of power too. Times are integer microseconds since 1970 UTC; the views
    `readable_rows` and `readable_predictions` show them as dates. A database of an earlier version of crunch_game is
    brought up to date when it is opened.

    Args:
        url: "sqlite:///game.db", "sqlite:////var/lib/game.db" for an absolute path, or
            "postgresql://user:password@host:5432/database", for which "?schema=name" keeps several games apart.
        create: Create the file or the tables if they are missing, and bring them up to date; with False, either is an
            error.

    Raises:
        StoreError: It cannot be opened, is not a store, or was written by a later version.
        MissingExtra: The extra `postgres` is not installed.
    """

    def __init__(self, url: str, *, create: bool = True) -> None:
        self._database = _database_of(url, create)
        self._reader = Reader(self._database.name)
        # The first rounds and answers that this object has written: they need not be written again with every round.
        self._first_kept: dict[str, int] = {}
        self._first_answered: dict[tuple[str, str], int] = {}
        self._closed = False
        try:
            self._prepare(create)
        except BaseException:
            self.close()
            raise

    def _prepare(self, create: bool) -> None:
        """Bring an empty database, or one of an earlier version, up to this one. Refuse one that is not a store."""
        database = self._database
        with self._reading() as connection:
            found = version_of(connection, database)
        if found == VERSION:
            return
        if not create:
            raise StoreError(
                f"{database.name} was written by an earlier version of crunch_game (its schema is {found}, this version"
                f" reads {VERSION}), and only its game brings it up to date; start that, or run: "
                f"{open_command(database.url)}"
                if found
                else f"{database.name} is empty; the game that writes it must be started first"
            )
        with self._errors():
            database.found()
        with self._writing() as connection:
            found = version_of(connection, database)  # another process may have done it meanwhile
            if found != VERSION:
                bring_up_to_date(connection, database, found)

    def save(
        self,
        rows: Sequence[Row] = (),
        predictions: Sequence[Prediction] = (),
        models: Sequence[ModelRecord] = (),
        *,
        aside: Sequence[tuple[Row, str]] = (),
        session: Session | None = None,
        log: GameLog | None = None,
    ) -> None:
        """Keep rows and predictions that are new; a model's record, and a session's, replaces the one before."""
        # Packed before the transaction begins: it holds the lock of the file, and packing may fail.
        packed = [codec.pack_prediction(prediction) for prediction in predictions]
        first, last = tables.bounds_of(packed)
        first = {model_id: at for model_id, at in first.items() if at < self._first_kept.get(model_id, math.inf)}
        written: list[tuple[tables.Insert, Packed]] = [
            (tables.INSERT_ROW, codec.pack_rows(rows, aside, None if session is None else session.number)),
            (tables.INSERT_PREDICTION, packed),
            (tables.NOTE_FIRST, list(first.items())),
            (tables.NOTE_LAST, list(last.items())),
            (tables.NOTE_ROUND, tables.rounds_of(packed)),
            (tables.UPSERT_MODEL, [codec.pack_model(model) for model in models]),
            (tables.UPSERT_SESSION, [] if session is None else [codec.pack_session(session)]),
            *inserts(log),
        ]
        with self._writing() as connection:
            for insert, records in written:
                self._database.insert(connection, insert, records)
            answered = self._first_answers_of(connection, packed)
            firsts = [(*who, at) for who, at in answered.items()]
            self._database.insert(connection, tables.NOTE_FIRST_ANSWER, firsts)
        self._first_kept |= first
        self._first_answered |= answered

    def _first_answers_of(
        self, connection: Connection, packed: Sequence[codec.PackedPrediction]
    ) -> dict[tuple[str, str], int]:
        """Return the first rounds that these predictions answer, if they are earlier than what is known.

        They are read back: of two predictions with one identity, only the first is kept.
        """
        known, columns = self._first_answered, tables.predictions.c
        new = [each[:3] for each in packed if each.pending and each.at < known.get((each.model_id, each.key), math.inf)]
        found: dict[tuple[str, str], int] = {}
        for some in (new[start : start + 1000] for start in range(0, len(new), 1000)):
            is_new = tuple_(*tables.predictions.primary_key).in_(some)
            query = select(columns.model_id, columns.key, columns.at).where(is_new, columns.value.is_not(None))
            for model_id, key, at in connection.execute(query.where(columns.status == str(Status.OK))):
                found[model_id, key] = min(at, found.get((model_id, key), at))
        return found

    def settle(self, scores: Sequence[Score], rounds: Sequence[ScoredRound] = ()) -> None:
        """Keep scores; their predictions are no longer pending. A prediction keeps its first score."""
        packed = [codec.pack_score(score) for score in scores]
        packed_rounds = [codec.pack_round(scored) for scored in rounds]
        if not packed and not packed_rounds:
            return
        with self._writing() as connection:
            self._database.insert(connection, tables.UPSERT_ROUND, packed_rounds)
            self._database.insert(connection, tables.NOTE_ROUND, tables.rounds_of(packed))
            # "Pending" is kept in a column of its own, so that a partial index finds what is to be scored among all
            # predictions of a year.
            self._database.insert(connection, tables.INSERT_SCORE, packed)
            self._database.end_pending(connection, [score[:3] for score in packed])

    def reopen(self, reason: str | None = None) -> int:
        """Forget the scores of predictions that were set aside, so that they are pending again; returns how many."""
        aside: list[ColumnElement[bool]] = [tables.was_set_aside]
        if reason is not None:
            aside.append(tables.scores.c.reason == reason)
        identities = select(*tables.scores.primary_key).where(*aside)
        reopened = tuple_(*tables.predictions.primary_key).in_(identities)
        answered = tables.predictions.c.status == str(Status.OK)
        with self._writing() as connection:
            connection.execute(update(tables.predictions).where(reopened, answered).values(pending=1))
            return connection.execute(delete(tables.scores).where(*aside)).rowcount

    def last_row(self) -> Row | None:
        """Return the row with the greatest time: of that time the last that arrived, no row set aside."""
        # In two steps: SQLite would sort all rows, were it asked for the last number of the last time.
        time, number = tables.rows.c.time, tables.rows.c.number
        newest = _told(select(time)).order_by(time.desc()).limit(1).scalar_subquery()
        query = _told(select(*tables.row_columns)).where(time == newest).order_by(number.desc()).limit(1)
        packed = self._fetch(query)
        found = next(self._reader.each("row", codec.unpack_row, packed, 2), None)
        return found if found or not packed else next(reversed(self.rows()), None)

    def rows(self, since: datetime | None = None) -> list[Row]:
        """Return the rows at or after `since`, oldest first: of each time the last that arrived, no row set aside."""
        query = _told(select(*tables.row_columns)).order_by(tables.rows.c.time, tables.rows.c.number)
        if since is not None:
            query = query.where(tables.rows.c.time >= codec.microseconds(since))
        last = {row.time: row for row in self._reader.each("row", codec.unpack_row, self._fetch(query), 2)}
        return list(last.values())

    def sessions(self) -> list[Session]:
        """Return the sessions, sorted by number."""
        found = self._fetch(select(tables.sessions).order_by("number"))
        return list(self._reader.each("session", codec.unpack_session, found, 1))

    def lease(self, kind: str) -> Lease | None:
        """Return the lease of this kind, be it stale; None if nobody has it."""
        with self._reading() as connection:
            return self._lease(connection, kind)

    def swap_lease(self, kind: str, before: Lease | None, after: Lease | None) -> bool:
        """Replace the lease of this kind, if it is still `before`, in one write transaction."""
        packed = [] if after is None else [codec.pack_lease(after)]
        with self._writing() as connection:
            if self._lease(connection, kind) != before:
                return False
            if after is None:
                connection.execute(delete(tables.leases).where(tables.leases.c.kind == kind))
            self._database.insert(connection, tables.UPSERT_LEASE, packed)
        return True

    def unanswered(self, after: datetime | None, until: datetime) -> list[Prediction]:
        """Return the predictions whose status is not OK, and which resolve after `after` and at or before `until`."""
        columns = tables.predictions.c
        query = tables.oldest_first(select(*tables.prediction_columns), tables.predictions)
        query = query.where(tables.is_unanswered, columns.resolves_at <= codec.microseconds(until))
        if after is not None:
            query = query.where(columns.resolves_at > codec.microseconds(after))
        return list(self._reader.each("prediction", codec.unpack_prediction, self._fetch(query)))

    def predictions(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Prediction]:
        """Return all predictions, or those of one model, that resolve at or after `since`, oldest first."""
        return list(
            self._reader.records(
                kind := KINDS["predictions"], self._fetch(kind.query(self._database, since, model_id=model_id))
            )
        )

    def scores(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Score]:
        """Return all scores, or those of one model, that resolve at or after `since`, oldest first."""
        return list(
            self._reader.records(
                kind := KINDS["scores"], self._fetch(kind.query(self._database, since, model_id=model_id))
            )
        )

    def stream(
        self,
        what: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_id: str | None = None,
        key: str | None = None,
    ) -> Iterator[Any]:
        """Yield the records of one kind, as the database gives them: few are in memory at once."""
        if what not in KINDS:
            yield from super().stream(what, since, until, model_id=model_id, key=key)
            return
        query = (kind := KINDS[what]).query(self._database, since, until, model_id=model_id, key=key)
        with self._reading() as connection, connection.execute(query, execution_options=_STREAMED) as found:
            yield from self._reader.records(kind, found)

    def rounds(self, since: datetime | None = None) -> Iterator[tuple[ScoredRound, list[KeptScore]]]:
        """Yield the scored rounds that resolve at or after `since`, oldest first, each with its scores."""
        query = KINDS["rounds"].query(self._database, since)
        with self._reading() as connection, connection.execute(query, execution_options=_STREAMED) as found:
            for some in found.partitions():
                for packed, scores in zip(some, self._database.scores_of(connection, some), strict=True):
                    for scored in self._reader.each("round", codec.unpack_round, [packed], 2):
                        yield scored, self._reader.kept(packed, scores)

    def past_rounds(self, key: str, before: datetime, *, least: int = 0) -> Iterator[ScoredRound]:
        """Yield the scored rounds of a key that resolve before this, newest first."""
        table = tables.rounds.c
        query = select(*tables.round_columns).order_by(table.resolves_at.desc(), table.at.desc())
        query = query.where(table.key == key, table.resolves_at < codec.microseconds(before), table.answers >= least)
        with self._reading() as connection, connection.execute(query, execution_options=_STREAMED) as found:
            yield from self._reader.each("round", codec.unpack_round, found, 2)

    def excused(self, since: datetime | None = None) -> list[tuple[str, datetime, str]]:
        """Return key, `at` and model id of the excused predictions that resolve at or after `since`."""
        columns = tables.predictions.c
        query = select(columns.key, columns.at, columns.model_id).where(tables.is_excused)
        if since is not None:
            query = query.where(columns.resolves_at >= codec.microseconds(since))
        return [
            (*found, model_id)
            for found, model_id in self._reader.each(
                "prediction", lambda row: (_moment_of(row), row[2]), self._fetch(query), shape=EXCUSED
            )
        ]

    def last_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the latest round of every key."""
        return dict(self._reader.each("last round", _moment_of, self._fetch(select(tables.last_rounds)), 1))

    def first_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the first round that each model was asked in."""
        return dict(self._reader.each("first round", _moment_of, self._fetch(select(tables.first_rounds)), 1))

    def first_answers(self) -> dict[str, dict[str, datetime]]:
        """Return the `at` of the first round that each model answered, by model and key."""
        found: dict[str, dict[str, datetime]] = {}
        kept = self._fetch(select(tables.first_answers))
        for model_id, (key, at) in self._reader.each(
            "first answer", lambda row: (row[0], _moment_of(row[1:])), kept, 2
        ):
            found.setdefault(model_id, {})[key] = at
        return found

    def models(self) -> list[ModelRecord]:
        """Return all models that were ever saved, sorted by id."""
        found = self._fetch(select(tables.models).order_by(tables.models.c.model_id))
        return list(self._reader.each("model", lambda row: ModelRecord(*row), found, 1))

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a small document under a name; it replaces the one before."""
        packed = codec.pack_document(name, document)
        with self._writing() as connection:
            self._database.insert(connection, tables.UPSERT_NOTE, [(name, packed)])

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None."""
        found = self._fetch(select(tables.notes).where(tables.notes.c.name == name))
        return next(self._reader.each("note", lambda note: decode_object(note[1]), found, 1), None)

    def close(self) -> None:
        """Close all files and connections. The store cannot be used afterwards."""
        self._closed = True
        self._database.close()

    def _lease(self, connection: Connection, kind: str) -> Lease | None:
        found = connection.execute(select(tables.leases).where(tables.leases.c.kind == kind)).all()
        return next(self._reader.each("lease", codec.unpack_lease, found, 1), None)

    def _fetch(self, query: Select[Any]) -> Sequence[Sequence[Any]]:
        with self._reading() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._errors(), self._database.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._errors(), self._database.writing() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the database's errors into StoreErrors."""
        if self._closed:
            raise StoreError("the store was closed and cannot be used again")
        errors: tuple[type[Exception], ...] = (SQLAlchemyError, *self._database.errors())
        try:
            yield
        except errors as error:
            cause = error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error
            kind = StoreUnavailable if is_away(cause) else StoreError
            raise kind(self._database.sentence(cause)) from error


def _database_of(url: str, create: bool) -> Database:
    # Each is imported when it is used: sqlite3 may be missing from a Python, and psycopg is an extra.
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme == "sqlite":
        from crunch_game.storage.sql._sqlite import SQLite

        return SQLite(url, create=create)
    if scheme in ("postgresql", "postgres"):
        from crunch_game.storage.sql._postgres import PostgreSQL

        return PostgreSQL(url)
    shown = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)
    raise StoreError(
        f'{shown!r} names no store; write "sqlite:///game.db", "postgresql://user@host/database", or "memory:" to keep '
        "nothing"
    )


def _moment_of(packed: Sequence[Any]) -> tuple[str, datetime]:
    """Whose moment it is, and the moment."""
    return packed[0], codec.moment(packed[1])


def _told(query: Select[Any]) -> Select[Any]:
    return query.where(tables.rows.c.aside.is_(None))

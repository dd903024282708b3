"""What is specific to SQLite: opening a file, durability, and use by several processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    QueuePool,
    Select,
    Table,
    and_,
    create_engine,
    event,
    literal_column,
    select,
)

from crunch_game.errors import StoreError
from crunch_game.storage.sql._database import PATIENCE, Database, Packed
from crunch_game.storage.sql._migrations import SQLITE
from crunch_game.storage.sql._schema import readable_views
from crunch_game.storage.sql._tables import Insert, known_rounds

_PREFIX = "sqlite:///"
_END_PENDING = 'UPDATE predictions SET pending = 0 WHERE at = ? AND "key" = ? AND model_id = ?'
_SCORES_OF_ROUND = 'SELECT model_id, value, kind, metrics FROM scores WHERE at = ? AND "key" = ? ORDER BY model_id'


def _date(time: str) -> str:
    # Not '%f', which rounds to milliseconds; and `/` rounds times before 1970 up.
    rest = f"({time} % 1000000 + 1000000) % 1000000"
    return f"strftime('%Y-%m-%d %H:%M:%S', ({time} - {rest}) / 1000000, 'unixepoch') || printf('.%06d', {rest})"


class SQLite(Database):
    """A file, which several processes may use at once: one writes, beside readers.

    Args:
        url: "sqlite:///game.db".
        create: Create the file if it is missing.

    Raises:
        StoreError: It is not such a URL, or the file does not exist and is not to be created, or its folder does not
            exist.
    """

    elsewhere = "choose another file"
    views = readable_views(_date)
    migrations = SQLITE

    def __init__(self, url: str, *, create: bool) -> None:
        path = _path(url)
        self.name = str(path)
        self.url = url
        self._engine = _engine(path, create=create)
        self._writer = self._engine.execution_options(writes=True)

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a transaction that sees one state of everything."""
        return self._engine.begin()

    def writing(self) -> AbstractContextManager[Connection]:
        """Return a transaction that writes, alone: no other one begins before its end."""
        return self._writer.begin()

    def found(self) -> None:
        """Allow readers beside one writer, and that the file shrinks. These are lasting properties of a new file.

        Raises:
            sqlite3.OperationalError: It stayed locked for PATIENCE.
        """
        patience = time.monotonic() + PATIENCE
        raw = self._engine.raw_connection()
        try:
            while True:
                try:
                    raw.cursor().execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
                    raw.cursor().execute("PRAGMA journal_mode = WAL").fetchall()
                    return
                except sqlite3.OperationalError as error:
                    # SQLite does not wait here for another process that is about to do the same.
                    if "locked" not in str(error) or time.monotonic() > patience:
                        raise
                time.sleep(0.005)
        finally:
            raw.close()

    def insert(self, connection: Connection, insert: Insert, packed: Packed) -> None:
        """Insert records, in this order."""
        if packed:
            connection.exec_driver_sql(insert.text("?"), list(packed))

    def end_pending(self, connection: Connection, identities: Packed) -> None:
        """Note that these predictions are no longer pending."""
        if identities:
            connection.exec_driver_sql(_END_PENDING, list(identities))

    def of_model(self, columns: Sequence[ColumnElement[Any]], table: Table, model_id: str) -> Select[Any]:
        """Return the query for one model's records, found by the rounds that are known."""
        # The sign keeps the index on `resolves_at` out of it, which would lead to the records of all models.
        resolves_at: ColumnElement[int] = literal_column(f"+{table.name}.resolves_at")
        known = known_rounds.c
        same = and_(known.at == table.c.at, known.key == table.c.key, known.resolves_at == resolves_at)
        return select(*columns).select_from(known_rounds.join(table, same)).where(table.c.model_id == model_id)

    def scores_of(self, connection: Connection, rounds: Packed) -> Iterator[list[tuple[Any, ...]]]:
        """Yield what boards need of the scores of each round."""
        # The driver's own tuples: SQLAlchemy's rows would take as long as all the rest.
        cursor: Any = connection.connection.cursor()
        for packed in rounds:
            cursor.execute(_SCORES_OF_ROUND, tuple(packed[:2]))
            yield cursor.fetchall()

    def give_back(self, connection: Connection, most: int) -> int:
        """Take free pages off the end of the file; none of one that was made before files could shrink."""
        raw: Any = connection.connection.cursor()

        def pages() -> int:
            return int(raw.execute("PRAGMA page_count").fetchone()[0])

        before, size = pages(), int(raw.execute("PRAGMA page_size").fetchone()[0])
        free = int(raw.execute("PRAGMA freelist_count").fetchone()[0])
        if int(raw.execute("PRAGMA auto_vacuum").fetchone()[0]):
            for _ in range(min(free, max(1, most * 1024 // size))):  # the driver has it go on for one page only
                raw.execute("PRAGMA incremental_vacuum(1)").fetchall()
        return (before - pages()) * size

    def sentence(self, error: Exception) -> str:
        """Say what happened, and what to do."""
        reason = str(error)
        if "not a database" in reason:
            return f"{self.name} is not a SQLite database; choose another file"
        if "locked" in reason:
            return f"{self.name} was locked by another process for more than {PATIENCE:g} s"
        return f"{self.name} cannot be read or written: {reason}"

    def errors(self) -> tuple[type[Exception], ...]:
        """Return the classes of the driver's own errors."""
        return (sqlite3.Error,)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _path(url: str) -> Path:
    name = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or name in ("", ":memory:"):
        raise StoreError(f'{url!r} names no file; write "sqlite:///game.db", or "memory:" to keep nothing')
    return Path(name)


def _engine(path: Path, *, create: bool) -> Engine:
    """Return an engine whose transactions are durable. The file is not opened yet.

    With the execution option `writes`, a transaction takes the write lock when it begins. SQLite does not let one that
    has only read so far wait for the lock: it would fail if another process writes.
    """
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} does not exist; create it, or choose another place for {path.name}")
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it")
    if not create and not path.exists():
        raise StoreError(f"there is no store at {path}; the game that writes it must be started first")
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: `_begin` begins transactions, since sqlite3 would only do so at the first write.
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        connection.text_factory = _text
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    return engine


def _text(raw: bytes) -> str | bytes:
    """Return a text of the file. One that is not UTF-8 stays bytes: only its record cannot be read."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _begin(connection: Connection) -> None:
    writes: Any = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

"""What is specific to SQLite: opening a file, durability, and use by several processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ClauseElement, Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.dialects.sqlite import dialect

from crunch_game.errors import StoreError

BUSY_TIMEOUT = 30.0
"""Seconds that a process waits for another one to end its transaction."""

_PREFIX = "sqlite:///"


def sqlite_path(url: str) -> Path:
    """Return the file of a URL such as "sqlite:///game.db".

    Raises:
        StoreError: It is not such a URL.
    """
    scheme = url.partition(":")[0].partition("+")[0]
    if scheme in ("postgresql", "postgres"):
        raise StoreError(f'{scheme} comes in a later version; for now write "sqlite:///game.db"')
    if scheme != "sqlite":
        raise StoreError(f'{url!r} names no store; write "sqlite:///game.db", or "memory:" to keep nothing')
    name = url.removeprefix(_PREFIX)
    if not url.startswith(_PREFIX) or name in ("", ":memory:"):
        raise StoreError(f'{url!r} names no file; write "sqlite:///game.db", or "memory:" to keep nothing')
    return Path(name)


def sqlite_engine(path: Path, *, create: bool) -> Engine:
    """Return an engine whose transactions are durable. The file is not opened yet.

    With the execution option `writes`, a transaction takes the write lock when it begins. SQLite does not let one that
    has only read so far wait for the lock: it would fail if another process writes.

    Raises:
        StoreError: The file does not exist and is not to be created, or its folder does not exist.
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
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes: Any = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def use_wal(engine: Engine) -> None:
    """Allow readers beside one writer. This is a lasting property of the file.

    Raises:
        sqlite3.OperationalError: It stayed locked for BUSY_TIMEOUT.
    """
    patience = time.monotonic() + BUSY_TIMEOUT
    raw = engine.raw_connection()
    try:
        while True:
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as error:
                # SQLite does not wait here for another process that is about to do the same.
                if "locked" not in str(error) or time.monotonic() > patience:
                    raise
            time.sleep(0.005)
    finally:
        raw.close()


class Written:
    """A statement that is compiled once. SQLAlchemy would process every row's parameters, which costs more than SQLite.

    Args:
        statement: An insert, or another statement with parameters.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._text = str(statement.compile(dialect=dialect(paramstyle="qmark")))

    def execute(self, connection: Connection, values: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for each tuple of parameters."""
        if values:
            connection.exec_driver_sql(self._text, list(values))

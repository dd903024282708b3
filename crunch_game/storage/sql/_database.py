"""Database, the protocol of what differs between the databases in which SQLStore keeps a game."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, Table
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from crunch_game.storage.sql._tables import Insert

PATIENCE = 30.0
"""Seconds that a process waits for another one to end its transaction."""

Packed = Sequence[tuple[Any, ...]]
"""Records as columns."""


_OF_THE_WORLD = {"BUSY", "LOCKED", "NOMEM", "READONLY", "IOERR", "FULL", "CANTOPEN", "PROTOCOL"}
"""What SQLite says of a file, a disk or another process; what it says of a statement is an OperationalError as well."""
_AWAY_STATES = ("25006", "25P02", "25P03", "57P05", "58030")
"""What PostgreSQL says of a server that only reads, of transactions that it has ended, and of its disk."""


def is_away(error: Exception) -> bool:
    """Whether a database does not read or write for now, though nothing is wrong with what was asked: see PEP 249."""
    code = getattr(error, "sqlite_errorname", None)
    if code is not None:
        return code.split("_")[1] in _OF_THE_WORLD
    operational = any(cls.__name__ == "OperationalError" for cls in type(error).__mro__)
    return operational or isinstance(error, NoConnectionFree) or getattr(error, "sqlstate", None) in _AWAY_STATES


class Database(Protocol):
    """An open database.

    Attributes:
        name: What messages call it; no password is in it.
        url: What opens it again, with stars for a password.
        elsewhere: What to do if it holds something else.
        views: The readable views, by name.
        migrations: What is done to the tables of a version, by that version.
    """

    name: str
    url: str
    elsewhere: str
    views: Mapping[str, str]
    migrations: Mapping[int, Sequence[str]]

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a transaction that sees one state of everything."""
        ...

    def writing(self) -> AbstractContextManager[Connection]:
        """Return a transaction that writes, alone: no other one begins before its end."""
        ...

    def found(self) -> None:
        """Prepare it for its tables, before they are made or changed."""
        ...

    def insert(self, connection: Connection, insert: Insert, packed: Packed) -> None:
        """Insert records, in this order."""
        ...

    def end_pending(self, connection: Connection, identities: Packed) -> None:
        """Note that these predictions, of which `at`, `key` and `model_id` are given, are no longer pending."""
        ...

    def of_model(self, columns: Sequence[ColumnElement[Any]], table: Table, model_id: str) -> Select[Any]:
        """Return the query for one model's records, found by the rounds that are known, whatever the planner thinks."""
        ...

    def scores_of(self, connection: Connection, rounds: Packed) -> Iterable[list[tuple[Any, ...]]]:
        """Yield what boards need of the scores of each round, sorted by model; the first columns are `at` and `key`."""
        ...

    def give_back(self, connection: Connection, most: int) -> int:
        """Give about so many kilobytes that are free back to the file system; returns how many bytes were."""
        ...

    def sentence(self, error: Exception) -> str:
        """Say what happened, and what to do."""
        ...

    def errors(self) -> tuple[type[Exception], ...]:
        """Return the classes of the driver's own errors."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...

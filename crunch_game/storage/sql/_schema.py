"""The version of a database's tables: new ones get the newest, and those of earlier versions are brought up to it."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from sqlalchemy import Connection, inspect, select

from crunch_game.errors import StoreError
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._database import Database
from crunch_game.storage.sql._migrations import VERSION


def readable_views(time: Callable[[str], str]) -> dict[str, str]:
    """Return the views for people with the database's own shell, by name.

    Args:
        time: Makes of the SQL of microseconds that of a date.
    """
    return {
        "readable_rows": f"SELECT number, {time('time')} AS time,"
        f" CASE WHEN arrived > {-(2**63)} THEN {time('arrived')} END AS arrived, session, aside, data FROM rows",
        "readable_predictions": f"SELECT {time('p.at')} AS at, p.key, p.model_id,"
        f" {time('p.resolves_at')} AS resolves_at,"
        f" {time('p.asked_at')} AS asked_at, {time('p.seen')} AS seen,"
        " p.status, p.value AS answer, p.error, s.value AS score, s.outcome, s.reason"
        " FROM predictions p LEFT JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id",
    }


def version_of(connection: Connection, database: Database) -> int:
    """Return the version of the tables; 0 if there are none.

    Raises:
        StoreError: It is no store, or that of a later version.
    """
    found = inspect(connection).get_table_names()
    if not found:
        return 0
    version: object = None
    if tables.schema_version.name in found:
        version = connection.execute(select(tables.schema_version.c.version)).scalar()
    if not isinstance(version, int) or version < 1:
        raise StoreError(f"{database.name} is the database of something else; {database.elsewhere}")
    if version > VERSION:
        raise StoreError(
            f"{database.name} was written by a later version of crunch_game (its schema is {version}, this version "
            f"knows those up to {VERSION}); update crunch_game, or {database.elsewhere}"
        )
    return version


def bring_up_to_date(connection: Connection, database: Database, found: int) -> None:
    """Make the tables of this version where there are none (0), or of those of an earlier version."""
    if found == 0:
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(tables.schema_version.insert().values(version=VERSION))
    else:
        # They name columns, and SQLite would look for these whenever a table is renamed.
        for name in database.views:
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        for version in range(found, VERSION):
            for statement in database.migrations[version]:
                connection.exec_driver_sql(statement)
        connection.execute(tables.schema_version.update().values(version=VERSION))
    for name, query in database.views.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def open_command(url: str) -> str:
    """Return a command for the shell that opens a store, and so brings it up to date."""
    return shlex.join(["python", "-c", f"import crunch_game; crunch_game.open_store({url!r}).close()"])

"""The version of a file's tables: new files get the newest, and those of earlier versions are brought up to it.

Whoever changes `_tables` appends to MIGRATIONS what does the same to a file that is there already.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, select

from crunch_game.errors import StoreError
from crunch_game.storage import _tables as tables

_FROM_1 = (
    # How rows arrived. A table's primary key cannot be changed, so they move to a new one.
    "ALTER TABLE rows RENAME TO rows_1",
    "CREATE TABLE rows (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, time BIGINT NOT NULL,"
    " arrived BIGINT NOT NULL, session INTEGER, aside TEXT, data TEXT, UNIQUE (time, arrived))",
    "INSERT INTO rows (time, arrived, data) SELECT time, -9223372036854775808, data FROM rows_1 ORDER BY rowid",
    "DROP TABLE rows_1",
    # Columns that may be NULL are added to millions of predictions without writing one of them.
    "ALTER TABLE predictions ADD COLUMN asked_at BIGINT",
    "ALTER TABLE predictions ADD COLUMN seen BIGINT",
    "CREATE TABLE sessions (number INTEGER NOT NULL, started BIGINT NOT NULL, heartbeat BIGINT NOT NULL,"
    " committed BIGINT, PRIMARY KEY (number))",
    "CREATE TABLE leases (kind VARCHAR NOT NULL, token VARCHAR NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,"
    " since BIGINT NOT NULL, beat BIGINT NOT NULL, process VARCHAR, PRIMARY KEY (kind))",
)

_FROM_2 = (
    "ALTER TABLE predictions ADD COLUMN excused INTEGER",
    "CREATE INDEX excused_predictions ON predictions (resolves_at) WHERE excused = 1",
    "ALTER TABLE scores ADD COLUMN kind VARCHAR",
    "ALTER TABLE scores ADD COLUMN metrics TEXT",
    'CREATE TABLE rounds (at BIGINT NOT NULL, "key" VARCHAR NOT NULL, resolves_at BIGINT NOT NULL,'
    ' horizon FLOAT NOT NULL, arguments TEXT, answers INTEGER NOT NULL, facts TEXT, PRIMARY KEY (at, "key"))',
    "CREATE INDEX ix_rounds_resolves_at ON rounds (resolves_at)",
    'CREATE INDEX rounds_of_key ON rounds ("key", resolves_at, at)',
    # SQLite takes the other columns from the row with the least model id.
    "INSERT INTO rounds SELECT at, key, resolves_at, horizon, arguments, answers, NULL FROM ("
    "SELECT p.at, p.key, p.resolves_at, p.horizon, p.arguments, count(*) AS answers, min(p.model_id)"
    " FROM predictions p JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id"
    " WHERE s.value IS NOT NULL GROUP BY p.at, p.key)",
    'CREATE TABLE first_answers (model_id VARCHAR NOT NULL, "key" VARCHAR NOT NULL, at BIGINT NOT NULL,'
    ' PRIMARY KEY (model_id, "key"))',
    "INSERT INTO first_answers SELECT model_id, key, min(at) FROM predictions"
    " WHERE status = 'ok' AND value IS NOT NULL"
    " GROUP BY model_id, key",
)

MIGRATIONS = (_FROM_1, _FROM_2)
"""What is done to a file of schema 1, of schema 2, and so on. Once released, a migration is never changed."""

VERSION = len(MIGRATIONS) + 1
"""The schema that this version of crunch_game reads and writes."""

_time = (
    # Not '%f', which rounds to milliseconds; and `/` rounds times before 1970 up.
    "strftime('%Y-%m-%d %H:%M:%S', ({0} - ({0} % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')"
    " || printf('.%06d', ({0} % 1000000 + 1000000) % 1000000)"
).format
VIEWS = {
    "readable_rows": f"SELECT number, {_time('time')} AS time,"
    f" CASE WHEN arrived > {-(2**63)} THEN {_time('arrived')} END AS arrived, session, aside, data FROM rows",
    "readable_predictions": f"SELECT {_time('p.at')} AS at, p.key, p.model_id, {_time('p.resolves_at')} AS resolves_at,"
    f" {_time('p.asked_at')} AS asked_at, {_time('p.seen')} AS seen,"
    " p.status, p.value AS answer, p.error, s.value AS score, s.outcome, s.reason"
    " FROM predictions p LEFT JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id",
}
"""With readable times, for people with the sqlite3 shell."""


def version_of(connection: Connection, path: Path) -> int:
    """Return the version of the file's schema; 0 if it is empty.

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
        raise StoreError(f"{path} is the database of something else; choose another file")
    if version > VERSION:
        raise StoreError(
            f"{path} was written by a later version of crunch_game (its schema is {version}, this version knows those "
            f"up to {VERSION}); update crunch_game, or choose another file"
        )
    return version


def bring_up_to_date(connection: Connection, found: int) -> None:
    """Make a file of this version out of an empty one (0), or one of an earlier version. All in one transaction."""
    if found == 0:
        tables.metadata.create_all(connection, checkfirst=False)
        connection.execute(tables.schema_version.insert().values(version=VERSION))
    else:
        # They name columns, and SQLite would look for these whenever a table is renamed.
        for name in VIEWS:
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        for migration in MIGRATIONS[found - 1 :]:
            for statement in migration:
                connection.exec_driver_sql(statement)
        connection.execute(tables.schema_version.update().values(version=VERSION))
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")

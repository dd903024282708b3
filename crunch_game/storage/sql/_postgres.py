"""What is specific to PostgreSQL: connecting, one writer at a time, and records in bulk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    create_engine,
    event,
    literal_column,
    make_url,
    select,
    true,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from crunch_game.errors import MissingExtra, StoreError
from crunch_game.storage.sql._database import PATIENCE, Database, Packed
from crunch_game.storage.sql._migrations import POSTGRESQL
from crunch_game.storage.sql._schema import readable_views
from crunch_game.storage.sql._tables import Insert, known_rounds

try:
    import psycopg
except ImportError:
    raise MissingExtra("psycopg", "postgres") from None

_LIVENESS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "client_encoding": "utf8",
}
"""So that a server which has vanished is an error within half a minute, and not a wait of hours."""

SILENCE = 300.0
"""Seconds without a byte of an answer after which a connection is given up: what is between may never say that it is
dead."""

_LOCK = 0x6372756E
"""The first number of the advisory locks that writers hold: "crun"."""

_BULK = 50
"""From so many records on, it is quicker to copy them to a table on the side, and insert from there."""

_SETTINGS = f"""
SELECT set_config('lock_timeout', '{PATIENCE:g}s', false), set_config('random_page_cost', '1.1', false),
       set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                                        ELSE current_setting('synchronous_commit') END, false)
"""
"""Pages are read from memory or a solid-state disk, and a commit is on the disk when it returns."""

# A writer that hangs, or whose machine has vanished, keeps the others waiting for no longer than this.
_ALONE = f"""
SELECT set_config('idle_in_transaction_session_timeout', '{PATIENCE:g}s', true),
       pg_advisory_xact_lock({_LOCK}, (SELECT oid::int FROM pg_namespace WHERE nspname = current_schema()))
"""

# That ends no COPY whose rows have ceased to come: the server goes on waiting for the next one.
_END_SILENT = f"""
SELECT pg_terminate_backend(held.pid) FROM pg_locks held JOIN pg_stat_activity writer USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.classid = {_LOCK} AND held.database = writer.datid
  AND held.objid = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
  AND writer.state = 'active' AND writer.wait_event = 'ClientRead'
  AND clock_timestamp() - writer.query_start > interval '{PATIENCE:g}s'
"""

_END_PENDING = """
UPDATE predictions p SET pending = 0 FROM settled s
WHERE p.at = s.at AND p."key" = s."key" AND p.model_id = s.model_id AND p.pending <> 0
"""
_SCORES_OF_ROUNDS = """
SELECT r.n, s.model_id, s.value, s.kind, s.metrics
FROM unnest(%s::bigint[], %s::text[]) WITH ORDINALITY r(at, "key", n) JOIN scores s ON s.at = r.at AND s."key" = r."key"
ORDER BY r.n, s.model_id
"""


def _date(time: str) -> str:
    # Not to_timestamp, which shows times in the zone of whoever looks.
    return f"to_char(timestamp '1970-01-01' + {time} * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US')"


class PostgreSQL(Database):
    """A database of a PostgreSQL server, or one schema of it.

    Writers hold an advisory lock from the beginning of their transaction to its end. So the numbers that the database
    gives out are committed in their order: whoever has seen one will find no smaller one later.

    Args:
        url: "postgresql://user:password@host:5432/database", and "?schema=name" if it is not to be the user's own.

    Raises:
        StoreError: It is not such a URL.
    """

    elsewhere = 'choose another database, or a schema of its own: "?schema=game" at the end of the URL'
    views = readable_views(_date)
    migrations = POSTGRESQL

    def __init__(self, url: str) -> None:
        parsed = _parsed(url)
        self._schema = _schema_of(parsed)
        shown = _without(parsed, "password", "sslpassword").set(drivername="postgresql")
        self.url = shown.render_as_string(hide_password=True)
        self.name = shown._replace(password=None).render_as_string()
        self._engine = self._connecting(_without(parsed, "schema"))
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # What another writer has committed while this one waited for the lock must be seen, whatever the default is.
        self._writer = self._engine.execution_options(isolation_level="READ COMMITTED")

    def _connecting(self, url: URL) -> Engine:
        arguments = {name: value for name, value in _LIVENESS.items() if name not in url.query}
        # A connection that has died since its last use, as all do at a restart of the server, is replaced unnoticed.
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=True)
        event.listen(
            engine, "do_connect", lambda dialect, record, args, given: _WatchedConnection.connect(*args, **given)
        )
        event.listen(engine, "connect", self._set_up)
        return engine

    def _set_up(self, connection: Any, _: object) -> None:
        connection.execute(_SETTINGS)
        if self._schema is not None:
            connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [self._schema])
        connection.commit()

    def reading(self) -> AbstractContextManager[Connection]:
        """Return a transaction that sees one state of everything."""
        return self._reader.begin()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Return a transaction that writes, alone: no other one begins before its end."""
        with self._writer.begin() as connection:
            try:
                connection.exec_driver_sql(_ALONE)
            except DBAPIError as error:
                if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                    self._end_silent()
                raise
            yield connection

    def _end_silent(self) -> None:
        """End the writer that keeps all others waiting, if nothing comes from it: the next try finds the lock free."""
        with suppress(DBAPIError), self._engine.begin() as connection:  # another user's cannot be ended
            connection.exec_driver_sql(_END_SILENT)

    def found(self) -> None:
        """Make the schema, if it is missing.

        Raises:
            StoreError: The database keeps texts otherwise than as UTF-8, or has no schema to use.
        """
        with self._writer.begin() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
            if encoding != "UTF8":
                raise StoreError(
                    f"{self.name} keeps texts as {encoding}; create a database with ENCODING 'UTF8' TEMPLATE template0"
                )
            if self._schema is not None:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK}, 0)")
                name = connection.dialect.identifier_preparer.quote_identifier(self._schema)
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
            if connection.exec_driver_sql("SELECT current_schema()").scalar() is None:
                raise StoreError(f"{self.name} has no schema of the search path; {self.elsewhere}")

    def insert(self, connection: Connection, insert: Insert, packed: Packed) -> None:
        """Insert records, in this order."""
        if len(packed) < _BULK or insert.conflict != "DO NOTHING":
            if packed:
                connection.exec_driver_sql(insert.text("%s"), list(packed))
            return
        try:
            with connection.begin_nested():
                _copy(connection, insert.table, insert.names, packed)
        except psycopg.errors.UniqueViolation:  # some are there already: COPY cannot pass these over
            aside = f"new_{insert.table}"
            _copy_aside(connection, aside, insert.table, insert.names, packed)
            connection.exec_driver_sql(
                f"INSERT INTO {insert.table} ({insert.names}) SELECT {insert.names} FROM {aside} ON CONFLICT DO NOTHING"
            )

    def end_pending(self, connection: Connection, identities: Packed) -> None:
        """Note that these predictions are no longer pending."""
        if not identities:
            return
        _copy_aside(connection, "settled", "predictions", 'at, "key", model_id', identities)
        connection.exec_driver_sql(_END_PENDING)

    def of_model(self, columns: Sequence[ColumnElement[Any]], table: Table, model_id: str) -> Select[Any]:
        """Return the query for one model's records, found by the rounds that are known."""
        known, its = known_rounds.c, table.c
        of_round = its.at == known.at, its.key == known.key, its.resolves_at == known.resolves_at
        # OFFSET 0: else the planner would turn it into a join, for which it may read all of an index.
        one = select(*columns).where(*of_round, its.model_id == model_id).offset(literal_column("0")).lateral()
        return select(*one.c).select_from(known_rounds.join(one, true()))

    def scores_of(self, connection: Connection, rounds: Packed) -> list[list[tuple[Any, ...]]]:
        """Return what boards need of the scores of each round."""
        identities = [each[0] for each in rounds], [each[1] for each in rounds]
        # The driver's own tuples: SQLAlchemy's rows would take as long as all the rest.
        scores: Any = connection.exec_driver_sql(_SCORES_OF_ROUNDS, identities).cursor
        found = {n: [row[1:] for row in rows] for n, rows in groupby(scores, itemgetter(0))}
        return [found.get(n, []) for n in range(1, len(rounds) + 1)]

    def give_back(self, connection: Connection, most: int) -> int:
        """Nothing: the server's autovacuum lets the tables use it again."""
        return 0

    def sentence(self, error: Exception) -> str:
        """Say what happened, and what to do."""
        diagnosis = getattr(error, "diag", None)
        reason = (diagnosis and diagnosis.message_primary) or " ".join(str(error).split())
        state = getattr(error, "sqlstate", None) or ""
        if isinstance(error, NoConnectionFree):
            return f"{self.name} has answered none of this process's connections for {PATIENCE:g} s"
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return f"{self.name} was locked by another process for more than {PATIENCE:g} s"
        for sign, advice in _ADVICE.items():
            if sign == state or sign in reason:
                return f"{self.name} cannot be used: {reason}; {advice}"
        if isinstance(error, psycopg.OperationalError):
            return f"{self.name} cannot be reached: {reason}; see that the server runs and that the URL is right"
        return f"{self.name} cannot be read or written: {reason}"

    def errors(self) -> tuple[type[Exception], ...]:
        """Return the classes of the driver's own errors."""
        return (psycopg.Error,)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


class _WatchedConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever for an answer."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Do what the generator asks for, as long as there is something to read or write in it now and then."""
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: Any) -> Any:
        """Pass everything on to the generator, and end it when there was nothing for SILENCE."""
        heard = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = time.monotonic()
                elif time.monotonic() - heard > SILENCE:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {SILENCE:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


_ADVICE = {
    "42501": "the user of the URL needs all privileges on the schema, and TEMPORARY on the database",
    "25006": "it is read only, as a standby is; write to the primary server",
    "53100": "the disk of the server is full; what was accepted before is kept",
    "password authentication failed": "see the user and the password in the URL, or in ~/.pgpass",
    "no password supplied": 'write it into the URL ("postgresql://user:password@host/database"), or into ~/.pgpass',
    "no pg_hba.conf entry": "the server's pg_hba.conf must let this user in from here",
    "too many": "raise max_connections on the server, or end other programs that use it",
    'role "': "create the user with `createuser`, or write another one into the URL",
    'database "': "create it with `createdb`, or write another one into the URL",
}
"""What to do, by an SQLSTATE or what the server says. Of a connection that was refused, only the latter is known."""


def _copy_aside(connection: Connection, aside: str, table: str, names: str, packed: Packed) -> None:
    """Copy records to a table on the side, which has these columns of a table, and is empty again at the commit."""
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {aside} ON COMMIT DELETE ROWS AS SELECT {names} FROM {table} WITH NO DATA"
    )
    _copy(connection, aside, names, packed)


def _copy(connection: Connection, table: str, names: str, packed: Packed) -> None:
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for each in packed:
            copy.write_row(each)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whose messages may have a part of the password
        raise StoreError(
            'the URL of the PostgreSQL store cannot be read; write "postgresql://user:password@host:5432/database", '
            "with %40 for @, %2F for / and %3A for : in the password"
        ) from None
    return parsed.set(drivername="postgresql+psycopg")


def _schema_of(url: URL) -> str | None:
    schema = url.query.get("schema")
    if isinstance(schema, tuple) or schema == "":
        raise StoreError(f'the URL of the PostgreSQL store has no one schema: {schema!r}; write "?schema=game"')
    return schema


def _without(url: URL, *names: str) -> URL:
    return url.difference_update_query(names)

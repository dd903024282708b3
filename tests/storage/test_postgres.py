"""What only a PostgreSQL server has to do: refuse with a sentence, let one write at a time, and come back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from postgres import Server
from sqlalchemy import make_url

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import (
    DeploymentRecord,
    EventRecord,
    FaultRecord,
    GameLog,
    ModelRecord,
    Prediction,
    Score,
    SQLStore,
    as_document,
    open_store,
)
from crunch_game.storage._codec import pack_model
from crunch_game.storage.base import Session
from crunch_game.storage.sql._database import PATIENCE
from crunch_game.storage.sql._migrations import POSTGRESQL, VERSION
from crunch_game.storage.sql._tables import UPSERT_MODEL

pytestmark = pytest.mark.processes

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, BLINK = timedelta(hours=1), timedelta(microseconds=1)
SCHEMAS = Path(__file__).parent / "schemas"
MODEL = ModelRecord("ada", "Ada", "d1", "ready")


def refused(url: str, *, create: bool = True) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(url, create=create)
    return str(caught.value)


def prediction(model_id: str = "ada", **changes: object) -> Prediction:
    return replace(Prediction(model_id, "d1", "BTC", T0, T0 + HOUR, 3600.0, value=[1]), **changes)


# What is refused


def test_a_wrong_password_a_missing_user_and_a_missing_database_say_what_to_do(postgres: Server) -> None:
    if not postgres.asks_for_passwords:
        pytest.skip("the server that is given may let anybody in")
    server = make_url(postgres.url)
    postgres.sql("DO $$ BEGIN CREATE USER careful PASSWORD 'right'; EXCEPTION WHEN duplicate_object THEN END $$")
    wrong = server.set(username="careful", password="s3cret").render_as_string(hide_password=False)
    said = refused(wrong)
    assert said.startswith("postgresql://careful@/postgres?host=")
    assert 'password authentication failed for user "careful"' in said
    assert said.endswith("; see the user and the password in the URL, or in ~/.pgpass")
    said = refused(server.set(username="careful").render_as_string())
    assert "no password supplied" in said
    said = refused(server.set(username="nobody_here").render_as_string())
    assert said.endswith(
        'role "nobody_here" does not exist; create the user with `createuser`, or write another one into the URL'
    )
    said = refused(server.set(database="nothing").render_as_string())
    assert said.endswith(
        'database "nothing" does not exist; create it with `createdb`, or write another one into the URL'
    )


@pytest.mark.parametrize("query", ["", "?password=s3cret"])
def test_no_message_has_the_password(postgres: Server, query: str) -> None:
    said = refused(f"postgresql://careful:s3cret@127.0.0.1:1/game{query}")
    assert said.startswith("postgresql://careful@127.0.0.1:1/game cannot be reached: ")
    assert said.endswith("; see that the server runs and that the URL is right")
    assert "s3cret" not in said


@pytest.mark.parametrize("url", ["postgresql:ann:s3cret", "postgres://ann:s3@cret:x@host:port/game"])
def test_a_url_that_cannot_be_read_says_how_it_is_written(url: str) -> None:
    said = refused(url)
    assert said == (
        'the URL of the PostgreSQL store cannot be read; write "postgresql://user:password@host:5432/database", '
        "with %40 for @, %2F for / and %3A for : in the password"
    )


def test_a_database_that_is_not_utf8_is_refused(postgres: Server) -> None:
    postgres.sql("DROP DATABASE IF EXISTS latin")
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = make_url(postgres.url).set(database="latin").render_as_string()
    assert refused(url).endswith(" keeps texts as LATIN1; create a database with ENCODING 'UTF8' TEMPLATE template0")


def test_another_programs_tables_are_left_alone(postgres: Server) -> None:
    url = postgres.fresh()
    schema = make_url(url).query["schema"]
    postgres.sql(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.bookmarks (url text)")
    assert refused(url).endswith(
        " is the database of something else; choose another database, or a schema of its own: "
        '"?schema=game" at the end of the URL'
    )
    assert postgres.sql(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'") == [("bookmarks",)]


def test_a_reader_creates_nothing(postgres: Server) -> None:
    url = postgres.fresh()
    assert refused(url, create=False).endswith(" is empty; the game that writes it must be started first")
    assert postgres.sql(f"SELECT 1 FROM pg_namespace WHERE nspname = '{make_url(url).query['schema']}'") == []
    open_store(url).close()
    with open_store(url, create=False) as store:
        assert store.models() == []


def test_a_later_versions_tables_are_left_alone(postgres: Server) -> None:
    url = postgres.fresh()
    open_store(url).close()
    postgres.sql("UPDATE schema_version SET version = 99", url=url)
    assert f"its schema is 99, this version knows those up to {VERSION}" in refused(url)


def test_every_version_since_the_first_leads_on() -> None:
    assert sorted(POSTGRESQL) == list(range(4, VERSION))


@pytest.mark.parametrize("version", range(4, VERSION))
def test_every_version_becomes_what_a_new_schema_is(postgres: Server, version: int) -> None:
    old, new = postgres.fresh(), postgres.fresh()
    postgres.sql(f"CREATE SCHEMA {make_url(old).query['schema']}")
    for statement in (SCHEMAS / f"{version}.postgresql.sql").read_text(encoding="utf-8").split(";\n")[:-1]:
        postgres.sql(statement, url=old)
    with open_store(old) as store:
        assert [model.model_id for model in store.models()] == ["ada", "bob"]
        assert store.noted("game") == {"name": "walk"}
        log = [*store.events(), *store.faults(), *store.deployments()]
        assert len(log) == (0 if version == 4 else 3)
    open_store(new).close()
    assert tables_of(postgres, old) == tables_of(postgres, new)


def tables_of(postgres: Server, url: str) -> list[object]:
    """All columns, indices and views of a schema."""
    schema = make_url(url).query["schema"]
    found = [
        *postgres.sql(
            "SELECT table_name, column_name, data_type, is_nullable, collation_name,"
            f" replace(column_default, '{schema}.', '') FROM information_schema.columns"
            f" WHERE table_schema = '{schema}' ORDER BY table_name, ordinal_position"
        ),
        *postgres.sql(f"SELECT replace(indexdef, '{schema}.', '') FROM pg_indexes WHERE schemaname = '{schema}'"),
        *postgres.sql(
            f"SELECT viewname, replace(definition, '{schema}.', '') FROM pg_views WHERE schemaname = '{schema}'"
        ),
    ]
    return sorted(found, key=repr)


def test_a_user_that_may_not_create_tables_is_told(postgres: Server) -> None:
    postgres.sql("DO $$ BEGIN CREATE USER guest; EXCEPTION WHEN duplicate_object THEN END $$")
    url = postgres.fresh()
    postgres.sql(f"CREATE SCHEMA {make_url(url).query['schema']}")
    said = refused(make_url(url).set(username="guest").render_as_string())
    assert said.endswith("; the user of the URL needs all privileges on the schema, and TEMPORARY on the database")


def test_a_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['psycopg'] = None; import crunch_game; crunch_game.open_store('postgresql://h/d')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "crunch_game.MissingExtra: psycopg is not installed; from a clone of crunch_game: pip install '.[postgres]'"
    )


# Several games, and several writers


def test_games_in_schemas_of_one_database_know_nothing_of_each_other(postgres: Server) -> None:
    urls = [postgres.fresh(), postgres.fresh()]
    with open_store(urls[0]) as one, open_store(urls[1]) as other:
        one.save([Row(T0, {})], [prediction()], [MODEL])
        assert (other.rows(), other.predictions(), other.models()) == ([], [], [])
        schema = make_url(urls[0]).query["schema"]
        with open_store(postgres.of(options=f"-csearch_path={schema}"), create=False) as by_path:
            assert by_path.models() == [MODEL]


def test_a_write_waits_for_the_one_before_and_readers_do_not(postgres: Server) -> None:
    url = postgres.fresh()
    with SQLStore(url) as one, SQLStore(url) as other:
        with one._writing():
            waits = threading.Thread(target=other.save, kwargs={"models": [MODEL]})
            waits.start()
            until_waiting(postgres)
            assert other.models() == []
        waits.join()
        assert one.models() == [MODEL]


def until_waiting(postgres: Server) -> None:
    while not postgres.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        pass


def test_a_lock_held_for_too_long_is_a_sentence(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "crunch_game.storage.sql._postgres._SETTINGS", "SELECT set_config('lock_timeout', '50ms', false)"
    )
    url = postgres.fresh()
    with SQLStore(url) as one, SQLStore(url) as other:
        with one._writing(), pytest.raises(StoreError) as caught:
            other.save(models=[MODEL])
        assert str(caught.value).endswith(" was locked by another process for more than 30 s")
        other.save(models=[MODEL])


def test_a_writer_that_hangs_in_a_transaction_is_thrown_out(postgres: Server) -> None:
    url = postgres.fresh()
    with SQLStore(url) as store, store._writing() as connection:
        found = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
    assert found == "30s"


def test_a_writer_that_falls_silent_amid_its_rows_is_thrown_out(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has no time limit for it: it would keep all others waiting for as long as its connection is open."""
    module = "crunch_game.storage.sql._postgres"
    for name in ("_SETTINGS", "_END_SILENT"):
        statement = getattr(import_module(module), name)
        monkeypatch.setattr(f"{module}.{name}", statement.replace(f"'{PATIENCE:g}s'", "'50ms'"))
    url = postgres.fresh()
    with SQLStore(url) as silent, SQLStore(url) as other:
        with (
            pytest.raises(StoreError, match="the connection is lost"),
            silent._writing() as connection,
            cast(Any, connection.connection.cursor()).copy("COPY notes FROM STDIN"),
        ):
            assert_a_write_waits_once(other)
        silent.save(models=[replace(MODEL, state="stopped")])
        assert [model.state for model in other.models()] == ["stopped"]


def assert_a_write_waits_once(store: SQLStore) -> None:
    with pytest.raises(StoreError, match="was locked by another process"):
        store.save(models=[MODEL])
    store.save(models=[MODEL])


# What goes wrong later


def test_a_connection_that_is_cut_between_two_uses_is_not_noticed(postgres: Server) -> None:
    with SQLStore(postgres.fresh()) as store:
        store.save(models=[MODEL])
        end_connections(postgres)
        assert store.models() == [MODEL]
        end_connections(postgres)
        store.save(models=[replace(MODEL, state="stopped")])
        assert store.models()[0].state == "stopped"


def end_connections(postgres: Server) -> None:
    """All but the one that asks."""
    others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    postgres.sql(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}")


def test_a_connection_that_is_cut_in_a_transaction_leaves_nothing_of_it(postgres: Server) -> None:
    def cut(store: SQLStore) -> None:
        with store._writing() as connection:
            store._database.insert(connection, UPSERT_MODEL, [pack_model(MODEL)])
            end_connections(postgres)
            store._database.insert(connection, UPSERT_MODEL, [pack_model(MODEL)])

    with SQLStore(postgres.fresh()) as store:
        with pytest.raises(StoreError) as caught:
            cut(store)
        assert "terminating connection due to administrator command" in str(caught.value)
        assert str(caught.value).endswith("; see that the server runs and that the URL is right")
        assert store.models() == []


@pytest.mark.parametrize("count", [10, 100])  # few, and as many as are copied
def test_a_write_that_fails_half_way_leaves_nothing(postgres: Server, count: int) -> None:
    url = postgres.fresh()
    with SQLStore(url) as store:
        postgres.sql("ALTER TABLE predictions ADD CHECK (model_id <> 'm7')", url=url)
        with pytest.raises(StoreError) as caught:
            store.save([Row(T0, {})], [prediction(f"m{n}") for n in range(count)])
        said = 'new row for relation "predictions" violates check constraint "predictions_model_id_check"'
        assert str(caught.value).endswith(f" cannot be read or written: {said}")
        assert (store.rows(), store.predictions(), store.first_rounds()) == ([], [], {})
        store.save([Row(T0, {})], [prediction(f"n{n}") for n in range(count)])
        assert len(store.predictions()) == count


def test_what_was_accepted_is_on_the_disk_though_the_server_would_not_wait_for_it(postgres: Server) -> None:
    with SQLStore(postgres.of(options="-csynchronous_commit=off")) as store, store._reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


# In psql


def test_readable_times_are_those_of_sqlite_in_whatever_zone_one_looks(postgres: Server) -> None:
    url, epoch = postgres.fresh(), datetime(1970, 1, 1, tzinfo=UTC)
    late, odd = Row(T0 + 1500 * BLINK, {"n": 1}, T0 + HOUR - BLINK), Row(epoch - BLINK, {}, T0 + HOUR)
    asked = prediction(at=T0 + 5 * BLINK, asked_at=T0 + 999_999 * BLINK, seen=epoch - HOUR + 20 * BLINK)
    with SQLStore(url) as store:
        store.save([Row(T0, {}), late], [asked], aside=[(odd, "it is old")], session=Session(3, T0, T0))
        store.settle([Score("ada", "BTC", asked.at, asked.resolves_at, 0.25, outcome=1.5)])
    readable = "SET timezone = 'Asia/Tokyo'; SELECT number, time, arrived, session, aside, data FROM readable_rows"
    assert psql(postgres, url, readable) == [
        (1, "2024-01-01 00:00:00.000000", None, 3, None, "{}"),
        (2, "2024-01-01 00:00:00.001500", "2024-01-01 00:59:59.999999", 3, None, '{"n":1}'),
        (3, "1969-12-31 23:59:59.999999", "2024-01-01 01:00:00.000000", 3, "it is old", "{}"),
    ]
    readable = "SELECT at, resolves_at, asked_at, seen, answer, score FROM readable_predictions"
    assert psql(postgres, url, readable) == [
        (
            "2024-01-01 00:00:00.000005",
            "2024-01-01 01:00:00.000000",
            "2024-01-01 00:00:00.999999",
            "1969-12-31 23:00:00.000020",
            "[1]",
            0.25,
        )
    ]


def psql(postgres: Server, url: str, statements: str) -> list[tuple[object, ...]]:
    plain = make_url(postgres.url).render_as_string(hide_password=False)
    with psycopg.connect(plain, options=f"-csearch_path={make_url(url).query['schema']}") as connection:
        cursor = connection.execute(statements)
        while cursor.nextset():
            pass
        return cursor.fetchall()


def test_the_commands_of_another_machine_say_what_a_servers_store_has(postgres: Server) -> None:
    url = postgres.fresh()
    told = EventRecord(T0, "w", "ModelStopped", "ada is stopped: three timeouts", "ada", T0, {"deployment_id": "d1"})
    fault = FaultRecord("ada", "BTC", T0, "d1", Status.TIMEOUT, "timeout", "no answer", "File main.py, line 3", exit=-9)
    failed = prediction(status=Status.TIMEOUT, value=None, error="no answer")
    with open_store(url) as store:
        deployment = DeploymentRecord("ada", "d1", T0, T0, strikes={"BTC": {"failures": 0, "timeouts": 1}})
        store.save([Row(T0, {})], [failed], [MODEL], log=GameLog([told], [fault], [deployment]))
    program = Path(sys.executable).parent / "crunch-game"
    models, ada, events = (
        json.loads(subprocess.run([program, *asked, "--store", url, "--json"], capture_output=True, check=True).stdout)
        for asked in (["models"], ["model", "ada"], ["events"])
    )
    assert models["models"] == [{**as_document(MODEL), "deployments": [as_document(deployment)]}]
    assert ada["strikes"] == {"BTC": {"failures": 0, "timeouts": 1}}
    [answer] = ada["answers"]
    assert (answer["status"], answer["fault"]["traceback"], answer["fault"]["exit"]) == ("timeout", fault.traceback, -9)
    assert events["events"] == [{"number": 1, **as_document(told)}]


def test_no_command_says_a_password(postgres: Server, tmp_path: Path) -> None:
    url = make_url(postgres.fresh())
    with open_store(url.render_as_string(hide_password=False)) as store:
        store.save([Row(T0, {})], models=[MODEL])
    secret = url.set(password="opensesame").render_as_string(hide_password=False)  # nobody is asked for it here
    program = Path(sys.executable).parent / "crunch-game"
    for asked in (
        ["leaderboard"],
        ["model", "nobody"],
        ["events", "--since", "soon"],
        ["copies"],
        ["models"],
        ["model"],
    ):
        for more in ([], ["--json"]):
            ended = subprocess.run(
                [program, *asked, "--store", secret, *more], capture_output=True, check=False, text=True
            )
            assert ended.returncode in (0, 2), (asked, ended.stderr)
            assert "opensesame" not in ended.stdout + ended.stderr, asked
    exported = [program, "export", secret, "--out", str(tmp_path / "it.csv"), "--model", "nobody"]
    ended = subprocess.run(exported, capture_output=True, check=False, text=True)
    assert "opensesame" not in ended.stdout + ended.stderr

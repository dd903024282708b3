"""Stores of earlier versions are brought up to date, all at once or not at all."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import ModelRecord, Prediction, Store, open_store
from crunch_game.storage.base import Arrival, Lease, Session
from crunch_game.storage.sql._migrations import VERSION

OldFile = Callable[..., Path]
SECOND = timedelta(seconds=1)
T0 = datetime(2024, 1, 1, tzinfo=UTC)
AT = T0 + timedelta(seconds=61, microseconds=4321)


def schema(path: Path) -> set[tuple[str, ...]]:
    """All tables, indices and views; without white space, since ALTER TABLE writes other than CREATE TABLE was."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return {(kind, name, of, re.sub(r"\s", "", sql)) for kind, name, of, sql in found}


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("version", range(1, VERSION))
def test_every_version_becomes_what_a_new_file_is(tmp_path: Path, old_file: OldFile, version: int) -> None:
    old, new = old_file(tmp_path / "old.db", version), tmp_path / "new.db"
    assert f'INSERT INTO "schema_version" VALUES({version});' in contents(old)
    for path in (old, new):
        open_store(f"sqlite:///{path}").close()
    assert schema(old) == schema(new)
    assert f'INSERT INTO "schema_version" VALUES({VERSION});' in contents(old)


def assert_as_it_was(store: Store) -> None:
    """Whether it has what `schemas/1.sql` has."""
    rows = store.rows()
    assert rows == [
        Row(T0, {"BTC": 63_012.5, "ETH": 3000}),
        Row(T0 + 61 * SECOND, {"BTC": 63_013.25, "ETH": None}),
        Row(T0 + timedelta(seconds=121, microseconds=5000), {"BTC": 63_014}),
    ]
    assert [row.arrived for row in rows] == [None] * 3
    assert [arrival for _, arrival in store.arrivals()] == [Arrival(row) for row in rows]
    predictions = store.predictions()
    assert [(p.key, p.model_id, p.at, p.status) for p in predictions] == [
        ("BTC", "ada", AT, Status.OK),
        ("BTC", "bob", AT, Status.TIMEOUT),
        ("ETH", "ada", AT, Status.OK),
        ("BTC", "ada", AT + 60 * SECOND, Status.OK),
    ]
    assert {(p.asked_at, p.seen) for p in predictions} == {(None, None)}
    assert repr(predictions[0].value) == "[1.5, nan]"
    assert predictions[1].error == "no answer within 1 s"
    assert predictions[0].arguments == {"asset": "BTC"}
    assert [(score.value, score.reason) for score in store.scores()] == [(0.125, None), (None, "no price")]
    assert store.pending(T0 + 999 * SECOND) == predictions[3:]
    assert store.last_rounds() == {"BTC": AT + 60 * SECOND, "ETH": AT}
    assert store.first_rounds() == {"ada": AT, "bob": AT}
    assert store.models() == [
        ModelRecord("ada", "Ada", "d1", "ready"),
        ModelRecord("bob", "Bob", "d1", "stopped", "three timeouts"),
    ]
    assert store.noted("game") == {"name": "walk"}
    assert (store.sessions(), store.lease("predict")) == ([], None)


def test_a_store_of_schema_1_opens_and_goes_on(tmp_path: Path, old_file: OldFile) -> None:
    url = f"sqlite:///{old_file(tmp_path / 'game.db')}"
    with open_store(url) as store:
        assert_as_it_was(store)
    with open_store(url, create=False) as store:
        again = Row(T0, {"BTC": 1})
        row, session = Row(T0 + 122 * SECOND, {"BTC": 5}, T0 + 123 * SECOND), Session(1, T0, T0)
        asked = Prediction("ada", "d1", "BTC", T0 + 122 * SECOND, T0 + 182 * SECOND, 60.0, asked_at=T0, seen=T0)
        lease = Lease("predict", "t", "alpha", 1, T0, T0)
        store.save([again, row], [asked], session=session)
        assert store.swap_lease("predict", None, lease)
        assert len(store.rows()) == 4
        assert store.last_row() == row
        assert [arrival for _, arrival in store.arrivals(3)] == [Arrival(row, 1)]
        assert store.pending(T0 + 999 * SECOND)[-1] == asked
        assert (store.sessions(), store.lease("predict")) == ([session], lease)


def test_rows_that_came_late_to_an_old_store_stay_later_arrivals(tmp_path: Path, old_file: OldFile) -> None:
    path = old_file(tmp_path / "game.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO rows VALUES (?, '{}')", (int(T0.timestamp() - 1) * 1_000_000,))
        connection.commit()
    with open_store(f"sqlite:///{path}") as store:
        assert store.rows()[0] == Row(T0 - SECOND, {})
        assert store.arrivals(3) == [(4, Arrival(Row(T0 - SECOND, {})))]


@pytest.mark.processes
def test_a_command_that_only_reads_leaves_an_old_file_alone_and_says_what_opens_it(
    tmp_path: Path, old_file: OldFile
) -> None:
    path = old_file(tmp_path / "a game's.db")
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}", create=False)
    said, command = str(caught.value).split("; start that, or run: ")
    assert said == (
        f"{path} was written by an earlier version of crunch_game (its schema is 1, this version reads {VERSION}), and "
        "only its game brings it up to date"
    )
    assert path.read_bytes() == before
    python, *arguments = shlex.split(command)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True)
    with open_store(f"sqlite:///{path}", create=False) as store:
        assert_as_it_was(store)


KILLED = """
import os, signal, sys
from sqlalchemy import Engine, event
from crunch_game.storage import SQLStore

def die(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", die)
event.listen(Engine, "commit", die)
for n, path in enumerate(sys.argv[1:], 1):
    pid = os.fork()  # which is cheaper than to import all of this once for each
    if pid == 0:
        left = n
        SQLStore(f"sqlite:///{path}").close()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.processes
def test_a_kill_before_any_statement_of_a_migration_leaves_the_old_store_whole(
    tmp_path: Path, old_file: OldFile
) -> None:
    before = contents(old_file(tmp_path / "old.db"))
    paths = [tmp_path / f"{n}.db" for n in range(60)]
    for path in paths:
        shutil.copy(tmp_path / "old.db", path)
    children = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, paths)], capture_output=True, text=True, check=True
    )
    killed = [int(line) for line in children.stdout.split()]
    assert killed == sorted(killed)  # -9 as often as there are statements, and then 0
    assert killed.count(-9) > 15
    assert killed[-1] == 0
    for path, code in zip(paths, killed, strict=True):
        if code:
            assert contents(path) == before
        with open_store(f"sqlite:///{path}") as store:
            assert_as_it_was(store)


@pytest.mark.parametrize("version", [1, 2])
def test_what_was_scored_before_rounds_were_kept_is_in_rounds_too(
    tmp_path: Path, old_file: OldFile, version: int
) -> None:
    with open_store(f"sqlite:///{old_file(tmp_path / 'old.db', version)}") as store:
        [(scored, scores)] = store.rounds()
        answered = {(model_id, key) for model_id, keys in store.first_answers().items() for key in keys}
        by_status = {(each.model_id, each.key) for each in store.predictions() if each.status is Status.OK}
    assert (scored.key, scored.at, scored.answers, scored.facts) == ("BTC", AT, 1, {})
    assert scores == [("ada", 0.125, None, None)]
    assert answered == by_status

"""What only a database has to promise: to outlive kills, to be shared by processes, to stay quick and readable."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage import Prediction, Score, SQLStore
from crunch_game.storage.base import Session

OldFile = Callable[[Path], Path]
T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODELS = 50

WRITER = """
import sys
from datetime import datetime, timedelta, UTC
from crunch_game.feeds.base import Row
from crunch_game.storage import ModelRecord, Prediction, Score, open_store

url, key, start, models, rounds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
store = open_store(url)
for n in range(start, start + rounds):
    at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
    asked = [Prediction(f"m{i}", "d1", key, at, at, 60.0, value=[n, "x" * 200]) for i in range(models)]
    store.save([Row(at, {"n": n})], asked, [ModelRecord("m0", "", "d1", f"round {n}")])
    print("saved", n, flush=True)
    store.settle([Score(p.model_id, p.key, p.at, p.resolves_at, float(n)) for p in asked])
    print("settled", n, flush=True)
"""


def prediction(model_id: str = "ada", value: Any = None) -> Prediction:
    return Prediction(model_id, "d1", "BTC", T0, T0 + HOUR, 3600.0, value=value)


def score(of: Prediction, value: float = 0.5, outcome: Any = None) -> Score:
    return Score(of.model_id, of.key, of.at, of.resolves_at, value, outcome)


def writer(url: str, key: str, start: int = 0, rounds: int = 100_000, models: int = MODELS) -> subprocess.Popen[str]:
    arguments = [url, key, str(start), str(models), str(rounds)]
    return subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True)


def acknowledged(output: str, word: str) -> set[int]:
    """The rounds of the complete lines that begin with the word."""
    return {int(line.split()[1]) for line in output.splitlines(keepends=True) if line.startswith(word) and "\n" in line}


def minutes(n: int) -> timedelta:
    return timedelta(minutes=n)


@pytest.mark.processes
def test_what_was_accepted_survives_a_kill_and_no_write_is_half_done(url: str) -> None:
    start = 0
    chance = random.Random(1)
    saved: set[int] = set()
    settled: set[int] = set()
    for _ in range(6):
        child = writer(url, "BTC", start)
        assert child.stdout is not None
        first = child.stdout.readline()  # its imports are done
        time.sleep(chance.uniform(0.0, 0.15))  # a random moment is what is tested
        child.send_signal(signal.SIGKILL)
        output = first + child.stdout.read()
        child.stdout.close()
        child.wait()
        saved |= acknowledged(output, "saved")
        settled |= acknowledged(output, "settled")
        with SQLStore(url) as store:
            store.save()  # a server may still be at work for the one that was killed: whoever writes waits for that
            kept = [row.data["n"] for row in store.rows()]
            assert saved <= set(kept)
            assert_whole(kept, [p.value[0] for p in store.predictions()])
            scored = [score.value for score in store.scores()]
            assert settled <= set(scored)
            assert_whole(sorted(set(scored)), scored)
            assert {p.value[0] for p in store.pending(T0 + minutes(10**6))} == set(kept) - set(scored)
            assert store.models()[0].state == f"round {max(kept)}"
            assert store.last_rounds() == {"BTC": T0 + minutes(max(kept))}
        start = max(kept) + 1
    assert len(saved) > 6


def assert_whole(rounds: list[int] | list[float], members: list[int] | list[float | None]) -> None:
    assert sorted(n for n in rounds for _ in range(MODELS)) == sorted(members)


@pytest.mark.processes
def test_three_processes_write_at_once(url: str) -> None:
    children = [writer(url, key, rounds=40, models=20) for key in ("BTC", "ETH", "SOL")]  # they create it together too
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    assert all(acknowledged(output, "settled") == set(range(40)) for output in outputs)
    with SQLStore(url) as store:
        assert len(store.predictions()) == len(store.scores()) == 3 * 40 * 20
        assert len(store.rows()) == 40
        assert store.pending(T0 + minutes(10**6)) == []


OPENER = """
import sys
from crunch_game.storage import ModelRecord, SQLStore

print("ready", flush=True)
for url in sys.stdin:
    with SQLStore(url.strip()) as store:
        store.save(models=[ModelRecord("ada", "", "d1", "ready")])
    print("opened", flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize("age", ["new", "old", "postgresql"])
def test_many_processes_may_open_a_new_store_or_an_old_one_at_once(
    tmp_path: Path, age: str, old_file: OldFile, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres") if age == "postgresql" else None
    command = [sys.executable, "-c", OPENER]
    pipe = subprocess.PIPE
    children = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    inputs, outputs = [child.stdin for child in children], [child.stdout for child in children]
    assert [output and output.readline() for output in outputs] == ["ready\n"] * 4
    for attempt in range(25):
        if age == "old":
            old_file(tmp_path / f"{attempt}.db")
        url = server.fresh() if server else f"sqlite:///{tmp_path / f'{attempt}.db'}"
        for each in inputs:
            assert each is not None
            each.write(f"{url}\n")
            each.flush()
        assert [output and output.readline() for output in outputs] == ["opened\n"] * 4
    for child in children:
        child.communicate(timeout=60)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "game.db"
    with SQLStore(f"sqlite:///{path}") as store:
        shell(path, "CREATE TRIGGER full BEFORE INSERT ON predictions WHEN new.model_id = 'm7'"
                    " BEGIN SELECT RAISE(ABORT, 'disk is full'); END")  # fmt: skip
        with pytest.raises(StoreError) as caught:
            store.save([Row(T0, {})], [prediction(f"m{n}") for n in range(10)])
        assert str(caught.value) == f"{path} cannot be read or written: disk is full"
        assert (store.rows(), store.predictions(), store.first_rounds()) == ([], [], {})


def shell(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found
    finally:
        connection.close()


def test_the_file_is_durable_and_pleasant_in_the_sqlite3_shell(tmp_path: Path) -> None:
    path = tmp_path / "game.db"
    with SQLStore(f"sqlite:///{path}") as store:
        store.save([Row(T0, {"BTC": 1.5})], [prediction(value=[{"loc": 0.5}])])
        store.settle([score(prediction(), 0.25, outcome=1.5)])
        with store._database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert shell(path, "SELECT number, time, data FROM readable_rows") == [
        (1, "2024-01-01 00:00:00.000000", '{"BTC":1.5}')
    ]
    assert shell(path, "SELECT at, resolves_at, key, model_id, status, answer, score FROM readable_predictions") == [
        ("2024-01-01 00:00:00.000000", "2024-01-01 01:00:00.000000", "BTC", "ada", "ok", '[{"loc":0.5}]', 0.25)
    ]


def test_readable_times_have_microseconds_before_1970_too(tmp_path: Path) -> None:
    path, blink = tmp_path / "game.db", timedelta(microseconds=1)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    late, odd = Row(T0 + 1500 * blink, {"n": 1}, T0 + HOUR - blink), Row(epoch - blink, {}, T0 + HOUR)
    asked = replace(prediction(), at=T0 + 5 * blink, asked_at=T0 + 999_999 * blink, seen=epoch - HOUR + 20 * blink)
    with SQLStore(f"sqlite:///{path}") as store:
        store.save([Row(T0, {}), late], [asked], aside=[(odd, "it is old")], session=Session(3, T0, T0))
    assert shell(path, "SELECT number, time, arrived, session, aside, data FROM readable_rows") == [
        (1, "2024-01-01 00:00:00.000000", None, 3, None, "{}"),
        (2, "2024-01-01 00:00:00.001500", "2024-01-01 00:59:59.999999", 3, None, '{"n":1}'),
        (3, "1969-12-31 23:59:59.999999", "2024-01-01 01:00:00.000000", 3, "it is old", "{}"),
    ]
    assert shell(path, "SELECT at, resolves_at, asked_at, seen FROM readable_predictions") == [
        (
            "2024-01-01 00:00:00.000005",
            "2024-01-01 01:00:00.000000",
            "2024-01-01 00:00:00.999999",
            "1969-12-31 23:00:00.000020",
        )
    ]


def test_what_is_settled_is_looked_at_no_more_and_a_closed_store_holds_no_file(tmp_path: Path) -> None:
    path = tmp_path / "game.db"
    with SQLStore(f"sqlite:///{path}") as store:
        store.save(predictions=[prediction("ada"), prediction("bob")])
        store.settle([score(prediction("ada"))])
        assert shell(path, "SELECT model_id FROM predictions WHERE pending = 1") == [("bob",)]
    assert [file.name for file in tmp_path.iterdir()] == ["game.db"]  # the last to close takes the log away


def test_pending_looks_only_at_what_is_pending(tmp_path: Path) -> None:
    path = tmp_path / "game.db"
    SQLStore(f"sqlite:///{path}").close()
    plan = shell(path, "EXPLAIN QUERY PLAN SELECT at FROM predictions WHERE pending = 1 AND resolves_at <= 5")
    assert "USING INDEX pending_predictions" in str(plan)
    with SQLStore(f"sqlite:///{path}") as store:
        statements: list[str] = []
        event.listen(store._database._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        store.pending(T0)
    assert any("predictions.pending = 1 AND" in statement for statement in statements)

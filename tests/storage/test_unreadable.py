"""A record that cannot be read is set aside with a warning; all others are read, and nothing ends."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest

from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import (
    Correction,
    DeploymentRecord,
    EventRecord,
    FaultRecord,
    GameLog,
    Lease,
    ModelRecord,
    Prediction,
    PruneBounds,
    PublishedBoard,
    Score,
    ScoredRound,
    Session,
    SQLStore,
)
from crunch_game.storage import _codec as codec
from crunch_game.storage.corrected import PackedCorrection, PackedFormer, PackedPublished
from crunch_game.storage.logged import PackedDeployment, PackedEvent, PackedFault
from crunch_game.storage.sql._reading import SHAPES
from crunch_game.storage.sql._tables import metadata

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = int(T0.timestamp()) * 1_000_000

Shell = Callable[[str], object]


@pytest.fixture
def shell(url: str, request: pytest.FixtureRequest) -> Shell:
    """What somebody types in the database's own shell."""

    def sqlite(statement: str) -> None:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)

    if url.startswith("sqlite"):
        return sqlite
    server = request.getfixturevalue("postgres")
    return lambda statement: server.sql(statement, url=url)


def asked(model_id: str) -> Prediction:
    return Prediction(model_id, "d1", "BTC", T0, T0 + HOUR, 3600.0, {"asset": "BTC"}, value=[1.5], elapsed=0.25)


@pytest.fixture
def store(url: str) -> Any:
    """Two of everything."""
    with SQLStore(url) as opened:
        opened.save(
            [Row(T0, {"n": 1}, T0), Row(T0 + HOUR, {"n": 2}, T0 + HOUR)],
            [asked("ada"), asked("bob"), asked("cy")],
            session=Session(1, T0, T0),
        )
        scores = [Score(name, "BTC", T0, T0 + HOUR, 0.5, metrics={"price": 0.5}) for name in ("ada", "bob")]
        rounds = [ScoredRound("BTC", T0, T0 + HOUR, 3600.0), ScoredRound("ETH", T0, T0 + HOUR, 3600.0)]
        opened.settle(scores, rounds)
        opened.note("game", {"name": "walk"})
        yield opened


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("value = '[1,'", "the store holds a value that is not JSON: '[1,'"),
        ("arguments = '[1]'", "the store holds '[1]' where a JSON object should be"),
        ("status = 'fine'", "'fine' is not a valid Status"),
        ("at = 9000000000000000000", "date value out of range"),
    ],
)
def test_a_prediction(store: SQLStore, shell: Shell, caplog: pytest.LogCaptureFixture, change: str, said: str) -> None:
    shell(f"UPDATE predictions SET {change} WHERE model_id = 'bob'")
    for _ in range(2):
        assert [each.model_id for each in store.predictions()] == ["ada", "cy"]
    [warning] = told(caplog)  # once
    assert warning.endswith(f", BTC, bob cannot be read, and is set aside: {said}")
    assert "the prediction of 20" in warning or "9000000000000000000" in warning


def test_a_prediction_that_waits_to_be_scored(store: SQLStore, shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    shell("UPDATE predictions SET value = 'NaN or so', pending = 1 WHERE model_id = 'cy'")
    assert store.pending(T0 + HOUR) == []
    assert len(told(caplog)) == 1


@pytest.mark.parametrize(
    "change", ["metrics = '{\"price\":'", "metrics = '[]'", "value = 1e999", "metrics = NULL, value = 1e999"]
)
def test_a_score(store: SQLStore, shell: Shell, url: str, caplog: pytest.LogCaptureFixture, change: str) -> None:
    change = change.replace("1e999", "1e999" if url.startswith("sqlite") else "'infinity'")
    shell(f"UPDATE scores SET {change} WHERE model_id = 'bob'")
    assert [scores for _, scores in store.rounds()] == [[("ada", 0.5, None, {"price": 0.5})], []]
    assert [each.model_id for each in store.scores()] == ["ada"]
    assert len(told(caplog)) == 1


def test_a_number_that_is_not_one(store: SQLStore, shell: Shell, url: str, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "high" if url.startswith("sqlite") else "NaN"
    shell(f"UPDATE scores SET metrics = NULL, value = '{wrong}'")
    assert [scores for _, scores in store.rounds()] == [[], []]
    assert len(told(caplog)) == 2


def test_a_round(store: SQLStore, shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    shell("UPDATE rounds SET facts = '{' WHERE key = 'BTC'")
    assert [scored.key for scored, _ in store.rounds()] == ["ETH"]
    assert list(store.past_rounds("BTC", T0 + 2 * HOUR)) == []
    [warning] = told(caplog)
    assert "the round of 2024-01-01T00:00:00+00:00, BTC cannot be read" in warning


def test_a_row(store: SQLStore, shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    shell("UPDATE rows SET data = '{\"n\"' WHERE number = 2")
    assert store.last_row() == Row(T0, {"n": 1})
    assert store.rows() == [Row(T0, {"n": 1})]
    assert [number for number, _ in store.arrivals()] == [1]
    assert len(told(caplog)) == 1
    shell("UPDATE rows SET data = '7'")
    assert (store.last_row(), store.rows(), store.arrivals()) == (None, [], [])


def test_a_session_a_note_and_a_lease(store: SQLStore, shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    mine = Lease("predict", "mine", "alpha", 1, T0, T0)
    assert store.swap_lease("predict", None, mine)
    shell("UPDATE sessions SET started = 9000000000000000000")
    shell("UPDATE notes SET document = 'walk'")
    shell("UPDATE leases SET beat = 9000000000000000000")
    assert (store.sessions(), store.noted("game"), store.lease("predict")) == ([], None, None)
    assert store.swap_lease("predict", None, mine), "a lease that nobody can read is nobody's"
    assert store.lease("predict") == mine
    assert len(told(caplog)) == 3


READS: dict[str, Callable[[SQLStore], Any]] = {
    "last_row": lambda s: s.last_row(),
    "rows": lambda s: s.rows(),
    "arrivals": lambda s: s.arrivals(),
    "sessions": lambda s: s.sessions(),
    "lease": lambda s: s.lease("predict"),
    "pending": lambda s: s.pending(T0 + 9 * HOUR),
    "due": lambda s: list(s.due(None, T0 + 9 * HOUR)),
    "pending_count": lambda s: s.pending_count(T0 + 9 * HOUR),
    "unanswered": lambda s: s.unanswered(None, T0 + 9 * HOUR),
    "predictions": lambda s: s.predictions(),
    "predictions of one model": lambda s: s.predictions(model_id="ada"),
    "scores": lambda s: s.scores(),
    "rounds": lambda s: list(s.rounds()),
    "past_rounds": lambda s: list(s.past_rounds("BTC", T0 + 9 * HOUR)),
    "excused": lambda s: s.excused(),
    "last_rounds": lambda s: s.last_rounds(),
    "first_rounds": lambda s: s.first_rounds(),
    "first_answers": lambda s: s.first_answers(),
    "models": lambda s: s.models(),
    "noted": lambda s: s.noted("game"),
    "events": lambda s: s.events(),
    "events since": lambda s: s.events(since=T0),
    "faults": lambda s: s.faults(),
    "deployments": lambda s: s.deployments(),
    "corrections": lambda s: s.corrections(),
    "former_scores": lambda s: s.former_scores(),
    "published": lambda s: s.published(),
    "resolving": lambda s: s.resolving(),
    "prunable": lambda s: s.prunable(PruneBounds(T0 + 9 * HOUR, T0 + 9 * HOUR, T0 + 9 * HOUR)),
    "looked_up_from": lambda s: s.looked_up_from(T0 + 9 * HOUR, HOUR),
    "streams": lambda s: [list(s.stream(what)) for what in FRAMES],
    "frames": lambda s: [s.to_frame(what) for what in FRAMES],
}
WRONG = ["CAST(X'ff00fe' AS TEXT)", "X'ff'", "'{\"a\":'", "CAST(X'c3' AS TEXT)", "9e999", "'\"\\ud800\"'"]
"""Texts that are not UTF-8, bytes, a cut text, no finite number, and half a character."""
FRAMES = ("rows", "predictions", "scores", "rounds", "models")
LISTS = {
    "rows": "rows", "predictions": "predictions", "scores": "scores", "models": "models", "sessions": "sessions",
    "events": "events", "faults": "faults", "deployments": "deployments", "corrections": "corrections",
    "former_scores": "former_scores", "first_rounds": "first_rounds", "last_rounds": "last_rounds",
}  # fmt: skip
"""The tables of which one record is one of a list, and the read that gives it."""


def filled(url: str) -> SQLStore:
    """A store with two records in every table."""
    store = SQLStore(url)
    for n in range(2):
        at, name = T0 + n * HOUR, f"m{n}"
        answers = [replace(asked(name), at=at, resolves_at=at + HOUR, key=f"k{n}") for name in (name, "ada")]
        failed = replace(answers[0], model_id="cy", status=Status.DIED, value=None, error="x", excused=True)
        log = GameLog(
            [EventRecord(at, "w", "ModelJoined", "joined", "ada")],
            [FaultRecord("ada", "BTC", at, "d", Status.DIED, "exit", "it died")],
            [DeploymentRecord("ada", "d", at, strikes={"tick": {"failures": 1, "timeouts": 0}})],
        )
        models = [ModelRecord(name, name, "d", "ready")]
        store.save([Row(at, {"n": n}, at)], [*answers, failed], models, session=Session(n + 1, at, at), log=log)
        before = Score(name, f"k{n}", at, at + HOUR, 0.5)
        store.settle([before], [ScoredRound(f"k{n}", at, at + HOUR, 3600.0, {}, 1)])
        number = store.correct(Correction(at, "w", "void", "ada", "odd"))
        store.amend(number, [(before, replace(before, value=0.6))])
        store.publish([PublishedBoard(at, f"b{n}", at, {})])
        store.note(("game", "other")[n], {"n": n})
        assert store.swap_lease(("predict", "score")[n], None, Lease(("predict", "score")[n], "t", "h", 1, T0, T0))
    return store


@pytest.mark.slow
def test_whatever_a_column_of_a_file_holds_all_other_records_are_read(tmp_path: Any) -> None:
    """No text that is not UTF-8, none where a number should be, and nothing else hides more than its own record."""
    path = tmp_path / "game.db"
    found: list[Any] = []
    wrongs = cycle(WRONG)
    with filled(f"sqlite:///{path}") as store, closing(sqlite3.connect(path)) as connection:
        whole = {table: len(READS[read](store)) for table, read in LISTS.items()}
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table == "schema_version" or table.startswith("sqlite_"):
                continue
            for column in [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]:
                first = f"rowid = (SELECT min(rowid) FROM {table})"
                connection.execute("BEGIN")
                before = connection.execute(f'SELECT rowid, "{column}" FROM {table} WHERE {first}').fetchone()
                try:
                    connection.execute(f'UPDATE {table} SET "{column}" = {next(wrongs)} WHERE {first}')
                except sqlite3.Error:  # it is the number of the record
                    connection.rollback()
                    continue
                connection.commit()
                for name, read in READS.items():
                    if name == "frames" and table not in FRAMES:
                        continue
                    try:
                        read(store)
                    except Exception as error:  # noqa: BLE001 - whatever it is
                        found.append((table, column, name, repr(error)[:90]))
                if table in LISTS and len(READS[LISTS[table]](store)) < whole[table] - 1:
                    found.append((table, column, "another record is hidden"))
                if column != "number" or table not in ("rows", "events", "corrections"):
                    connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', before[::-1])
                connection.commit()
    assert found == []


def test_what_may_be_missing_in_a_table_may_be_missing_in_a_record() -> None:
    """Else a column that a migration has added would make all that was kept before unreadable."""
    of = {
        "rows": "row", "predictions": "prediction", "scores": "score", "rounds": "round", "models": "model",
        "sessions": "session", "leases": "lease", "events": "event", "faults": "fault", "deployments": "deployment",
        "corrections": "correction", "former_scores": "former score", "published": "published board",
    }  # fmt: skip
    fields = {
        "row": codec.PackedRow, "prediction": codec.PackedPrediction, "score": codec.PackedScore,
        "round": codec.PackedRound, "model": codec.PackedModel, "session": codec.PackedSession,
        "lease": codec.PackedLease, "event": PackedEvent, "fault": PackedFault, "deployment": PackedDeployment,
        "correction": PackedCorrection, "former score": PackedFormer, "published board": PackedPublished,
    }  # fmt: skip
    for table, name in of.items():
        names = ["number"] * (name == "correction") + list(fields[name]._fields)
        for column, types in zip(names, SHAPES[name], strict=True):
            given = metadata.tables[table].c[column]
            assert (type(None) in types) == bool(given.nullable), (table, column)
            assert given.type.python_type in types, (table, column)

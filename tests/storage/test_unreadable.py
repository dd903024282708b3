"""A record that cannot be read is set aside with a warning; all others are read, and nothing ends."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crunch_game.feeds.base import Row
from crunch_game.storage import Lease, Prediction, Score, ScoredRound, Session, SQLStore

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

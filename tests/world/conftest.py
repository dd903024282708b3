"""A live game by a virtual clock, on a real database that something happens to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
for folder in ("workers", "storage", "world"):
    sys.path.insert(0, str(TESTS / folder))  # what their tests share

from postgres import Server, server

from crunch_game.storage.sql import _postgres, _sqlite
from crunch_game.workers.predicting import _writer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks a PostgreSQL server starts it, if it is the first."""
    for item in items:
        if {"postgres", "url"} & set(getattr(item, "fixturenames", ())) and "sqlite" not in item.name:
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The session's PostgreSQL server."""
    with server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new store of each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'game.db'}"
    found: Server = request.getfixturevalue("postgres")
    return found.fresh()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long: a minute passes in a second."""
    monkeypatch.setattr(_writer, "SLOW", 0.1)
    monkeypatch.setattr(_writer, "TOLD", 0.2)
    monkeypatch.setattr(_writer, "PAUSES", (0.01, 0.1))
    monkeypatch.setattr(_sqlite, "PATIENCE", 0.3)
    monkeypatch.setattr(_postgres, "_SETTINGS", _postgres._SETTINGS.replace(f"'{_postgres.PATIENCE:g}s'", "'300ms'"))

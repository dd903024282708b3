"""The databases that stores are kept in; and files of earlier versions."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # what the tests of this folder share

from postgres import Server, server

SCHEMAS = Path(__file__).parent / "schemas"
"""Each is what `.dump` of the sqlite3 shell gave of a store that the version of this schema had written."""


@pytest.fixture
def old_file() -> Callable[..., Path]:
    """Writes a store of an earlier schema, by default of the first."""

    def write(path: Path, version: int = 1) -> Path:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript((SCHEMAS / f"{version}.sql").read_text(encoding="utf-8"))
            connection.execute("PRAGMA journal_mode = WAL")  # a dump does not say it
        return path

    return write


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

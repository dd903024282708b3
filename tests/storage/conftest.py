"""Both stores, so that each promise is asked of both; and files of earlier versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crunch_game.storage import Store, open_store

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


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'game.db'}"
    with open_store(url) as opened:
        yield opened

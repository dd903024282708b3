"""What a URL opens, and the sentence where it opens nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import crunch_game.storage
from crunch_game.errors import StoreError
from crunch_game.storage import MemoryStore, ModelRecord, SQLStore, open_store
from crunch_game.storage.sql._migrations import VERSION

MODEL = ModelRecord("ada", "Ada", "d1", "ready")


def refused(url: str, *, create: bool = True) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(url, create=create)
    return str(caught.value)


def test_memory_is_memory() -> None:
    with open_store("memory:") as store:
        assert isinstance(store, MemoryStore)


def test_a_file_is_made_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///game%20 ?#é.db") as store:
        assert isinstance(store, SQLStore)
        store.save(models=[MODEL])
    assert (tmp_path / "game%20 ?#é.db").exists()
    with open_store(f"sqlite:///{tmp_path}/game%20 ?#é.db", create=False) as store:
        assert store.models() == [MODEL]


KNOWN = 'write "sqlite:///game.db", "postgresql://user@host/database", or "memory:" to keep nothing'


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("game.db", "game.db"),
        ("", ""),
        ("mysql://host/game", "mysql://host/game"),
        ("mysql://ann:s3:cr@t@host/game", "mysql://ann:***@host/game"),
    ],
)
def test_an_unknown_scheme_names_those_that_are_known_and_tells_no_password(url: str, shown: str) -> None:
    assert refused(url) == f"{shown!r} names no store; {KNOWN}"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:game.db"])
def test_a_url_without_file_is_refused(url: str) -> None:
    assert refused(url) == f'{url!r} names no file; write "sqlite:///game.db", or "memory:" to keep nothing'


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refused(f"sqlite:///{tmp_path}/no/game.db") == (
        f"the folder {tmp_path}/no does not exist; create it, or choose another place for game.db"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refused(f"sqlite:///{tmp_path}") == f"{tmp_path} is a folder; name a file in it"


def test_a_reader_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "game.db"
    assert refused(f"sqlite:///{path}", create=False) == (
        f"there is no store at {path}; the game that writes it must be started first"
    )
    assert list(tmp_path.iterdir()) == []
    path.touch()
    assert (
        refused(f"sqlite:///{path}", create=False) == f"{path} is empty; the game that writes it must be started first"
    )
    assert path.stat().st_size == 0
    assert "empty when it is opened" in refused("memory:", create=False)


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "game.db").touch()
    with open_store(f"sqlite:///{tmp_path}/game.db") as store:
        assert store.models() == []


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 500)
    assert refused(f"sqlite:///{path}") == f"{path} is not a SQLite database; choose another file"
    assert path.read_text() == "dear diary, " * 500


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    assert refused(f"sqlite:///{path}") == f"{path} is the database of something else; choose another file"
    assert path.read_bytes() == before


@pytest.mark.parametrize("create", [True, False])
def test_a_later_versions_file_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "game.db"
    open_store(f"sqlite:///{path}").close()
    change(path, "UPDATE schema_version SET version = 77")
    before = path.read_bytes()
    assert refused(f"sqlite:///{path}", create=create) == (
        f"{path} was written by a later version of crunch_game (its schema is 77, this version knows those up to"
        f" {VERSION}); update crunch_game, or choose another file"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", ["0", "NULL", "'x'"])
def test_a_version_that_never_was_is_something_elses(tmp_path: Path, version: str) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE schema_version (version)")
    change(path, f"INSERT INTO schema_version VALUES ({version})")
    assert refused(f"sqlite:///{path}") == f"{path} is the database of something else; choose another file"


@pytest.mark.parametrize("use", [lambda store: store.rows(), lambda store: store.save(models=[MODEL])])
def test_a_table_that_is_gone_is_a_sentence(tmp_path: Path, use: Callable[[SQLStore], object]) -> None:
    path = tmp_path / "game.db"
    with SQLStore(f"sqlite:///{path}") as store:
        change(path, "DROP TABLE rows")
        change(path, "DROP TABLE models")
        with pytest.raises(StoreError, match=r"game\.db cannot be read or written: no such table: (rows|models)$"):
            use(store)


def test_a_file_locked_for_too_long_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crunch_game.storage.sql._sqlite.PATIENCE", 0.05)
    path = tmp_path / "game.db"
    with SQLStore(f"sqlite:///{path}") as store:
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            store.save(models=[MODEL])
        assert str(caught.value) == f"{path} was locked by another process for more than 0.05 s"
        assert store.models() == []  # readers go on
        other.rollback()
        other.close()
        store.save(models=[MODEL])


def test_a_new_file_locked_for_too_long_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crunch_game.storage.sql._sqlite.PATIENCE", 0.05)
    path = tmp_path / "game.db"
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    assert refused(f"sqlite:///{path}") == f"{path} was locked by another process for more than 0.05 s"
    other.close()


@pytest.mark.processes
def test_importing_the_package_is_light() -> None:
    code = "import sys, crunch_game.storage, crunch_game.storage.base; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "sqlite3", "msgspec", "pydantic", "numpy"} & set(loaded)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in set(crunch_game.storage.__all__) - {
        "KeptScore",
        "PRUNED",
    }:  # an alias of a type, and the name of a note
        assert getattr(crunch_game.storage, name).__name__ == name
    with pytest.raises(AttributeError, match=r"has no attribute 'RedisStore'"):
        crunch_game.storage.RedisStore  # noqa: B018

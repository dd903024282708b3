"""A habitat for each specimen: its field as real files, a temporary folder of its own, a coordinator with a secret."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _temporary_folder(tmp_path, monkeypatch) -> None:
    """Of the test's own, so that it can tell what is left there."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def field(tmp_path, monkeypatch) -> Path:
    """The good models, and the others beside them; the coordinator has a secret meanwhile."""
    folder = tmp_path / "submissions"
    for kind in ("good", "models"):
        shutil.copytree(HERE / kind, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    monkeypatch.setenv("SECRET", "SWORDFISH")
    return folder

"""A habitat for each cage of specimens: real files, a temporary folder of its own, a coordinator with a secret."""

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
def field(tmp_path, monkeypatch, cage) -> Path:
    """The good models, and the specimens beside them; the coordinator has a secret meanwhile."""
    folder = tmp_path / "submissions"
    shutil.copytree(HERE / "good", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for specimen in cage:
        place = HERE / "models" / specimen.file
        if place.is_dir():
            shutil.copytree(place, folder / place.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place.with_suffix(".py"), folder)
    monkeypatch.setenv("SECRET", "SWORDFISH")
    return folder

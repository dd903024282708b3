"""A live game by a virtual clock, on a real database that something happens to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crunch_game.storage.sql import _postgres, _sqlite
from crunch_game.workers.predicting import _outbox

sys.path.insert(0, str(Path(__file__).parent))  # what the tests of these folders share
sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
sys.path.insert(0, str(Path(__file__).parents[1] / "workers"))

from postgres import GIVEN, Server, server


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
    monkeypatch.setattr(_outbox, "SLOW", 0.1)
    monkeypatch.setattr(_outbox, "TOLD", 0.2)
    monkeypatch.setattr(_outbox, "PAUSES", (0.01, 0.1))
    monkeypatch.setattr(_outbox, "LAST", 20.0)
    monkeypatch.setattr(_sqlite, "PATIENCE", 0.3)
    for name in ("_SETTINGS", "_ALONE", "_END_SILENT"):
        monkeypatch.setattr(_postgres, name, getattr(_postgres, name).replace(f"'{_postgres.PATIENCE:g}s'", "'300ms'"))


@pytest.fixture
def own_server(postgres: Server) -> Server:
    """The server, if whatever happens to it happens to nobody else."""
    if GIVEN in os.environ:
        pytest.skip(f"the server of {GIVEN} may be used by others")
    return postgres


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of few MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder):
        yield folder


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[FailingDisk]:
    """A file system that its kernel makes read-only after an error."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
    except OSError as error:
        pytest.skip(f"no mkfs.ext4: {error}")
    what = ("-o", "loop,errors=remount-ro", image, folder)
    with mounted(*what):
        yield FailingDisk(folder, what)


class FailingDisk:
    """A file system on a file."""

    def __init__(self, folder: Path, what: tuple[str | Path, ...]) -> None:
        self.folder = folder
        self._what = what

    def fail(self) -> None:
        """Have its kernel find an error."""
        device = next(
            line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {self.folder} " in line
        )
        trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip(f"the kernel has no {trigger}")
        trigger.write_text("a test")

    def repair(self) -> None:
        """Mount it anew."""
        subprocess.run(["umount", self.folder], check=True)
        subprocess.run(["mount", *self._what], check=True)


@contextmanager
def mounted(*what: str | Path) -> Iterator[None]:
    """A file system, while the body runs."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mounting = subprocess.run(["mount", *map(str, what)], check=False, capture_output=True, text=True)
    if mounting.returncode:
        pytest.skip(f"nothing can be mounted here: {mounting.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(what[-1])], check=True)

"""DirectoryRoster: every submission in a folder is a model, and the folder is watched."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import watchfiles

from crunch_game._public import public
from crunch_game.errors import GameError, LoadError
from crunch_game.models import Submission
from crunch_game.rosters._versions import digest_of, files_of
from crunch_game.rosters.base import Roster
from crunch_game.sources import entry_of

logger = logging.getLogger("crunch_game")

_SCAN_INTERVAL = 1.0
"""Seconds between scans of the folder if no change is reported: some file systems report none."""

_Stamp = tuple[tuple[str, int, int, int], ...]


@public
class DirectoryRoster(Roster):
    """Each sub-folder with a `main.py` or one package, each `.py` and each `.ipynb` file is a submission.

    Names that start with "." or "_" are ignored. A model's id is its folder's name or its file's stem. Its deployment
    id is a hash of the contents, so that a changed submission is redeployed.

    Args:
        folder: The folder.

    Raises:
        GameError: The folder does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise GameError(f"there is no folder {str(folder)!r} to take models from")
        self._known: dict[str, tuple[_Stamp, str | None]] = {}

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield the submissions in the folder, now and after every change.

        Raises:
            GameError: Two submissions have the same id at the start. Later this is logged, and ignored.
        """
        last = await anyio.to_thread.run_sync(self.scan)
        trouble: str | None = None
        yield last
        # A change between the scan and the first watch is found by the next scan without a report. The timeout is short
        # because closing the iterator waits for it.
        changes = watchfiles.awatch(self.folder, step=50, debounce=500, rust_timeout=100, yield_on_timeout=True)
        scanned = anyio.current_time()
        async with aclosing(changes):
            async for reported in changes:
                if not reported and anyio.current_time() - scanned < _SCAN_INTERVAL:
                    continue
                scanned = anyio.current_time()
                try:
                    now = await anyio.to_thread.run_sync(self.scan)
                except (GameError, OSError) as error:
                    # The same trouble would otherwise be logged once a second until somebody mends it.
                    if str(error) != trouble:
                        logger.warning("the models stay as they are: %s", error)
                    trouble = str(error)
                    continue
                trouble = None
                if now != last:
                    yield now
                    last = now

    def scan(self) -> dict[str, Submission]:
        """Return the submissions in the folder now, by model id.

        Raises:
            GameError: Two submissions have the same id.
        """
        found: dict[str, Submission] = {}
        for path, version in self._versions():
            model_id = path.name if path.is_dir() else path.stem
            if model_id in found:
                raise GameError(f"{path} and {found[model_id].source} would both be the model {model_id!r}; rename one")
            found[model_id] = Submission(model_id, path, version)
        return found

    def _versions(self) -> list[tuple[Path, str]]:
        """Return each submission with its deployment id. Only files that have changed are read."""
        known, self._known = self._known, {}
        for entry in _entries(self.folder):
            with suppress(OSError):  # it was removed meanwhile, as the next scan will find
                stamp = _stamp(entry)
                before = known.get(entry.path)
                after = before if before and before[0] == stamp else (stamp, _deployment_id(Path(entry.path), stamp))
                self._known[entry.path] = after
        return [(Path(path), version) for path, (_, version) in self._known.items() if version is not None]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries whose names are allowed for submissions, sorted."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        allowed = [entry for entry in entries if not entry.name.startswith((".", "_"))]
        return sorted(allowed, key=lambda entry: entry.name)
    return []


def _stamp(entry: os.DirEntry[str]) -> _Stamp:
    """Return a value that changes whenever a file of the submission does."""
    files = sorted(files_of(entry.path), key=lambda file: file.path) if entry.is_dir() else [entry]
    # Not the modification time alone: unpacking an archive can set it, but not ctime.
    statuses = [(file.path, file.stat()) for file in files]
    return tuple((path, status.st_size, status.st_mtime_ns, status.st_ctime_ns) for path, status in statuses)


def _deployment_id(path: Path, stamp: _Stamp) -> str | None:
    """Return the deployment id of the contents, or None if it is no submission."""
    if path.is_dir():
        try:
            entry_of(path)
        except LoadError:
            return None
    elif path.suffix not in (".py", ".ipynb") or not path.is_file():
        return None
    return digest_of(path, [Path(file) for file, *_ in stamp])

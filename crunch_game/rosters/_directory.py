"""DirectoryRoster: every submission in a folder is a model, and the folder is watched."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from crunch_game._public import public
from crunch_game.errors import GameError
from crunch_game.models import Submission
from crunch_game.rosters._entries import chosen, entries_of, is_meant, reason_against
from crunch_game.rosters._versions import GONE, digest_of, files_of
from crunch_game.rosters.base import Roster
from crunch_game.sources import is_folder

logger = logging.getLogger("crunch_game")

_SCAN_INTERVAL = 1.0
"""Seconds between scans of the folder if no change is reported: some file systems report none."""

_Stamp = tuple[tuple[str, int, int, int], ...]


@public
class DirectoryRoster(Roster):
    """Each `.py` file, and each sub-folder with a `main.py` or one package, is a submission.

    What else is meant as one fails to load, and says what to change: a folder that has other Python files, notebooks or
    archives in it, or nothing, a notebook or archive itself, and a link that leads nowhere. So it is until its contents
    change. Other files and names that start with "." or "_" are ignored. A model's id is its folder's name or its
    file's stem. Its deployment id is a hash of the contents, so that a changed submission is redeployed.

    Args:
        folder: The folder.

    Raises:
        GameError: The folder does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise GameError(f"there is no folder {str(folder)!r} to take models from")
        self._known: dict[Path, _Look] = {}

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield the submissions in the folder, now and after every change.

        Raises:
            GameError: Two submissions have the same id at the start. Later this is logged, and ignored.
        """
        last = await anyio.to_thread.run_sync(self.scan)
        trouble: str | None = None
        yield last
        async with aclosing(self._times_to_scan()) as times:
            async for _ in times:
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

    async def _times_to_scan(self) -> AsyncGenerator[None]:
        """Yield when a change is reported, and else once an interval, whatever becomes of the reports.

        They fail for good at the first name that is no UTF-8, and where the system has no watches left; a participant
        can bring about both.
        """
        import watchfiles  # who only scans a folder needs none

        watch = partial(watchfiles.awatch, self.folder, step=50, debounce=500, yield_on_timeout=True)
        scanned = anyio.current_time()
        while True:
            # A change between a scan and a new watch is found by the next scan without a report. The timeout is short
            # because closing the iterator waits for it.
            try:
                async with aclosing(watch(rust_timeout=100, ignore_permission_denied=True)) as changes:
                    async for reported in changes:
                        if reported or anyio.current_time() - scanned >= _SCAN_INTERVAL:
                            scanned = anyio.current_time()
                            yield
            except* (OSError, RuntimeError) as errors:
                logger.debug("changes in %s are not reported: %s", self.folder, errors.exceptions[0])
            await anyio.sleep(_SCAN_INTERVAL)
            yield

    def scan(self) -> dict[str, Submission]:
        """Return the submissions in the folder now, by model id.

        Raises:
            GameError: Two submissions that can be run have the same id.
        """
        known = self._look()
        found = chosen((path, look.why_not) for path, look in known.items() if look.version is not None)
        return {model_id: Submission(model_id, path, known[path].version or "") for model_id, path, _ in found}

    def _look(self) -> dict[Path, _Look]:
        """Look at what is in the folder. Only files that have changed are read."""
        known, self._known = self._known, {}
        for path in entries_of(self.folder):
            with suppress(OSError):  # it was removed meanwhile, as the next scan will find
                stamp = _stamp(path)
                before = known.get(path)
                self._known[path] = before if before and before.stamp == stamp else _look_at(path, stamp)
        return self._known


@dataclass(frozen=True)
class _Look:
    """What was seen of an entry. Without a version, nobody means it as a submission."""

    stamp: _Stamp
    version: str | None
    why_not: str | None = None


def _stamp(path: Path) -> _Stamp:
    """Return a value that changes whenever a file of the submission does."""
    files: list[Path] = sorted(Path(file.path) for file in files_of(path)) if is_folder(path) else [path]
    return tuple(map(_file_stamp, files))


def _file_stamp(file: Path) -> tuple[str, int, int, int]:
    try:
        status = file.stat() if file.exists() else file.lstat()
    except GONE:
        raise
    except OSError:  # nobody may look at it; loading the submission will say so
        return str(file), 0, 0, 0
    # Not the modification time alone: unpacking an archive can set it, but not ctime.
    return str(file), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _look_at(path: Path, stamp: _Stamp) -> _Look:
    """Read an entry whose stamp is new."""
    why_not = reason_against(path)
    if why_not is not None and not is_meant(path, [file for file, *_ in stamp]):
        return _Look(stamp, None)
    return _Look(stamp, digest_of(path, [Path(file) for file, *_ in stamp]), why_not)

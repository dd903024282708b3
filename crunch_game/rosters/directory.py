"""A roster that is a folder: each submission in it is a model, and the folder is watched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import watchfiles

from crunch_game.errors import GameError, LoadError
from crunch_game.hosts.base import Host
from crunch_game.importing import entry_of
from crunch_game.models import Submission

__all__ = ["DirectoryRoster"]

_Stamp = tuple[tuple[str, int, int], ...]


class DirectoryRoster:
    """Each sub-folder with a `main.py` or one package, each `.py` and each `.ipynb` file is a submission.

    Names that start with "." or "_" are not. A model's id is its folder's name or its file's stem, and its
    deployment id follows from the contents: a new submission joins, a removed one leaves, a changed one is
    redeployed.

    Args:
        folder: The folder.

    Raises:
        GameError: There is no such folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise GameError(f"there is no folder {str(folder)!r} to take models from")
        self._known: dict[Path, tuple[_Stamp, str]] = {}

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """The submissions in the folder, now and after every change.

        Raises:
            GameError: Two submissions have the same id.
        """
        last = await anyio.to_thread.run_sync(self.scan)
        yield last
        # What happens between the scan and the first watch, or is never told of, is found at the next timeout.
        changes = watchfiles.awatch(self.folder, step=50, debounce=500, rust_timeout=1000, yield_on_timeout=True)
        async with aclosing(changes):
            async for _ in changes:
                now = await anyio.to_thread.run_sync(self.scan)
                if now != last:
                    yield now
                    last = now

    def host(self) -> Host | None:
        """None: any host will do."""
        return None

    def scan(self) -> dict[str, Submission]:
        """The submissions in the folder now, by model id.

        Raises:
            GameError: Two submissions have the same id.
        """
        found: dict[str, Submission] = {}
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if not _is_submission(path):
                continue
            model_id = path.name if path.is_dir() else path.stem
            if model_id in found:
                raise GameError(f"{path} and {found[model_id].source} would both be the model {model_id!r}; rename one")
            with suppress(FileNotFoundError):  # it was removed while it was read: the next scan sees it gone
                found[model_id] = Submission(model_id, path, self._version(path))
        self._known = {path: known for path, known in self._known.items() if path.exists()}
        return found

    def _version(self, path: Path) -> str:
        files = sorted(_files(path))
        stamp = tuple((str(file), status.st_mtime_ns, status.st_size) for file in files if (status := file.stat()))
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = self._known[path] = (stamp, _digest(path, files))
        return known[1]


def _is_submission(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    if path.is_dir():
        with suppress(LoadError):
            return entry_of(path).is_file()
        return False
    return path.suffix in (".py", ".ipynb")


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _digest(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        digest.update(f"{file.relative_to(path.parent)}\0".encode() + content)
    return digest.hexdigest()[:12]

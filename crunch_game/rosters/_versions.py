"""Deployment ids: hashes of submissions' contents."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from crunch_game.sources import ClassSource, Source

_MAX_FILE_BYTES = 1 << 32
"""Larger files are not read: a sparse one takes no space on disk, but hours to read."""
GONE: Final = (FileNotFoundError, NotADirectoryError)
"""Errors which say that somebody has removed what is looked at. Others are no reason to pass it over."""


def version_of(source: Source) -> str:
    """Hash the contents of a submission's files, or the source of a class; "1" if they cannot be read."""
    try:
        if isinstance(source, ClassSource):
            return _short(hashlib.sha256(inspect.getsource(source.cls).encode(errors="surrogateescape")))
        path = source.place
        if path is not None:
            files = sorted(Path(file.path) for file in files_of(path)) if path.is_dir() else [path]
            return digest_of(path, files)
    except (OSError, TypeError):
        pass  # loading it will say what is wrong; a class made in a prompt has no source, but can be loaded
    return "1"


def files_of(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files of a folder and its sub-folders, without hidden ones and bytecode, and what cannot be read.

    Raises:
        OSError: A folder is gone.
    """
    waiting = [os.fspath(folder)]  # no recursion: a participant may nest folders deeper than the stack allows
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif _is_file(entry):
                yield entry


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except GONE:
        raise
    except OSError:  # nobody may read it, or its path is too long; loading the submission will say so
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one; not a broken link, a circle of them, or a pipe."""
    try:
        return entry.is_file()
    except OSError:
        return False


def digest_of(path: Path, files: Iterable[Path]) -> str:
    """Hash the names and contents of a submission's files, in this order."""
    digest = hashlib.sha256()
    for file in files:
        name = f"{file.relative_to(path.parent)}\0"
        digest.update(name.encode(errors="surrogateescape") + _content(file))
    return _short(digest)


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:12]


def _content(file: Path) -> bytes:
    """Hash as many bytes as the file claims to have: reading all of a link into /proc may never end."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size > _MAX_FILE_BYTES:
                return f"{status.st_size} bytes since {status.st_ctime_ns}".encode()
            digest, left = hashlib.sha256(), status.st_size
            while left and (piece := stream.read(min(left, 1 << 20))):
                digest.update(piece)
                left -= len(piece)
            return digest.digest()
    except GONE:
        if not file.is_symlink():
            raise
        return os.fsencode(file.readlink())
    except OSError:
        return b"not readable"  # loading the submission will say so

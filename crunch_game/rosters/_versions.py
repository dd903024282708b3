"""Deployment ids: hashes of submissions' contents."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crunch_game.sources import ClassSource, Source

_MAX_FILE_BYTES = 1 << 32
"""Larger files are not read: a sparse one takes no space on disk, but hours to read."""


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
    """Yield the files of a folder and its sub-folders, without hidden ones and bytecode."""
    waiting = [os.fspath(folder)]  # no recursion: a participant may nest folders deeper than the stack allows
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():  # not a broken link or a pipe
                    yield entry


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
    except PermissionError:
        return b"not readable"  # loading the submission will say so

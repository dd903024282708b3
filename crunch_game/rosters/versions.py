"""The deployment id that follows from a submission's contents: new code is a new one."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from crunch_game.sources import ClassSource, Source

__all__ = ["digest_of", "files_of", "version_of"]

_LONGEST = 1 << 32
"""Bytes above which a file is not read: one with holes takes no disk, and hours."""


def version_of(source: Source) -> str:
    """Follows from the contents of the files, or from the source of the class; "1" where these cannot be had."""
    try:
        if isinstance(source, ClassSource):
            return _short(hashlib.sha256(inspect.getsource(source.cls).encode(errors="surrogateescape")))
        path = source.place
        if path is not None:
            files = sorted(Path(file.path) for file in files_of(path)) if path.is_dir() else [path]
            return digest_of(path, files)
    except (OSError, TypeError):
        pass  # it is gone, or made in a prompt: loading it will say what is wrong, if anything is
    return "1"


def files_of(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """A folder submission's files, those of its folders too; neither hidden ones nor bytecode."""
    waiting = [os.fspath(folder)]  # no recursion: folders may lie in one another deeper than a stack goes
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():  # no broken link, no pipe
                    yield entry


def digest_of(path: Path, files: Iterable[Path]) -> str:
    """The deployment id that follows from the names and the contents of a submission's files, in that order."""
    digest = hashlib.sha256()
    for file in files:
        name = f"{file.relative_to(path.parent)}\0"
        digest.update(name.encode(errors="surrogateescape") + _content(file))
    return _short(digest)


def _short(digest: hashlib._Hash) -> str:
    return digest.hexdigest()[:12]


def _content(file: Path) -> bytes:
    """The digest of what the file says it has, and no more: of a link into /proc, reading all may never end."""
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_size > _LONGEST:
                return f"{status.st_size} bytes since {status.st_ctime_ns}".encode()
            digest, left = hashlib.sha256(), status.st_size
            while left and (piece := stream.read(min(left, 1 << 20))):
                digest.update(piece)
                left -= len(piece)
            return digest.digest()
    except PermissionError:
        return b"not readable"  # loading it will say so

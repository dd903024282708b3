"""Removes temporary folders, whatever models left in them."""

from __future__ import annotations

import itertools
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def discard(folder: Path) -> None:
    """Remove a folder that models wrote to. What cannot be removed stays; no link is followed.

    A model may nest folders ten thousand deep: too deep for a path, for recursion, and for a descriptor each. So every
    folder is moved up to the top folder before it is emptied.
    """
    with suppress(OSError):
        _unlock(str(folder), None)
        top = os.open(folder, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        folder.rmdir()


def _empty(top: int) -> None:
    mark = f".{secrets.token_hex(8)}-"  # a prefix that a model cannot have guessed
    names = (f"{mark}{number}" for number in itertools.count())
    waiting: list[str] = []

    def strip(folder: int) -> None:
        """Remove the files of a folder, and move its folders to the top."""
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.name, dir_fd=folder)
                    elif not entry.name.startswith(mark):
                        _unlock(entry.name, folder)
                        os.rename(entry.name, name := next(names), src_dir_fd=folder, dst_dir_fd=top)
                        waiting.append(name)

    strip(top)
    while waiting:
        name = waiting.pop()
        with suppress(OSError):
            inner = os.open(name, _FOLDER, dir_fd=top)
            try:
                strip(inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _unlock(name: str, parent: int | None) -> None:
    """Make a folder readable and writable: a model may have removed its own permissions."""
    with suppress(OSError):
        descriptor = os.open(name, _FOLDER | os.O_PATH, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)  # noqa: PTH101 - by descriptor: the name may be another file's by now
        finally:
            os.close(descriptor)

"""The folders that models work in: filled with their submission's files, and removed whatever models left in them."""

from __future__ import annotations

import itertools
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from crunch_game.errors import LoadError

_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_COPIED_BYTES: Final = 16 << 20
"""Of one file. What is larger is data, which a model reads and does not write."""
_MAX_COPIES_BYTES: Final = 64 << 20
"""Of all files together: hundreds of models may share a disk, which may be memory."""
_MAX_ENTRIES: Final = 10_000
_CHUNK_BYTES: Final = 1 << 20


def fill(home: str, submission: str, *, linked: bool) -> None:
    """Copy a submission's folder to the folder that its model works in, so that relative paths lead to its files.

    What no deployment id counts stays away (hidden folders and bytecode), so do virtual environments, pipes and the
    like. A link leads to the copy of what it led to, or to the same place outside of the submission.

    Args:
        home: The folder that the model works in, empty.
        submission: The submission's folder, as a real path.
        linked: Whether large files, and what cannot be copied, are links to the submission. They must then be protected
            from being written to. Otherwise all is copied.

    Raises:
        LoadError: The submission has too many files.
        OSError: A file cannot be written.
    """
    left_entries, left_bytes = _MAX_ENTRIES, _MAX_COPIES_BYTES
    waiting = [""]  # no recursion: a participant may nest folders deeper than the stack allows
    while waiting:
        inner = waiting.pop()
        try:
            entries = _entries(f"{submission}{inner}", left_entries)
        except FileNotFoundError:
            continue  # somebody has just removed it
        except (LoadError, PermissionError):
            if not (linked and inner):
                raise
            os.rmdir(f"{home}{inner}")
            os.symlink(f"{submission}{inner}", f"{home}{inner}")
            continue
        left_entries -= len(entries)
        for entry, status in entries:
            copy = f"{home}{inner}/{entry.name}"
            if stat.S_ISLNK(status.st_mode):
                os.symlink(_target(entry.path, submission), copy)
            elif stat.S_ISDIR(status.st_mode):
                if not _is_left_out(entry):
                    os.mkdir(copy)
                    waiting.append(f"{inner}/{entry.name}")
            elif stat.S_ISREG(status.st_mode):
                fits = status.st_size <= min(_MAX_COPIED_BYTES, left_bytes)
                if (fits or not linked) and _copied(entry.path, copy, linked=linked):
                    left_bytes -= status.st_size
                elif linked:
                    os.symlink(entry.path, copy)


def _entries(folder: str, most: int) -> list[tuple[os.DirEntry[str], os.stat_result]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, most + 1):
            with suppress(FileNotFoundError):  # editors and rsync make files that soon have another name
                found.append((entry, entry.stat(follow_symlinks=False)))
    if len(found) > most:
        raise LoadError(
            f"the submission has more than {_MAX_ENTRIES:,} files, and each model works in a copy of its submission; "
            "put what belongs together in one file, such as a zip archive"
        )
    return found


def _is_left_out(folder: os.DirEntry[str]) -> bool:
    is_tools = folder.name.startswith(".") or folder.name == "__pycache__"
    return is_tools or os.access(f"{folder.path}/pyvenv.cfg", os.F_OK)


def _target(link: str, submission: str) -> str:
    """Where the copy of a link must lead."""
    target = os.path.realpath(link)
    inside = target == submission or target.startswith(f"{submission}/")
    return os.path.relpath(target, os.path.dirname(link)) if inside else target


def _copied(file: str, copy: str, *, linked: bool) -> bool:
    """Copy a file, without its protection from being written to. Returns whether that was possible.

    Raises:
        OSError: The copy cannot be written, although it must be.
    """
    try:
        source = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # whoever reads it will meet the error
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            return False
        mode = status.st_mode & 0o777 | 0o600
        target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(target, "wb") as writer:
            left = status.st_size  # no more: somebody may write to it without end
            while left and (piece := os.read(source, min(left, _CHUNK_BYTES))):
                writer.write(piece)
                left -= len(piece)
    except OSError:
        if not linked:
            raise
        with suppress(FileNotFoundError):
            os.unlink(copy)
        return False
    finally:
        os.close(source)
    return True


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
            os.chmod(f"/proc/self/fd/{descriptor}", 0o700)  # by descriptor: the name may be another file's by now
        finally:
            os.close(descriptor)

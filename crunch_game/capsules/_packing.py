"""A submission's code into a capsule and out of it again: nothing from outside the submission, nothing to outside."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, NamedTuple

from msgspec.structs import replace

from crunch_game.capsules._capsule import CODE, PackedCode
from crunch_game.errors import CapsuleError

_MIB: Final = 1 << 20
MAX_CODE_BYTES: Final = 64 * _MIB
MAX_FILES: Final = 5_000
MAX_LEFT_OUT: Final = 20
"""Files that are named among those left out; the others are only counted."""
MAX_COMPRESSED_BYTES: Final = 4 * _MIB
"""Bytes of a file that is compressed: larger ones are weights, which hardly shrink and would take long."""

_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_Inode = tuple[int, int]


class _Found(NamedTuple):
    path: Path
    name: str
    size: int


def pack(place: Path, code: PackedCode, archive: zipfile.ZipFile, loaded: float) -> PackedCode:
    """Copy the file or folder into the archive.

    Hidden files, bytecode and virtual environments are no part of it. What does not fit is left out, the largest
    files first.

    Args:
        place: The file or folder, with no link in its path.
        code: What is known of it.
        archive: Where it goes.
        loaded: The time (seconds since 1970) at which the model was loaded.

    Returns:
        The code, with its place in the archive.
    """
    found, inodes, left_out = _found(place)
    room, newest = MAX_CODE_BYTES, 0.0
    for file in sorted(found, key=lambda file: (not file.name.endswith(".py"), file.size, file.name)):
        why = None
        if file.size > room:
            why = f"{file.size / _MIB:,.1f} MiB; a capsule holds {MAX_CODE_BYTES // _MIB} MiB of code"
        else:
            try:
                why, size, changed = _copy(file, inodes, room, archive)
                room, newest = room - size, max(newest, changed)
            except OSError as error:
                why = error.strerror or type(error).__name__
        if why is not None:
            left_out.append(f"{file.name} ({why})")
    if len(left_out) > MAX_LEFT_OUT:
        left_out[MAX_LEFT_OUT:] = [f"and {len(left_out) - MAX_LEFT_OUT} more"]
    name = place.name if found else None
    return replace(code, name=name, left_out=left_out, changed=name is not None and newest > loaded)


def _found(place: Path) -> tuple[list[_Found], set[_Inode], list[str]]:
    """The files and links to copy, the inodes of the files (where links may lead), and what is left out."""
    if place.is_file():
        status = place.stat()
        return [_Found(place, place.name, status.st_size)], {(status.st_dev, status.st_ino)}, []
    found: list[_Found] = []
    inodes: set[_Inode] = set()
    left_out: list[str] = []
    # By descriptors: a folder that becomes a link to elsewhere, while it is walked through, leads nowhere.
    for folder, folders, names, descriptor in os.fwalk(place):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = Path(folder, name)
            shown = path.relative_to(place.parent).as_posix()
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not _is_plain(shown):
                left_out.append(f"{ascii(shown)[1:-1]} (its name)")
            elif len(found) == MAX_FILES:
                left_out.append(f"{shown} (a capsule holds {MAX_FILES:,} files)")
            elif stat.S_ISREG(status.st_mode):
                found.append(_Found(path, shown, status.st_size))
                inodes.add((status.st_dev, status.st_ino))
            elif stat.S_ISLNK(status.st_mode):
                found.append(_Found(path, shown, 0))
    return found, inodes, left_out


def _is_plain(name: str) -> bool:
    """Whether the name means the same file on every system."""
    return name.isprintable() and not {"\\", ":"} & set(name)


def _copy(file: _Found, inodes: set[_Inode], room: int, archive: zipfile.ZipFile) -> tuple[str | None, int, float]:
    """Copy one file; why it was not copied, its bytes, and when it was last changed.

    A link is followed only to a file of the submission, and what is opened is what is checked, whatever the path
    leads to by then.
    """
    with open(os.open(file.path, _READ), "rb") as source:  # noqa: PTH123 - a descriptor
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) not in inodes:
            return "a link out of the submission", 0, 0.0
        if status.st_size > room:
            return f"a link to {status.st_size / _MIB:,.1f} MiB", 0, 0.0
        entry = zipfile.ZipInfo(CODE + file.name)
        entry.compress_type = zipfile.ZIP_STORED if status.st_size >= MAX_COMPRESSED_BYTES else zipfile.ZIP_DEFLATED
        entry.external_attr = 0o100644 << 16
        with archive.open(entry, "w") as target:
            size = _copy_at_most(source, target, room)
        return None, size, max(status.st_mtime, status.st_ctime)


def _copy_at_most(source: BinaryIO, target: object, most: int) -> int:
    """Copy what the file has now: something may go on writing to it for ever."""
    copied = 0
    while copied < most and (data := source.read(min(_MIB, most - copied))):
        target.write(data)  # type: ignore[attr-defined]
        copied += len(data)
    return copied


def unpack(archive: zipfile.ZipFile, code: PackedCode, folder: Path) -> Path | None:
    """Write the submission's copy into an empty folder; where it then is, or None where the capsule has none.

    Raises:
        CapsuleError: A name leads out of the folder, or the copy is not what the capsule says it is.
    """
    if code.name is None:
        return None
    for entry in archive.infolist():
        if not entry.filename.startswith(CODE) or entry.is_dir():
            continue
        target = folder / _inside(entry.filename.removeprefix(CODE))
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)
    place = folder / _inside(code.name)
    if place.parent != folder or not place.exists():
        raise CapsuleError(f"the capsule's copy of the submission lacks {code.name!r}")
    return place


def _inside(name: str) -> PurePosixPath:
    """The name as a path that stays in the folder that it is joined to."""
    parts = name.split("/")
    if not all(parts) or not _is_plain(name) or {".", ".."} & set(parts):
        raise CapsuleError(f"the capsule holds a file {name!r}, which would lead out of its folder; it is not opened")
    return PurePosixPath(name)

"""A file of frames, each with its length and checksum: what a kill leaves half written at its end is cut off."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct(">II")
"""The length of a frame, and its CRC-32."""


class Frames:
    """The open file. What was appended is on the disk.

    Args:
        path: The file; it is made, with its folder, for this user alone, if it is missing.

    Raises:
        OSError: It cannot be opened, or made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        is_new = not path.exists()
        if is_new:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                _sync_folder(path.parent)
            self.end = 0
            for _ in self.read():
                pass
            os.ftruncate(self._file, self.end)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, data: bytes) -> None:
        """Add a frame. One that cannot be written whole is not there.

        Raises:
            OSError: The disk is full, or is not written to.
        """
        frame = memoryview(_HEAD.pack(len(data), zlib.crc32(data)) + data)
        written = 0
        try:
            while written < len(frame):
                written += os.pwrite(self._file, frame[written:], self.end + written)
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # the next one is written over it, and its checksum is wrong
                os.ftruncate(self._file, self.end)
            raise
        self.end += len(frame)

    def read(self, start: int = 0) -> Iterator[tuple[bytes, int]]:
        """Yield the frames from a position on, each with that of the next one; the last ends at `end`."""
        position = start
        while len(head := os.pread(self._file, _HEAD.size, position)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            data = os.pread(self._file, length, position + _HEAD.size)
            if len(data) < length or zlib.crc32(data) != checksum:
                break
            position += _HEAD.size + length
            self.end = max(self.end, position)
            yield data, position

    def remove(self) -> None:
        """Remove the file, and close it."""
        with suppress(OSError):
            self.path.unlink()
            _sync_folder(self.path.parent)
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _sync_folder(folder: Path) -> None:
    """Make sure that which files it has is on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

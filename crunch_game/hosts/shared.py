"""A large message that is written once, to memory that every model's process maps and none can change."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

__all__ = ["INLINE", "Shared", "mapped"]

INLINE: Final = 1 << 16
"""Bytes up to which a message is cheaper to send to each process than to share."""


class Shared:
    """The message, in a file that has no name.

    When nobody refers to this any more the file is emptied, whoever still has its descriptor: no limit of a model
    counts such memory.

    Raises:
        OSError: The system has no memory, or no descriptors, for it.
    """

    def __init__(self, message: bytes) -> None:
        self._written = os.memfd_create("crunch_game", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        left = memoryview(message)
        while left:
            left = left[os.write(self._written, left) :]
        fcntl.fcntl(self._written, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.fchmod(self._written, 0o400)  # whoever is sent it could open it anew, and empty it for the others
        self._read = os.open(f"/proc/self/fd/{self._written}", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """A descriptor that only reads, to be sent along."""
        return self._read

    def __del__(self) -> None:
        if hasattr(self, "_written"):
            os.ftruncate(self._written, 0)
            os.close(self._written)
        if hasattr(self, "_read"):
            os.close(self._read)


def mapped(descriptor: int, size: int) -> memoryview:
    """The message of that many bytes, where the process was sent its descriptor, which is closed."""
    try:
        return memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)

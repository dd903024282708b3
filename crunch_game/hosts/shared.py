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
    """The message, in a file that has no name. The file is closed when nobody refers to this any more.

    Raises:
        OSError: The system has no memory, or no descriptors, for it.
    """

    def __init__(self, message: bytes) -> None:
        self._descriptor = os.memfd_create("crunch_game", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        left = memoryview(message)
        while left:
            left = left[os.write(self._descriptor, left) :]
        fcntl.fcntl(
            self._descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
        )

    def fileno(self) -> int:
        """The descriptor, to be sent along."""
        return self._descriptor

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


def mapped(descriptor: int, size: int) -> memoryview:
    """The message of that many bytes, where the process was sent its descriptor, which is closed."""
    try:
        return memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)

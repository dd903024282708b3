"""A large message, written once to memory that every model's process maps and none can change."""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

MAX_SENT_BYTES: Final = 1 << 16
"""Up to this size a message is cheaper to send to each process than to share."""


class Shared:
    """A message in an anonymous file.

    The file is emptied when this object is freed, even if a model still has a descriptor: it could otherwise keep
    memory that none of its limits counts.

    Raises:
        OSError: The system has too little memory, or too few descriptors.
    """

    def __init__(self, message: bytes) -> None:
        self._written = os.memfd_create("crunch_game", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        left = memoryview(message)
        while left:
            left = left[os.write(self._written, left) :]
        # Sealed: a model that maps the file must not change what the others read.
        fcntl.fcntl(self._written, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.fchmod(self._written, 0o400)  # else a model could open it again for writing, and empty it for the others
        self._read = os.open(f"/proc/self/fd/{self._written}", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return a read-only descriptor, to be sent to models."""
        return self._read

    def __del__(self) -> None:
        if hasattr(self, "_written"):
            os.ftruncate(self._written, 0)
            os.close(self._written)
        if hasattr(self, "_read"):
            os.close(self._read)


def mapped(descriptor: int, size: int) -> memoryview:
    """Map a message of `size` bytes, and close its descriptor. For the process that the descriptor was sent to."""
    try:
        return memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)

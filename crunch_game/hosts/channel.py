"""The two ends of a model's channel."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

__all__ = ["pair"]

_PASSRIGHTS: Final = 83


def pair() -> tuple[socket.socket, socket.socket]:
    """The coordinator's end, and the model's.

    Where the kernel can (Linux 6.16 and later), nobody can send descriptors to the coordinator. It asks for none, so
    they would be closed when they arrive, and closing may take as long as their sender likes: a TCP connection with
    unsent data lingers, and with it the thread that reads all models' answers.
    """
    ours, theirs = socket.socketpair()
    with suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, _PASSRIGHTS, 0)
    return ours, theirs

"""What reaches a model's process: one frame after the other, and the descriptors that come along."""

from __future__ import annotations

import socket
from array import array
from typing import Final

from crunch_game.hosts import wire

__all__ = ["Inbox"]

_CHUNK: Final = 1 << 16
_ANCILLARY: Final = socket.CMSG_SPACE(array("i").itemsize)


class Inbox:
    """Receives frames on a channel.

    Attributes:
        descriptor: The one that came with the latest frame, or None. It is its reader's to close.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._view = memoryview(bytearray(_CHUNK))
        self.descriptor: int | None = None

    def receive(self) -> memoryview | None:
        """The next frame, without its length, to be read before the one after it is asked for; None at the end."""
        view = self._view
        got, ancillary, _, _ = self._channel.recvmsg_into([view], _ANCILLARY)
        self.descriptor = array("i", ancillary[0][2])[0] if ancillary else None
        if not got:
            return None
        size = wire.LENGTH.size
        if got >= size and wire.LENGTH.unpack_from(view)[0] + size == got:
            return view[size:got]  # as nearly always: one frame, whole
        return self._long(bytearray(view[:got]))

    def _long(self, data: bytearray) -> memoryview | None:
        size = wire.LENGTH.size
        while len(data) < size or len(data) < size + wire.LENGTH.unpack_from(data)[0]:
            got = self._channel.recv_into(self._view)
            if not got:
                return None
            data += self._view[:got]
        return memoryview(data)[size:]

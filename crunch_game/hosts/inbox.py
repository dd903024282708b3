"""What reaches a model's process: one frame after the other, and the descriptors that come along."""

from __future__ import annotations

import errno
import socket
from array import array
from typing import Final

from crunch_game.hosts import framing

__all__ = ["ANCILLARY", "HEAD", "Inbox", "descriptor_in", "length"]

ANCILLARY: Final = socket.CMSG_SPACE(array("i").itemsize)
HEAD: Final = framing.LENGTH.size
length: Final = framing.LENGTH.unpack_from
_CHUNK: Final = 1 << 16


class Inbox:
    """Receives frames on a channel.

    Attributes:
        channel: Where they come from.
        view: Where they are put, one over the other.
    """

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.view = memoryview(bytearray(_CHUNK))

    def receive(self) -> tuple[memoryview | None, int | None]:
        """The next frame, without its length, to be read before the one after it is asked for; None at the end.

        And the descriptor that came with it, or None, which is its reader's to close. (What is called again and again
        has these lines of its own, in `answer_calls`.)
        """
        got, ancillary, _, _ = self.channel.recvmsg_into([self.view], ANCILLARY)
        whole = got >= HEAD and length(self.view)[0] + HEAD == got
        return self.view[HEAD:got] if whole else self.rest(got), descriptor_in(ancillary) if ancillary else None

    def rest(self, got: int) -> memoryview | None:
        """The whole frame, of which so many bytes are there, or more than it; None if it will never be whole."""
        data = bytearray(self.view[:got])
        while len(data) < HEAD or len(data) < HEAD + length(data)[0]:
            got = self.channel.recv_into(self.view) if got else 0
            if not got:
                return None
            data += self.view[:got]
        return memoryview(data)[HEAD:]


def descriptor_in(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The descriptor in what `recvmsg_into` gave besides the bytes.

    Raises:
        OSError: It came, and this process had no number left for it.
    """
    if not ancillary:
        raise OSError(errno.EMFILE, "the arguments came as a file, and there are too many open files already")
    return array("i", ancillary[0][2])[0]

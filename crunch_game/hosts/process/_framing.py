"""Frames between the runner and a model's process: length-prefixed msgpack, each with the call that it belongs to."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from crunch_game.encoding import ENCODING_ERRORS, Unsendable, encoder, unsendable

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes of one frame, in either direction."""

# To the model. The body of a SHARED call is in a file, whose descriptor is sent with the frame. Of TELL, which is many
# calls, there is one answer: how far the model has got.
SETUP, CALL, SHARED, CALLS, TELL = 1, 2, 8, 9, 11
# From the model. It gives back what is left of CALLS when one of them has taken longer than its budget.
READY, VALUE, FAULT, UNSUPPORTED, UNSENDABLE, GIVEN_BACK = 3, 4, 5, 6, 7, 10

LENGTH: Final = struct.Struct("<I")
"""The length that precedes every frame."""


class ProtocolError(ValueError):
    """The other side broke the protocol."""


class Frame(msgspec.Struct, array_like=True, gc=False):
    """One message.

    Attributes:
        kind: One of the numbers above.
        call: The id of the call that it belongs to. A late answer is told from the next call's by it.
        body: What is said to every model alike, so that it is encoded once for a round.
        extra: Further keyword arguments, for this model only.
    """

    kind: int
    call: int
    body: msgspec.Raw
    extra: msgspec.Raw = msgspec.Raw(b"\xc0")


_frames = msgspec.msgpack.Decoder(Frame)


def frame(kind: int, call: int, body: bytes, extra: bytes = b"\xc0") -> bytes:
    """Build a frame, its length first, from a body that is encoded already.

    Raises:
        Unsendable: The frame is longer than MAX_FRAME.
    """
    head = b"\x94" + encoder.encode(kind) + encoder.encode(call)
    length = len(head) + len(body) + len(extra)
    check_length(length)
    return b"".join((LENGTH.pack(length), head, body, extra))


def frame_into(buffer: bytearray, kind: int, call: int, value: Any, most: int | None = None) -> None:
    """Overwrite the buffer with a frame, its length first, whose body is the value.

    A model answers with this: its buffer is used again for every answer, so that nothing is allocated or copied.

    Raises:
        Unsendable: The value cannot be encoded, or the frame is longer than `most` bytes, or MAX_FRAME.
    """
    try:
        encoder.encode_into((kind, call, value), buffer, LENGTH.size)
    except ENCODING_ERRORS as error:
        raise unsendable(error) from None
    length = len(buffer) - LENGTH.size
    check_length(length, most)
    LENGTH.pack_into(buffer, 0, length)


def check_length(length: int, most: int | None = None) -> None:
    """Raise Unsendable if a frame of this length is longer than `most` bytes, or MAX_FRAME."""
    limit = MAX_FRAME if most is None else most
    if length > limit:
        raise Unsendable(f"it takes {_mebibytes(length)} MiB; at most {_mebibytes(limit)} MiB can be sent")


def _mebibytes(length: int) -> str:
    size = length / 2**20
    return f"{size:.0f}" if size >= 10 else f"{size:.3g}"


class FrameReader:
    """Cuts what a socket delivers into frames of at most `most` bytes, or MAX_FRAME."""

    def __init__(self, most: int | None = None) -> None:
        self._buffer = bytearray()
        self._most = MAX_FRAME if most is None else most

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Return the frames that this data completes.

        Raises:
            ProtocolError: A frame is too long, or cannot be read.
        """
        if not self._buffer and len(data) >= LENGTH.size and LENGTH.size + LENGTH.unpack_from(data)[0] == len(data):
            # Nearly always it is one whole frame, which need not be copied.
            return (_decoded(memoryview(data)[LENGTH.size :]),)
        return self._cut(data)

    def _cut(self, data: bytes) -> Iterator[Frame]:
        self._buffer += data
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > self._most:
                raise ProtocolError(f"a frame of {_mebibytes(length)} MiB was announced")
            end = LENGTH.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[LENGTH.size : end])
            del self._buffer[:end]
            yield _decoded(payload)


def _decoded(payload: bytes | memoryview) -> Frame:
    try:
        return _frames.decode(payload)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"a frame could not be read: {error}") from None

"""Values and frames between the runner and a model's process: length-prefixed msgpack, nothing pickled.

Both sides import this; numpy, pandas and pyarrow are touched only when a value needs them.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from operator import mul
from typing import Any, Final

import msgspec

from crunch_game.hosts import tables

__all__ = [
    "ANSWER_FAILURES",
    "CALL",
    "FAULT",
    "LENGTH",
    "MAX_FRAME",
    "READY",
    "SETUP",
    "SHARED",
    "UNSENDABLE",
    "UNSUPPORTED",
    "VALUE",
    "Frame",
    "FrameReader",
    "ProtocolError",
    "Undecodable",
    "Unsendable",
    "check_length",
    "decode",
    "encode",
    "frame",
    "frame_into",
    "reader",
    "to_wire",
]

MAX_FRAME: Final = 64 * 1024 * 1024
"""Bytes that one frame may have, either way."""

# To the model. SHARED is a CALL whose body lies in a file that comes along as a descriptor.
SETUP, CALL, SHARED = 1, 2, 8
# From the model.
READY, VALUE, FAULT, UNSUPPORTED, UNSENDABLE = 3, 4, 5, 6, 7
ANSWER_FAILURES: Final = frozenset({FAULT, UNSUPPORTED, UNSENDABLE})

_ARRAY, _TABLE = 1, 2
_DTYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|[SU]\d{1,6}|[mM]8(?:\[\d{0,4}[a-zA-Z]{1,2}\])?)")
_BUILTINS: tuple[type[Any], ...] = (int, float, str, bytes, list, tuple, dict, set, frozenset)
LENGTH: Final = struct.Struct("<I")
"""What stands in front of every frame."""


class Unsendable(ValueError):
    """A value has no form on the wire; the message says what to use instead."""


class Undecodable(ValueError):
    """Bytes that claim to be a value are none."""


class ProtocolError(ValueError):
    """The other side does not speak the protocol."""


class Frame(msgspec.Struct, array_like=True, gc=False):
    """One message: what kind it is, which call it belongs to, what it says, and what it adds for one model."""

    kind: int
    call: int
    body: msgspec.Raw
    extra: msgspec.Raw = msgspec.Raw(b"\xc0")


_frames = msgspec.msgpack.Decoder(Frame)


def encode(value: Any) -> bytes:
    """A value as msgpack: plain values, arrays and tables.

    Raises:
        Unsendable: It is, or holds, something else.
    """
    try:
        return _encoder.encode(value)
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise _unsendable(error) from None


def frame_into(buffer: bytearray, kind: int, call: int, value: Any, most: int | None = None) -> None:
    """Make the buffer a frame with its length in front, whose body is the value.

    Raises:
        Unsendable: The value has no form on the wire, or is longer than `most` bytes, or MAX_FRAME.
    """
    try:
        _encoder.encode_into((kind, call, value), buffer, LENGTH.size)
    except (OverflowError, RecursionError, TypeError, ValueError) as error:
        raise _unsendable(error) from None
    length = len(buffer) - LENGTH.size
    check_length(length, most)
    LENGTH.pack_into(buffer, 0, length)


def _unsendable(error: Exception) -> Unsendable:
    if isinstance(error, Unsendable):
        return error
    if isinstance(error, OverflowError):
        return Unsendable("it holds an integer of more than 64 bits; use a float or a str instead")
    if isinstance(error, RecursionError):
        return Unsendable("it is nested too deeply; use a flatter list or dict instead")
    return Unsendable(f"{error}; use numbers, str, list or dict instead")


def check_length(length: int, most: int | None = None) -> None:
    """Refuse what is longer than `most` bytes, or MAX_FRAME.

    Raises:
        Unsendable: It is.
    """
    limit = MAX_FRAME if most is None else most
    if length > limit:
        raise Unsendable(f"it takes {_mebibytes(length)} MiB; at most {_mebibytes(limit)} MiB can be sent")


def _mebibytes(length: int) -> str:
    size = length / 2**20
    return f"{size:.0f}" if size >= 10 else f"{size:.3g}"


def reader(kind: Any) -> Callable[[bytes | memoryview], Any]:
    """A function that reads msgpack as this type, with arrays and tables in it."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_from_wire).decode


def decode(data: bytes | msgspec.Raw) -> Any:
    """The value that msgpack bytes stand for.

    Raises:
        Undecodable: They are broken, or hold an extension that is not on the list.
    """
    try:
        return _decoder.decode(data)
    except Exception as error:  # noqa: BLE001 - a forged one can make numpy raise anything, and it may not be installed
        raise Undecodable(str(error) or type(error).__name__) from None


def frame(kind: int, call: int, body: bytes, extra: bytes = b"\xc0") -> bytes:
    """A frame with its length in front, ready to be written.

    Raises:
        Unsendable: It is longer than MAX_FRAME.
    """
    head = b"\x94" + _encoder.encode(kind) + _encoder.encode(call)
    length = len(head) + len(body) + len(extra)
    check_length(length)
    return b"".join((LENGTH.pack(length), head, body, extra))


class FrameReader:
    """Cuts what a socket delivers into frames of at most so many bytes, or MAX_FRAME."""

    def __init__(self, most: int | None = None) -> None:
        self._buffer = bytearray()
        self._most = MAX_FRAME if most is None else most

    def feed(self, data: bytes) -> Iterable[Frame]:
        """The frames that are complete with this data.

        Raises:
            ProtocolError: A frame is too long, or is none.
        """
        if not self._buffer and len(data) >= LENGTH.size and LENGTH.size + LENGTH.unpack_from(data)[0] == len(data):
            return (_decoded(memoryview(data)[LENGTH.size :]),)  # as nearly always: one, whole, nothing to copy
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


def to_wire(value: Any) -> Any:
    """What msgspec has no form for, as something that it has one for."""
    if isinstance(value, _BUILTINS):
        return _as_builtin(value)
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None:
        if isinstance(value, numpy.generic):
            return _scalar(value)
        if isinstance(value, numpy.ndarray):
            return _array(value)
    if pandas is not None:
        if isinstance(value, pandas.DataFrame):
            return msgspec.msgpack.Ext(_TABLE, _table(value))
        if isinstance(value, pandas.Series | pandas.Index):
            return _array(value.to_numpy())
    model_dump = getattr(type(value), "model_dump", None)
    if callable(model_dump):
        return model_dump(value)
    raise Unsendable(f"a {type(value).__name__} cannot be sent; use numbers, str, list or dict instead")


def _as_builtin(value: Any) -> Any:
    return next(kind(value) for kind in _BUILTINS if isinstance(value, kind))


def _scalar(value: Any) -> Any:
    plain = value.item()
    if isinstance(plain, complex):
        raise Unsendable("a complex number cannot be sent; use its real and imaginary parts instead")
    if value.dtype.kind in "mM" and isinstance(plain, int):
        raise Unsendable(f"a numpy {value.dtype} cannot be sent; use seconds or a str instead")
    if type(plain) is type(value):
        raise Unsendable(f"a numpy {value.dtype} cannot be sent; use a float instead")
    return plain


def _array(value: Any) -> Any:
    if hasattr(value, "mask"):
        raise Unsendable("a masked array cannot be sent; use its filled() instead")
    if not _DTYPE.fullmatch(value.dtype.str):
        if value.dtype.kind == "O":
            return value.tolist()
        raise Unsendable(f"an array of {value.dtype} cannot be sent; use one of numbers or str instead")
    if _is_hollow(value.shape, value.nbytes):
        raise Unsendable(f"an array of shape {value.shape} cannot be sent: it is {_HOLLOW}; use fewer sides")
    return msgspec.msgpack.Ext(_ARRAY, encode((value.dtype.str, value.shape, value.tobytes())))


def _is_hollow(shape: tuple[int, ...], size: int) -> bool:
    """Whether an array that is written out has far more lists than its bytes tell."""
    if size and len(shape) < _FEW_SIDES:
        return False
    lists: int = sum(accumulate(shape[:-1], mul))
    return lists > max(8 * size, _FREE_CELLS)


def _table(value: Any) -> bytes:
    try:
        import pyarrow
    except ImportError:
        raise Unsendable("a DataFrame needs pyarrow: pip install 'crunch-game[tables]'") from None
    sink = pyarrow.BufferOutputStream()
    try:
        table = pyarrow.Table.from_pandas(value)
    except pyarrow.ArrowException as error:
        raise Unsendable(f"the DataFrame cannot be sent: {'; '.join(map(str, error.args))}") from None
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _from_wire(code: int, data: memoryview) -> Any:
    if code == _ARRAY:
        return _read_array(data)
    if code == _TABLE:
        return _read_table(data)
    raise Undecodable(f"an extension of type {code} is not known")


def _read_array(data: memoryview) -> Any:
    import numpy

    dtype, shape, raw = _array_parts.decode(data)
    if not _DTYPE.fullmatch(dtype):
        raise Undecodable(f"an array of {dtype[:40]!r} is not known")
    if len(shape) > _MOST_SIDES:
        raise Undecodable(f"an array of {len(shape)} sides is not known")
    if any(side < 0 for side in shape) or math.prod(shape) * numpy.dtype(dtype).itemsize != len(raw):
        raise Undecodable(f"an array of shape {shape} has {len(raw)} bytes")
    if _is_hollow(shape, len(raw)):
        raise Undecodable(f"an array of shape {shape} is {_HOLLOW}")
    return numpy.frombuffer(raw, dtype).reshape(shape).copy()


def _read_table(data: memoryview) -> Any:
    import pyarrow

    try:
        # The table may refer to the bytes that it was read from, and these are used again for the next message.
        buffer = pyarrow.py_buffer(bytes(data))
        tables.refuse_packed(buffer)
        with pyarrow.ipc.open_stream(buffer) as stream:
            table = stream.read_all()
        tables.check(table, max(8 * len(data), _FREE_CELLS))
        return table.to_pandas()
    except Exception as error:  # noqa: BLE001 - a forged table can make Arrow and pandas raise anything
        raise Undecodable(f"a table could not be read: {error}") from None


# A cell takes at least a bit, but for empty columns and lists, which take nothing however many they are.
_FREE_CELLS: Final = 1 << 20
_MOST_SIDES: Final = 64
"""What numpy has at most: to multiply many more takes seconds."""
_FEW_SIDES: Final = 8
"""Of an array with so few, no byte is in more lists than is granted."""
_HOLLOW: Final = "mostly empty lists, or lists of one"


_encoder = msgspec.msgpack.Encoder(enc_hook=to_wire)
_decoder = msgspec.msgpack.Decoder(ext_hook=_from_wire)
_array_parts = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], bytes])

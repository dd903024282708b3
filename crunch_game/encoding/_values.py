"""Values on the wire as msgpack: plain values, numpy arrays and tables. Nothing is pickled.

The runner and the models import this, so numpy, pandas and pyarrow are imported only for a value that needs them.
"""

from __future__ import annotations

import math
import re
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from operator import mul
from typing import Any, Final

import msgspec

from crunch_game.errors import ContractError, how_to_install

NO_TABLE: Final = (
    "a table is read only where the contract promises one (-> pandas.DataFrame), and not inside of other values; "
    "return numbers, str, list or dict instead"
)
"""Why a table is refused that nobody asked for."""
_ARRAY, _TABLE = 1, 2
_MAX_DIMENSIONS: Final = 64
"""The most that numpy allows. Multiplying a shape of many more takes seconds."""
_SAFE_DIMENSIONS: Final = 8
"""With fewer dimensions, and at least one byte of data, an array has at most as many lists as 8 for each byte."""
# A cell takes at least a bit, so bytes limit cells; but empty columns and lists take none, and some must be allowed.
_CELLS_ALWAYS_ALLOWED: Final = 1 << 20
_MOSTLY_EMPTY: Final = "mostly empty lists, or lists of one"
_DTYPE: Final = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|[SU]\d{1,6}|[mM]8(?:\[\d{0,4}[a-zA-Z]{1,2}\])?)")
# A subclass of one of these, such as an enum or a defaultdict, is sent as the builtin.
_BUILTINS: tuple[type[Any], ...] = (int, float, str, bytes, list, tuple, dict, set, frozenset)
ENCODING_ERRORS: Final = (OverflowError, RecursionError, TypeError, ValueError)
"""What `encoder` raises for a value that cannot be sent; `unsendable` explains it."""


class Unsendable(ValueError):
    """The value cannot be sent; the message says what to use instead."""


class Undecodable(ValueError):
    """The bytes are not a value that this module has encoded."""


class SentTable(msgspec.Struct, array_like=True, frozen=True):
    """A table as a model sent it, which nobody has read yet: an Arrow stream, or a Parquet file."""

    data: bytes
    is_parquet: bool = False


def encode(value: Any) -> bytes:
    """Write a value as msgpack.

    Raises:
        Unsendable: It is, or contains, something other than plain values, arrays and tables.
    """
    try:
        return encoder.encode(value)
    except ENCODING_ERRORS as error:
        raise unsendable(error) from None


@contextmanager
def sendable(what: str) -> Iterator[None]:
    """Make an Unsendable a ContractError, whose sentence `what` begins: what the author sends is the author's fault."""
    try:
        yield
    except Unsendable as error:
        raise ContractError(f"{what} cannot be sent: {error}") from None


def check_plain(value: Any, what: str) -> None:
    """Check that a value which no annotation describes arrives as what it is; a tuple may arrive as a list.

    Raises:
        ContractError: Part of it cannot be sent, or arrives as another type. Its sentence begins with `what`.
    """
    with sendable(what):
        for part in _leaves(value):
            arrived = decode(encode(part))
            is_scalar = hasattr(part, "dtype") and isinstance(arrived, int | float)  # of numpy
            if not (is_scalar or isinstance(part, type(arrived))):
                raise ContractError(
                    f"{what} hold a {type(part).__name__}, which models would get as a {type(arrived).__name__}; give "
                    "plain values, arrays or DataFrames, and have the model make of them what it needs"
                )


def _leaves(value: Any) -> Iterator[Any]:
    """The parts of a value that are neither list, tuple nor dict, and the keys of dicts."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part
            waiting += part.values()
        elif isinstance(part, list) or (isinstance(part, tuple) and not hasattr(part, "_fields")):
            waiting += part
        else:
            yield part


def unsendable(error: Exception) -> Unsendable:
    """Explain one of the ENCODING_ERRORS to the participant."""
    if isinstance(error, Unsendable):
        return error
    if isinstance(error, OverflowError):
        return Unsendable("it holds an integer of more than 64 bits; use a float or a str instead")
    if isinstance(error, RecursionError):
        return Unsendable("it is nested too deeply; use a flatter list or dict instead")
    return Unsendable(f"{error}; use numbers, str, list or dict instead")


def reader(kind: Any) -> Callable[[bytes | memoryview], Any]:
    """Return a function that reads msgpack as this type; arrays and tables may be anywhere in it."""
    return msgspec.msgpack.Decoder(kind, ext_hook=_from_wire).decode


def decode(data: bytes | msgspec.Raw) -> Any:
    """Read the value that `encode` wrote, tables too: for what the author sends.

    Raises:
        Undecodable: The bytes are damaged, or contain an unknown extension.
    """
    return _decoded_by(_decoder, data)


def decode_answer(data: bytes | msgspec.Raw) -> Any:
    """The same from a model, whose tables are not read here.

    Raises:
        Undecodable: As `decode`, or they hold a table.
    """
    return _decoded_by(_answer_decoder, data)


def sent_table(data: bytes | msgspec.Raw) -> SentTable | None:
    """The table that an answer is; None if it is something else, be it with a table in it, or no value at all."""
    try:
        value = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    is_table = isinstance(value, msgspec.msgpack.Ext) and value.code == _TABLE
    return SentTable(bytes(value.data)) if is_table else None


def _decoded_by(decoder: msgspec.msgpack.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(data)
    except Exception as error:  # noqa: BLE001 - forged bytes can make numpy raise anything, and numpy may not be installed
        raise Undecodable(str(error) or type(error).__name__) from None


def to_wire(value: Any) -> Any:
    """Convert a value that msgspec cannot encode into one that it can.

    Raises:
        Unsendable: There is no such value.
    """
    if isinstance(value, _BUILTINS):
        return next(kind(value) for kind in _BUILTINS if isinstance(value, kind))
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
    dropped(value)
    raise Unsendable(f"a {type(value).__name__} cannot be sent; use numbers, str, list or dict instead")


def dropped(value: Any) -> Any:
    """Return what is left of an answer that nobody wants: None. But some say that the method has not run.

    A decorator may have hidden that from the loader.

    Raises:
        Unsendable: It is a coroutine, or a generator of either kind.
    """
    if isinstance(value, types.CoroutineType):
        value.close()  # else Python warns, later and elsewhere, that it was never awaited
        raise Unsendable("a coroutine cannot be sent, for nothing of it has run; write def instead of async def")
    if isinstance(value, types.GeneratorType | types.AsyncGeneratorType):
        raise Unsendable("a generator cannot be sent, for nothing of it has run; return a list instead")
    return None


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
    # The bytes of a masked array contain the values that are masked.
    if hasattr(value, "mask"):
        raise Unsendable("a masked array cannot be sent; use its filled() instead")
    if not _DTYPE.fullmatch(value.dtype.str):
        if value.dtype.kind == "O":
            return value.tolist()
        raise Unsendable(f"an array of {value.dtype} cannot be sent; use one of numbers or str instead")
    if _is_mostly_empty(value.shape, value.nbytes):
        raise Unsendable(f"an array of shape {value.shape} cannot be sent: it is {_MOSTLY_EMPTY}; use fewer sides")
    return msgspec.msgpack.Ext(_ARRAY, encode((value.dtype.str, value.shape, value.tobytes())))


def _is_mostly_empty(shape: tuple[int, ...], size: int) -> bool:
    """Whether `tolist()` would make far more lists than the array has bytes.

    Seventeen bytes can declare a shape of (1_000_000_000, 0), which is a billion empty lists.
    """
    if size and len(shape) < _SAFE_DIMENSIONS:
        return False
    lists: int = sum(accumulate(shape[:-1], mul))
    return lists > max(8 * size, _CELLS_ALWAYS_ALLOWED)


def _table(value: Any) -> bytes:
    try:
        import pyarrow
    except ImportError:
        raise Unsendable(f"a DataFrame needs pyarrow; {how_to_install('tables')}") from None
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
    if len(shape) > _MAX_DIMENSIONS:
        raise Undecodable(f"an array of {len(shape)} sides is not known")
    if any(side < 0 for side in shape) or math.prod(shape) * numpy.dtype(dtype).itemsize != len(raw):
        raise Undecodable(f"an array of shape {shape} has {len(raw)} bytes")
    if _is_mostly_empty(shape, len(raw)):
        raise Undecodable(f"an array of shape {shape} is {_MOSTLY_EMPTY}")
    return numpy.frombuffer(raw, dtype).reshape(shape).copy()


def _read_table(data: memoryview) -> Any:
    import pyarrow

    try:
        # A table refers to the bytes that it was read from, but this buffer is overwritten by the next message.
        with pyarrow.ipc.open_stream(bytes(data)) as stream:
            table = stream.read_all()
        table.validate(full=True)
        return table.to_pandas()
    except Exception as error:  # noqa: BLE001 - a damaged one can make Arrow and pandas raise anything
        raise Undecodable(f"a table could not be read: {error}") from None


def _from_answer(code: int, data: memoryview) -> Any:
    if code == _TABLE:
        raise Undecodable(NO_TABLE)
    return _from_wire(code, data)


encoder: Final = msgspec.msgpack.Encoder(enc_hook=to_wire)
"""For whoever encodes into a buffer of its own; catch ENCODING_ERRORS."""
_decoder = msgspec.msgpack.Decoder(ext_hook=_from_wire)
_answer_decoder = msgspec.msgpack.Decoder(ext_hook=_from_answer)
_array_parts = msgspec.msgpack.Decoder(tuple[str, tuple[int, ...], bytes])

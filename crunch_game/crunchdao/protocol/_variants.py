"""Values as Variants and back: what a model node and a coordinator can tell each other."""

from __future__ import annotations

import io
import json
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crunch_game.crunchdao.protocol._messages import Argument, KwArgument, Variant, VariantType
from crunch_game.encoding import NO_TABLE, SentTable, Undecodable, Unsendable, to_wire
from crunch_game.errors import how_to_install

_DOUBLE = struct.Struct("<d")
_INT = struct.Struct("<q")


def encode(value: Any) -> Any:
    """A value as a Variant.

    None is the JSON `null`, because a node of the peers cannot read a NONE; arrays and tuples become lists, and keys
    strings.

    Raises:
        Unsendable: It has no form as a Variant; the message says what to use instead.
    """
    kind = type(value)
    if kind is float:
        return Variant(type=VariantType.DOUBLE, value=_DOUBLE.pack(value))
    if kind is int:
        return Variant(type=VariantType.INT, value=_int(value))
    if kind is str:
        return Variant(type=VariantType.STRING, value=_text(value))
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return Variant(type=VariantType.PARQUET, value=_parquet(value))
    plain = _plain(value)
    if type(plain) in (float, int, str):
        return encode(plain)  # a numpy scalar, an enum, a subclass
    return Variant(type=VariantType.JSON, value=_json(plain))


def decode(variant: Any) -> Any:
    """The value that a Variant stands for, from whoever may send tables: the coordinator.

    Raises:
        Undecodable: Its bytes are not what its type says.
    """
    try:
        kind = VariantType(variant.type)
    except ValueError:
        raise Undecodable(f"a value of type {variant.type} is not known") from None
    data: bytes = variant.value
    try:
        match kind:
            case VariantType.NONE:
                return None
            case VariantType.DOUBLE:
                return _DOUBLE.unpack(data)[0]
            case VariantType.INT:
                return _INT.unpack(data)[0]
            case VariantType.STRING:
                return data.decode()
            case VariantType.JSON:
                return _read_json(data)
            case VariantType.PARQUET:
                return _read_parquet(data)
            case VariantType.ARROW:
                raise Undecodable("ARROW is not known; use PARQUET")
    except (struct.error, ValueError, RecursionError) as error:
        raise Undecodable(f"a value of type {kind.name} could not be read: {error}") from None


def decode_answer(variant: Any, *, table: bool) -> Any:
    """The same from a model: a table is not read here, and is a SentTable where one is promised.

    Args:
        variant: What its node sent.
        table: Whether the contract promises a table.

    Raises:
        Undecodable: As `decode`, or it is a table that nobody promised.
    """
    if variant.type != VariantType.PARQUET:
        return decode(variant)
    if not table:
        raise Undecodable(NO_TABLE)
    return SentTable(variant.value, is_parquet=True)


def arguments(args: Iterable[Any]) -> list[Any]:
    """Positional arguments as Arguments, whose positions begin with 1; raises as `encode`."""
    return [Argument(position=position, data=encode(value)) for position, value in enumerate(args, 1)]


def keywords(kwargs: Mapping[str, Any]) -> list[Any]:
    """Keyword arguments as KwArguments; raises as `encode`."""
    return [KwArgument(keyword=name, data=encode(value)) for name, value in kwargs.items()]


def values(args: Iterable[Any], kwargs: Iterable[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The values of Arguments, in the order of their positions, and of KwArguments; raises as `decode`."""
    ordered = sorted(args, key=lambda argument: argument.position)
    return [decode(argument.data) for argument in ordered], {kwarg.keyword: decode(kwarg.data) for kwarg in kwargs}


def _int(value: int) -> bytes:
    try:
        return _INT.pack(value)
    except struct.error:
        raise Unsendable("it is an integer of more than 64 bits; use a float or a str instead") from None


def _text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Unsendable("it holds lone surrogates, which are no text; use str.encode and decode to mend it") from None


def _plain(value: Any) -> Any:
    """The value as what JSON has: numbers, str, list and dict with str keys."""
    try:
        kept = (bytes, bytearray, memoryview)
        return msgspec.to_builtins(value, builtin_types=kept, str_keys=True, enc_hook=_to_plain)
    except RecursionError:
        raise Unsendable("it is nested too deeply; use a flatter list or dict instead") from None
    except Unsendable:
        raise
    except (TypeError, ValueError) as error:
        raise Unsendable(f"{error}; use numbers, str, list or dict instead") from None


def _to_plain(value: Any) -> Any:
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(value, pandas.DataFrame):
            raise Unsendable("a DataFrame inside of a list or dict cannot be sent; send it alone, or its to_dict()")
        if isinstance(value, pandas.Series | pandas.Index):
            value = value.to_numpy()
    if numpy is not None and isinstance(value, numpy.ndarray):
        if hasattr(value, "mask"):
            raise Unsendable("a masked array cannot be sent; use its filled() instead")
        return value.tolist()
    return to_wire(value)


def _json(plain: Any) -> bytes:
    def refuse(value: Any) -> Any:
        raise Unsendable(f"a {type(value).__name__} cannot be sent; use a str or a list of numbers instead")

    try:
        return _text(json.dumps(plain, separators=(",", ":"), ensure_ascii=False, default=refuse))
    except RecursionError:
        raise Unsendable("it is nested too deeply; use a flatter list or dict instead") from None


def _read_json(data: bytes) -> Any:
    value = json.loads(data.decode())
    if b"\\ud" in data or b"\\uD" in data:
        _text(json.dumps(value, ensure_ascii=False))
    return value


def _parquet(table: Any) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Unsendable(f"a DataFrame needs pyarrow; {how_to_install('tables')}") from None
    sink = io.BytesIO()
    try:
        parquet.write_table(pyarrow.Table.from_pandas(table), sink)
    except (pyarrow.ArrowException, ValueError, TypeError) as error:
        raise Unsendable(f"the DataFrame cannot be sent: {'; '.join(map(str, error.args))}") from None
    return sink.getvalue()


def _read_parquet(data: bytes) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise Undecodable(f"a table needs pyarrow; {how_to_install('tables')}") from None
    try:
        table = parquet.ParquetFile(pyarrow.BufferReader(data)).read()
        table.validate(full=True)
        return table.to_pandas()
    except Exception as error:  # noqa: BLE001 - a damaged table can make Arrow and pandas raise anything
        raise ValueError(str(error)) from None

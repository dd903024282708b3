"""Tables as DataFrames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from crunch_game._quantities import described
from crunch_game.errors import MissingExtra, UsageError
from crunch_game.storage.exporting._columns import Cells, Column, transposed

_PANDAS: Final = {
    "word": "category",
    "text": "string",
    "time": "datetime64[us, UTC]",
    "number": "float64",
    "count": "Int64",
    "flag": "bool",
}


def frame(columns: Sequence[Column], cells: Iterable[Cells], library: str = "pandas") -> Any:
    """Return a DataFrame, whose columns have the same types however many records there are.

    Args:
        columns: Its columns.
        cells: Of each record, in the order of the columns.
        library: "pandas" or "polars".

    Raises:
        UsageError: It is another library.
        MissingExtra: The library is not installed.
    """
    if library not in ("pandas", "polars"):
        raise UsageError(f'library is {described(library)}; it may be "pandas" or "polars"')
    return (_pandas if library == "pandas" else _polars)(columns, cells)


def _pandas(columns: Sequence[Column], cells: Iterable[Cells]) -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("pandas", "tables") from None
    values = transposed(columns, list(cells))
    made = {
        column.name: pd.Series(list(found), dtype=_PANDAS[column.kind])
        for column, found in zip(columns, values, strict=True)
    }
    return pd.DataFrame(made)


def _polars(columns: Sequence[Column], cells: Iterable[Cells]) -> Any:
    try:
        import polars as pl
    except ImportError:
        raise UsageError("polars is not installed; pip install polars") from None
    types: dict[str, Any] = {
        "word": pl.Categorical(),
        "text": pl.String(),
        "time": pl.Datetime("us", "UTC"),
        "number": pl.Float64(),
        "count": pl.Int64(),
        "flag": pl.Boolean(),
    }
    values = transposed(columns, list(cells))
    return pl.DataFrame(
        [pl.Series(column.name, found, types[column.kind]) for column, found in zip(columns, values, strict=True)]
    )

"""Tables as files: Parquet, CSV and JSON lines, a batch at a time."""

from __future__ import annotations

import csv
import io
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from crunch_game._public import public, record
from crunch_game._quantities import described
from crunch_game.errors import MissingExtra, ResourceError, UsageError
from crunch_game.storage.exporting._columns import Cells, Column, cells_of, columns_of, transposed
from crunch_game.storage.exporting._streams import Streams, What

_MOST_RECORDS: Final = 20_000
_MOST_CHARACTERS: Final = 16 << 20
"""Of a batch: what is in memory at once. An answer may have some MiB."""

Told = Callable[[int, datetime | None], object]


@record
class Exported:
    """A file that was written.

    Attributes:
        path: The file.
        what: What is in it.
        records: How many records.
    """

    path: Path
    what: str
    records: int


@public
def export(
    store: Streams,
    out: str | os.PathLike[str],
    what: What = "predictions",
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    format: str | None = None,  # noqa: A002
    model_id: str | None = None,
    key: str | None = None,
    on_progress: Told | None = None,
) -> Exported:
    """Write what is kept to a file, a batch at a time. The file is there when it is whole, and not before.

    Args:
        store: Any store.
        out: The file; or a folder that exists, in which it gets the name of what is in it.
        what: "predictions", each with its score; "scores", "rows", "rounds" or "models".
        since: Only what resolves at or after this; of rows, those whose time is that.
        until: Only what resolves before this.
        format: "parquet", "csv" or "jsonl"; unless given, as the file's name ends.
        model_id: Only what is of this model.
        key: Only what is of this key.
        on_progress: Called after each batch with the number of records so far, and the last one's time.

    Raises:
        UsageError: There is nothing of that name, or no such format, or it is of no model or key and one is asked for.
        MissingExtra: It is to be a Parquet file, and the extra `tables` is not installed.
        ResourceError: The file cannot be written.
    """
    columns = columns_of(what)
    path, chosen = _place(Path(out), what, format)
    cells = cells_of(store.stream, what, since, until, model_id=model_id, key=key)
    time = next((at for at, column in enumerate(columns) if column.name in ("resolves_at", "time")), None)
    written = 0
    with _whole(path) as file, closing(_WRITERS[chosen](file, columns)) as writer:
        for batch in _batches(cells):
            writer.write(batch)
            written += len(batch)
            if on_progress is not None:
                on_progress(written, None if time is None else batch[-1][time])
    return Exported(path, what, written)


def _place(out: Path, what: str, chosen: str | None) -> tuple[Path, str]:
    """Return the file, and its format."""
    if chosen is None and not out.is_dir():
        chosen = out.suffix.removeprefix(".")
        if chosen not in _WRITERS:
            raise UsageError(f"{out} does not say which format it is to have; name it .parquet, .csv or .jsonl")
    if chosen is None or chosen not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise UsageError(f"{'a folder says no format' if chosen is None else described(chosen)}; it may be {known}")
    path = out / f"{what}.{chosen}" if out.is_dir() else out
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no ordinary file, and is not replaced; choose another name")
    return path.resolve(), chosen  # what a link leads to is replaced, not the link


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside the final one, which it replaces if the body ends; else it is removed."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        try:
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise ResourceError(f"{path} cannot be written: {why}; make room, or choose another place") from error


def _batches(cells: Iterator[Cells]) -> Iterator[list[Cells]]:
    batch: list[Cells] = []
    characters = 0
    for each in cells:
        batch.append(each)
        characters += sum(len(cell) for cell in each if isinstance(cell, str))
        if len(batch) >= _MOST_RECORDS or characters >= _MOST_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _Writer(Protocol):
    def write(self, batch: Sequence[Cells]) -> None: ...

    def close(self) -> None: ...


class _Csv:
    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow([column.name for column in columns])

    def write(self, batch: Sequence[Cells]) -> None:
        self._writer.writerows([list(map(_csv_cell, cells)) for cells in batch])

    def close(self) -> None:
        self._text.flush()
        self._text.detach()  # else it would close the file


class _JsonLines:
    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        self._file = file
        self._names = [column.name for column in columns]
        self._encoder = msgspec.json.Encoder()

    def write(self, batch: Sequence[Cells]) -> None:
        for cells in batch:
            plain = [_iso(cell) if isinstance(cell, datetime) else cell for cell in cells]
            self._file.write(self._encoder.encode(dict(zip(self._names, plain, strict=True))) + b"\n")

    def close(self) -> None:
        pass


class _Parquet:
    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        types = {
            "word": pa.string(),
            "text": pa.string(),
            "time": pa.timestamp("us", "UTC"),
            "number": pa.float64(),
            "count": pa.int64(),
            "flag": pa.bool_(),
        }
        said = [pa.field(each.name, types[each.kind], metadata={"description": each.meaning}) for each in columns]
        self._columns = columns
        self._schema = pa.schema(said)
        self._table = pa.table
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, batch: Sequence[Cells]) -> None:
        values = transposed(self._columns, batch)
        named = {column.name: list(found) for column, found in zip(self._columns, values, strict=True)}
        self._writer.write_table(self._table(named, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _parquet(file: IO[bytes], columns: Sequence[Column]) -> _Writer:
    try:
        return _Parquet(file, columns)
    except ImportError:
        raise MissingExtra("pyarrow", "tables") from None


_WRITERS: Mapping[str, Callable[[IO[bytes], Sequence[Column]], _Writer]] = {
    "parquet": _parquet,
    "csv": _Csv,
    "jsonl": _JsonLines,
}
FORMATS: Final = tuple(_WRITERS)


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return _iso(cell)
    return ("true" if cell else "false") if isinstance(cell, bool) else cell


def _iso(time: datetime) -> str:
    """Return a time of UTC, always with microseconds: readers infer the form of a column from its first cell."""
    return time.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

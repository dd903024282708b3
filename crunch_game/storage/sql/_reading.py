"""What a database has of a record becomes the record; one that cannot be read is set aside, and does not end a game."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import inf
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from sqlalchemy import Column, Select, Table, select

from crunch_game.errors import StoreError
from crunch_game.storage import _codec as codec
from crunch_game.storage.base import KeptScore
from crunch_game.storage.corrected import PackedCorrection, PackedFormer, PackedPublished
from crunch_game.storage.logged import PackedDeployment, PackedEvent, PackedFault
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._database import Database

_T = TypeVar("_T")

_UNREADABLE = (StoreError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of a text that is cut, of one where a number should be, and of a number that is no time."""

Shape = tuple[tuple[type, ...], ...]
"""The types that a value of each column may have. SQLite keeps any in any column."""


def _shape(*columns: Any) -> Shape:
    """Return the shape of these annotations."""
    return tuple(
        (*(get_args(each) or (each,)), *((int,) if float in (get_args(each) or (each,)) else ())) for each in columns
    )


def _shape_of(packed: type) -> Shape:
    return _shape(*get_type_hints(packed).values())


SHAPES: Mapping[str, Shape] = {
    "row": _shape_of(codec.PackedRow),
    "prediction": _shape_of(codec.PackedPrediction),
    "score": _shape_of(codec.PackedScore),
    "round": _shape_of(codec.PackedRound),
    "model": _shape_of(codec.PackedModel),
    "session": _shape_of(codec.PackedSession),
    "lease": _shape_of(codec.PackedLease),
    "event": _shape_of(PackedEvent),
    "fault": _shape_of(PackedFault),
    "deployment": _shape_of(PackedDeployment),
    "correction": _shape(int) + _shape_of(PackedCorrection),
    "former score": _shape_of(PackedFormer),
    "published board": _shape_of(PackedPublished),
    "note": _shape(str, str),
    "first round": _shape(str, int),
    "first answer": _shape(str, str, int),
    "last round": _shape(str, int),
}
"""By the names of records; a row of columns may have more at its end."""
EXCUSED = _shape(str, int, str)
_KEPT = _shape(int, str, str, float | None, str | None, str | None)


class Kind(NamedTuple):
    """A kind of record that is read one by one.

    Attributes:
        name: What warnings call one.
        table: Where it is kept.
        columns: What is read of it.
        unpack: Makes a record of these columns.
        identity: How many of the columns, from the first, tell one record from the others.
    """

    name: str
    table: Table
    columns: Sequence[Column[Any]]
    unpack: Callable[[Sequence[Any]], Any]
    identity: int = 3

    def query(
        self,
        database: Database,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_id: str | None = None,
        key: str | None = None,
    ) -> Select[Any]:
        """Return the query for those that resolve at or after `since` and before `until`, oldest first.

        Rows have a time instead, and come as they arrived. They are of no model and no key, and rounds of no model.
        """
        query, by = select(*self.columns), self.table
        if model_id is not None and "model_id" in by.c:
            query, by = database.of_model(self.columns, by, model_id), tables.known_rounds
        # The index on `resolves_at` serves this, whatever the number of predictions.
        when = by.c.time if by is tables.rows else by.c.resolves_at
        if since is not None:
            query = query.where(when >= codec.microseconds(since))
        if until is not None:
            query = query.where(when < codec.microseconds(until))
        if key is not None and "key" in by.c:
            query = query.where(by.c.key == key)
        return query.order_by(by.c.number) if by is tables.rows else tables.oldest_first(query, by)


KINDS = {
    "rows": Kind("row", tables.rows, tables.row_columns, codec.unpack_arrival, 2),
    "predictions": Kind("prediction", tables.predictions, tables.prediction_columns, codec.unpack_prediction),
    "scores": Kind("score", tables.scores, list(tables.scores.c), codec.unpack_score),
    "rounds": Kind("round", tables.rounds, tables.round_columns, codec.unpack_round, 2),
}

logger = logging.getLogger("crunch_game")


class Reader:
    """Makes records of columns. What cannot be read is told once, as a warning.

    Args:
        name: What messages call the database.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: set[tuple[str, Any]] = set()

    def each(
        self,
        what: str,
        unpack: Callable[[Sequence[Any]], _T],
        packed: Iterable[Sequence[Any]],
        identity: int = 3,
        shape: Shape | None = None,
    ) -> Iterator[_T]:
        """Yield the records that can be read.

        Args:
            what: What they are, one of SHAPES.
            unpack: Makes a record of columns.
            packed: The columns.
            identity: How many of the columns, from the first, tell one record from the others.
            shape: What the columns may be, if it is not that of SHAPES.
        """
        types = SHAPES[what] if shape is None else shape
        for columns in packed:
            try:
                if not all(map(isinstance, columns, types)):
                    raise TypeError(_misfit(columns, types))
                record = unpack(columns)
            except _UNREADABLE as error:
                self._tell(what, tuple(columns[:identity]), error)
            else:
                yield record

    def records(self, kind: Kind, packed: Iterable[Sequence[Any]]) -> Iterator[Any]:
        """Yield the records of a kind that can be read."""
        return self.each(kind.name, kind.unpack, packed, kind.identity)

    def kept(self, scored: Sequence[Any], scores: Iterable[tuple[Any, ...]]) -> list[KeptScore]:
        """Return the scores of a round that can be read. There may be millions, and nearly all have no metrics."""
        try:
            if all(
                row[3] is None and row[2] is None and type(row[0]) is str and (row[1] is None or -inf < row[1] < inf)
                for row in scores
            ):
                return scores  # type: ignore[return-value]
        except TypeError:
            pass
        marked = ((*scored[:2], *row) for row in scores)
        return list(self.each("score", lambda columns: codec.unpack_kept(columns[2:]), marked, shape=_KEPT))

    def _tell(self, what: str, identity: tuple[Any, ...], error: Exception) -> None:
        if (what, identity) not in self._told:
            self._told.add((what, identity))
            shown = ", ".join(map(_shown, identity))
            logger.warning("%s: the %s of %s cannot be read, and is set aside: %s", self._name, what, shown, error)


def _misfit(columns: Sequence[Any], types: Shape) -> str:
    """Say which value is not of its column's kind. A text of SQLite that is not UTF-8 comes as bytes."""
    value, wanted = next(each for each in zip(columns, types, strict=False) if not isinstance(*each))
    kind = "text" if str in wanted else "a number"
    given = "a text that is not UTF-8, or none," if isinstance(value, bytes) else f"{value!r:.80}"
    return f"the store holds {given} where {kind} should be"


def _shown(column: Any) -> str:
    """Return a column for people: those of great numbers are times."""
    try:
        return codec.moment(column).isoformat() if isinstance(column, int) and abs(column) > 10**9 else str(column)
    except ArithmeticError:
        return str(column)

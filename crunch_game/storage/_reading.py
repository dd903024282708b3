"""What a database has of a record becomes the record; one that cannot be read is set aside, and does not end a game."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Any, TypeVar

from crunch_game.errors import StoreError
from crunch_game.storage import _codec as codec
from crunch_game.storage.base import KeptScore

_T = TypeVar("_T")

_UNREADABLE = (StoreError, ArithmeticError, LookupError, TypeError, ValueError)
"""What comes of a text that is cut, of one where a number should be, and of a number that is no time."""

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
        self, what: str, unpack: Callable[[Sequence[Any]], _T], packed: Iterable[Sequence[Any]], identity: int = 3
    ) -> Iterator[_T]:
        """Yield the records that can be read.

        Args:
            what: What they are, for the warning.
            unpack: Makes a record of columns.
            packed: The columns.
            identity: How many of the columns, from the first, tell one record from the others.
        """
        for columns in packed:
            try:
                record = unpack(columns)
            except _UNREADABLE as error:
                self._tell(what, tuple(columns[:identity]), error)
            else:
                yield record

    def kept(self, scored: Sequence[Any], scores: Iterable[tuple[Any, ...]]) -> list[KeptScore]:
        """Return the scores of a round that can be read. There may be millions, and nearly all have no metrics."""
        try:
            if all(row[3] is None and (row[1] is None or -inf < row[1] < inf) for row in scores):
                return scores  # type: ignore[return-value]
        except TypeError:
            pass
        marked = ((*scored[:2], *row) for row in scores)
        return list(self.each("score", lambda columns: codec.unpack_kept(columns[2:]), marked))

    def _tell(self, what: str, identity: tuple[Any, ...], error: Exception) -> None:
        if (what, identity) not in self._told:
            self._told.add((what, identity))
            shown = ", ".join(map(_shown, identity))
            logger.warning("%s: the %s of %s cannot be read, and is set aside: %s", self._name, what, shown, error)


def _shown(column: Any) -> str:
    """Return a column for people: those of great numbers are times."""
    try:
        return codec.moment(column).isoformat() if isinstance(column, int) and abs(column) > 10**9 else str(column)
    except ArithmeticError:
        return str(column)

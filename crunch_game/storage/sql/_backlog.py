"""What a score worker reads of a database, in pages: of a backlog of millions, few records are in memory at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select, tuple_

from crunch_game.storage import _codec as codec
from crunch_game.storage.base import Arrival, Prediction, Store
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._reading import Reader

_ROWS = 1_000
_PREDICTIONS = 1_000
"""So many records are read together, each page in a transaction of its own: none is open while they are scored."""

_FIRST = codec.microseconds(datetime.min.replace(tzinfo=UTC))
_LAST = codec.microseconds(datetime.max.replace(tzinfo=UTC))
"""The ends of what can be a time. In SQLite any text is greater."""

_round = attrgetter("resolves_at", "at", "key")


class SQLBacklog(Store):
    """The rows of a SQLStore as they arrived, and its predictions that have no score yet."""

    _reader: Reader

    def _fetch(self, query: Any) -> Sequence[Sequence[Any]]:
        raise NotImplementedError

    def arrivals(self, after: int = 0) -> list[tuple[int, Arrival]]:
        """Return every row, those set aside too, in the order in which they were saved: that of their arrival."""
        return list(self.arriving(after))

    def arriving(self, after: int = 0) -> Iterator[tuple[int, Arrival]]:
        """Yield what `arrivals` returns, page by page."""
        number = tables.rows.c.number
        query = select(*tables.row_columns, number).order_by(number).limit(_ROWS)
        while page := self._fetch(query.where(number > after)):
            yield from self._reader.each("row", lambda row: (row[-1], codec.unpack_arrival(row[:-1])), page, 2)
            after = page[-1][-1]
            if len(page) < _ROWS:
                return

    def pending(self, until: datetime) -> list[Prediction]:
        """Return the predictions with status OK and no score that resolve at or before `until`, oldest first."""
        return list(self._due(None, until))

    def due(self, after: datetime | None, until: datetime) -> Iterator[list[Prediction]]:
        """Yield the pending predictions of one round after the other, page by page."""
        for _, predictions in groupby(self._due(after, until), _round):
            yield list(predictions)

    def _due(self, after: datetime | None, until: datetime) -> Iterator[Prediction]:
        columns = tables.predictions.c
        query = tables.oldest_first(select(*tables.prediction_columns), tables.predictions).where(
            tables.is_pending,
            columns.resolves_at <= codec.microseconds(until),
            ~exists().where(tables.same_prediction),  # a score may be saved before its prediction
        )
        page_of = query if after is None else query.where(columns.resolves_at > codec.microseconds(after))
        place = tuple_(columns.resolves_at, columns.at, columns.key, columns.model_id)
        while page := self._fetch(page_of.limit(_PREDICTIONS)):
            yield from self._reader.each("prediction", codec.unpack_prediction, page)
            if len(page) < _PREDICTIONS:
                return
            last = codec.PackedPrediction(*page[-1])
            # The second says the same once more, for the index.
            page_of = query.where(
                place > (last.resolves_at, last.at, last.key, last.model_id), columns.resolves_at >= last.resolves_at
            )

    def resolving(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[datetime, datetime] | None:
        """Return when the first and the last round resolve that have predictions; None if none has."""
        columns = tables.predictions.c  # whose primary key begins with the slot
        slots: list[ColumnElement[bool]] = [columns.resolves_at.between(_FIRST, _LAST)]
        if since is not None:
            slots.append(columns.at >= codec.microseconds(since))
        if until is not None:
            slots.append(columns.at < codec.microseconds(until))
        ends = (select(end(columns.resolves_at)).where(*slots).scalar_subquery() for end in (func.min, func.max))
        [[first, last]] = self._fetch(select(*ends))
        return None if first is None else (codec.moment(first), codec.moment(last))

    def pending_count(self, until: datetime) -> int:
        """Return how many predictions are marked as pending that resolve at or before `until`."""
        query = select(func.count()).select_from(tables.predictions)
        [[count]] = self._fetch(
            query.where(tables.is_pending, tables.predictions.c.resolves_at <= codec.microseconds(until))
        )
        return int(count)

"""What of the documents of an endpoint, most of which repeats the one before, is new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from crunch_game.feeds.base import FeedGap, Row

AHEAD: Final = timedelta(minutes=1)
"""How far a row's time may be after the clock for later ones to be measured by it."""
_LEAST_REMEMBERED: Final = 10_000
_VERSIONS: Final = 16


class Sieve:
    """Passes new rows and corrected ones, late ones too, in the order of their times within a document.

    Only exact repetitions are left out, and what is not later than `since` when it is first met. A version that was
    passed before stays a repetition, since servers behind one address may take turns with what each of them knows.

    Args:
        since: Aware, or None.
        gap: If rows are further apart than this, it is reported; None never reports.

    Attributes:
        newest: The time of the newest row, or `since`; those from the future, which would hide all others, left out.
    """

    def __init__(self, since: datetime | None, gap: timedelta | None) -> None:
        self._since = since
        self._gap = gap
        self.newest = since
        # The versions of each time, the last met at the end.
        self._met: dict[datetime, list[Mapping[str, Any]]] = {}

    def sift(self, document: Iterable[Row], now: datetime) -> Iterator[Row | FeedGap]:
        """Yield the new rows of one document, and gaps before them. `now` is the wall clock's."""
        rows = sorted(_merged(document), key=lambda row: row.time)  # many endpoints send the newest row first
        for row in rows:
            if not self._is_new(row):
                continue
            if row.time <= now + AHEAD and (self.newest is None or row.time > self.newest):
                if self.newest is not None and self._gap is not None and row.time - self.newest > self._gap:
                    yield FeedGap(self.newest, row.time)
                self.newest = row.time
            yield row
        surplus = len(self._met) - max(_LEAST_REMEMBERED, 2 * len(rows))
        for time in list(islice(self._met, max(0, surplus))):
            del self._met[time]

    def _is_new(self, row: Row) -> bool:
        """Whether this version of a row is to be passed; it will not be again."""
        versions = self._met.pop(row.time, None)
        self._met[row.time] = [] if versions is None else versions
        is_met = versions is not None and row.data in versions
        if not is_met:
            self._met[row.time] = [*(versions or [])[1 - _VERSIONS :], row.data]
        return not is_met and (versions is not None or self._since is None or row.time > self._since)


def _merged(document: Iterable[Row]) -> Iterator[Row]:
    """Join rows of one time that have no name in common: those of an endpoint that gives one for each asset."""
    rows: dict[datetime, list[Row]] = {}
    for row in document:
        versions = rows.setdefault(row.time, [])
        if versions and versions[-1].data.keys().isdisjoint(row.data):
            versions[-1] = Row(row.time, {**versions[-1].data, **row.data}, versions[-1].arrived)
        else:
            versions.append(row)
    for versions in rows.values():
        yield from versions

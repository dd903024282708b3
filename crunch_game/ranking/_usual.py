"""Usual: what is usually lost with one key in one metric, at the time of each round; by the data's time alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TypeAlias

from crunch_game.ranking._exact import mean
from crunch_game.ranking._skill import FULL

Moment: TypeAlias = tuple[datetime, datetime]
"""A round of a key, and its place among these: `(resolves_at, at)`."""

_READ = 30
_FIRST = 10
_KEPT = 64
"""So many rounds are remembered before the oldest that is in force: twice what is read, so that many may be voided."""


class Usual:
    """The usual loss of one key and metric.

    Of the past of a round, which is what had resolved at its slot, the mean entry of the last 30 rounds; of those with
    three answers alone if there are ten of these. With fewer than ten past rounds, the mean entry of the key's first
    ten so far, this round included.
    """

    def __init__(self) -> None:
        self._in_force: list[Moment] = []
        """The rounds whose usual loss may be asked for, by slot: `(at, resolves_at)`."""
        self._moments: dict[datetime, Moment] = {}
        """Those that have an entry, by slot."""
        self._entries: dict[Moment, float] = {}
        self._order: list[Moment] = []
        """The same in their order."""
        self._full: list[Moment] = []
        """Of these, those with three answers or more."""

    def put(self, moment: Moment, entry: float | None, answers: int) -> set[Moment]:
        """Add a round, where its slot has none; the rounds whose usual loss this may change, itself among them."""
        insort(self._in_force, moment[::-1])
        return {moment, *self._remember(moment, entry, full=answers >= FULL)}

    def recall(self, moment: Moment, entry: float | None, answers: int) -> set[Moment]:
        """Add a round that is only read, and is not itself measured; the rounds whose usual loss this may change."""
        return set() if moment[1] in self._moments else self._remember(moment, entry, full=answers >= FULL)

    def drop(self, at: datetime) -> set[Moment]:
        """Take the round of a slot away, if there is one; the rounds whose usual loss this may change."""
        start = bisect_left(self._in_force, at, key=_first)
        if start < len(self._in_force) and self._in_force[start][0] == at:
            del self._in_force[start]
        moment = self._moments.pop(at, None)
        if moment is None:
            return set()
        del self._entries[moment], self._order[bisect_left(self._order, moment)]
        place = bisect_left(self._full, moment)
        full = self._full[place : place + 1] == [moment]
        if full:
            del self._full[place]
        return set(self._readers(moment, full=full))

    def of(self, moment: Moment) -> float | None:
        """The usual loss at a round's time; None if nothing tells it."""
        past = _until(self._order, moment[1])
        if past >= _FIRST:
            full = _until(self._full, moment[1])
            read = (
                self._full[max(0, full - _READ) : full] if full >= _FIRST else self._order[max(0, past - _READ) : past]
            )
        else:
            read = self._order[: min(_FIRST, bisect_right(self._order, moment))]
        return mean([self._entries[each] for each in read]) if read else None

    def forget(self, moments: Collection[Moment], until: datetime) -> None:
        """These rounds, and all that resolve until then, are no longer measured; keep what later ones can read."""
        if moments:
            gone = {moment[::-1] for moment in moments}
            self._in_force = [each for each in self._in_force if each not in gone]
        earliest = min(until, self._in_force[0][0]) if self._in_force else until
        past, full = _until(self._order, earliest), _until(self._full, earliest)
        if past > 2 * _KEPT:
            kept = {*self._order[past - _KEPT : past], *self._full[max(0, full - _KEPT) : full]}
            for each in self._order[:past]:
                if each not in kept:
                    del self._entries[each], self._moments[each[1]]
            self._order = [each for each in self._order if each in self._entries]
            self._full = [each for each in self._full if each in self._entries]

    def _remember(self, moment: Moment, entry: float | None, *, full: bool) -> set[Moment]:
        if entry is None:
            return set()
        self._moments[moment[1]] = moment
        self._entries[moment] = entry
        insort(self._order, moment)
        if full:
            insort(self._full, moment)
        return set(self._readers(moment, full=full))

    def _readers(self, changed: Moment, *, full: bool) -> Iterator[Moment]:
        """The rounds whose usual loss read a round that has just come or gone; a few more, but never fewer.

        Positions are those with or without it, so each bound leaves one round of room.
        """
        place, place_if_full = bisect_left(self._order, changed), bisect_left(self._full, changed)
        if place <= _FIRST:
            # Those before ten rounds were past, which may have been asked long before this one resolved.
            until = (
                self._order[_FIRST][0] if len(self._order) > _FIRST else datetime.max.replace(tzinfo=changed[0].tzinfo)
            )
            for at, resolves_at in self._in_force[: bisect_left(self._in_force, (until, until))]:
                if (resolves_at, at) >= changed:
                    yield (resolves_at, at)
        for at, resolves_at in self._in_force[bisect_left(self._in_force, (changed[0], changed[0])) :]:
            past, past_full = _until(self._order, at), _until(self._full, at)
            if full and past_full > _FIRST:
                if place_if_full < past_full - _READ - 1:
                    return
            elif not full and past_full >= _FIRST:
                return
            elif past_full < _FIRST - 1 and past > _FIRST and place < past - _READ - 1:
                if not full:
                    return
                continue  # too few full ones, before and after; later rounds may have enough
            yield (resolves_at, at)


def _until(order: list[Moment], until: datetime) -> int:
    """How many resolve until then."""
    return bisect_right(order, until, key=_first)


def _first(moment: Moment) -> datetime:
    return moment[0]

"""How a MemoryStore deletes old records."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import Any, ClassVar

from crunch_game.storage import _codec as codec
from crunch_game.storage._pruning import MOST, PruneBounds, Prunes
from crunch_game.storage._timeline import Identity, Timeline
from crunch_game.storage.corrected import MemoryCorrections
from crunch_game.storage.logged import MemoryLog

_FULL = 3
"""Answers of a round that others are rather measured by."""

_PRUNED = (
    "_rows", "_row_times", "_numbers", "_predictions", "_scores", "_scores_of", "_predicted", "_scored", "_pending",
    "_unanswered", "_rounds", "_round_times", "_log", "_corrections",
)  # fmt: skip
"""What records are deleted from."""


class PrunedInMemory(Prunes):
    """The part of a MemoryStore that deletes."""

    prunes: ClassVar[bool] = True
    _rows: dict[int, codec.PackedRow]
    _row_times: list[int]
    _numbers: dict[int, list[int]]
    _predictions: dict[Identity, codec.PackedPrediction]
    _scores: dict[Identity, codec.PackedScore]
    _scores_of: Any
    _predicted: Timeline
    _scored: Timeline
    _pending: Timeline
    _unanswered: Timeline
    _rounds: dict[tuple[int, str], codec.PackedRound]
    _round_times: dict[str, list[tuple[int, int]]]
    _log: MemoryLog
    _corrections: MemoryCorrections

    def _open(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def prune(self, bounds: PruneBounds, *, most: int = MOST) -> Mapping[str, int]:
        """Delete some of what is old, the oldest first, under the lock."""
        with self._open():
            found = self._prune_answers(bounds, most)
            return found or next(({name: count} for name, count in self._prune_others(bounds, most) if count), {})

    def prunable(self, bounds: PruneBounds) -> Mapping[str, int]:
        """Return how many records of each kind `prune` would delete until nothing is left."""
        with self._open():
            tried = copy.copy(self)
            tried.__dict__ |= copy.deepcopy({name: getattr(self, name) for name in _PRUNED})
        everything = len(tried._predictions) + len(tried._scores) + 1
        counts = [*tried._prune_answers(bounds, everything).items(), *tried._prune_others(bounds, None)]
        return {name: count for name, count in counts if count}

    def _prune_answers(self, bounds: PruneBounds, most: int) -> dict[str, int]:
        if bounds.rounds is None:
            return {}
        limit = codec.microseconds(bounds.rounds) - 1
        settled = ((self._predictions[each].resolves_at, each) for each in self._predicted.until(limit))
        answers = [*islice((pair for pair in settled if self._is_settled(pair[1])), most)]
        scores = [*islice(((self._scores[each].resolves_at, each) for each in self._scored.until(limit)), most)]
        ends = [found[-1][0] for found in (answers, scores) if len(found) == most]
        through = min(ends, default=limit)
        gone = [each for each in self._predicted.until(through) if self._is_settled(each)]
        for each in gone:
            when = self._predictions.pop(each).resolves_at
            for timeline in (self._predicted, self._unanswered, self._pending):
                timeline.discard(when, each)
        unscored = [*self._scored.until(through)]
        for each in unscored:
            self._scored.discard(self._scores.pop(each).resolves_at, each)
            self._scores_of[each[:2]].discard(each[2])
            if not self._scores_of[each[:2]]:
                del self._scores_of[each[:2]]
        return {name: len(found) for name, found in (("predictions", gone), ("scores", unscored)) if found}

    def _is_settled(self, identity: Identity) -> bool:
        return not self._predictions[identity].pending or identity in self._scores

    def _prune_others(self, bounds: PruneBounds, most: int | None) -> Any:
        """Yield of each other kind how many were deleted, as they are asked for."""
        if bounds.rounds is not None:
            limit = codec.microseconds(bounds.rounds)
            yield "rounds", self._prune_rounds(limit, bounds.past, most)
            yield "former_scores", self._corrections.forget(limit, most)
            yield "faults", self._log.forget_faults(limit, self._predictions, most)
        if bounds.rows is not None:
            yield "rows", self._prune_rows(codec.microseconds(bounds.rows), most)
        if bounds.log is not None:
            yield "events", self._log.forget_events(codec.microseconds(bounds.log), most)

    def _prune_rounds(self, limit: int, past: int, most: int | None) -> int:
        gone = []
        for key, times in self._round_times.items():
            old = [(when, at) for when, at in times if when < limit]
            horizon = int(self._rounds[old[-1][1], key].horizon * 1_000_000) if old else 0
            old = [(when, at) for when, at in old if when < limit - horizon]
            full = [each for each in old if self._rounds[each[1], key].answers >= _FULL]
            for when, at in old if len(old) >= past else ():
                is_full = self._rounds[at, key].answers >= _FULL
                if when < old[-past][0] and not (is_full and (len(full) < past or when >= full[-past][0])):
                    gone.append((when, at, key))
        gone = sorted(gone)[:most]
        for when, at, key in gone:
            self._round_times[key].remove((when, at))
            del self._rounds[at, key]
        return len(gone)

    def _prune_rows(self, before: int, most: int | None) -> int:
        times = [*self._row_times]
        old = [time for time in times if time < before]
        numbers = [*islice(chain.from_iterable(((time, each) for each in self._numbers[time]) for time in old), most)]
        for time, number in numbers:
            del self._rows[number]
            self._numbers[time].remove(number)
            if not self._numbers[time]:
                del self._numbers[time]
                self._row_times.remove(time)
        return len(numbers)

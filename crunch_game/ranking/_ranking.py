"""Ranking: one board at work. What its rounds count is kept in order, and summed for each of its windows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from crunch_game.ranking._board import Board, Last, Metric
from crunch_game.ranking._kept import KeptRound, ModelNumbers
from crunch_game.ranking._places import placed
from crunch_game.ranking._standing import Standing
from crunch_game.ranking._window import NOWHERE, Counted, Place, Result, Scale, WindowSums, last_place, sums_of, walked

Firsts = Sequence[datetime | None]
"""From when on each model's absences count, by number; None: always."""


_NEVER = datetime.max.replace(tzinfo=UTC)


class Ranking:
    """One board at work.

    Args:
        board: The board.
        name: Its metric's name.
        metric: Its metric.
        models: The models' numbers.
    """

    def __init__(self, board: Board, name: str, metric: Metric, models: ModelNumbers) -> None:
        self.board = board
        self.name = name
        self.metric = metric
        self.low = NOWHERE
        """Rounds up to this place are needed no longer, unless the clock goes back."""
        self._models = models
        self._lengths = board.lengths()
        self._tallies = {window: WindowSums(by_key=window == board.rank_by) for window in self._lengths}
        self._scale = Scale()
        self._counted: dict[Place, Counted] = {}
        self._order: list[Place] = []
        self._keys: dict[str, int] = {}
        """Of how many rounds that are not void the board knows, by key."""
        self._rounds: dict[Place, KeptRound] = {}
        self._first: dict[int, datetime] = {}
        """When each model answered first."""
        self._latest_first = datetime.min.replace(tzinfo=UTC)
        """Nobody's first answer is later."""
        self._lost: set[int] = set()
        """The models whose first answer is no more: it is found anew when it is asked for."""
        self._forgotten_first: dict[int, datetime] = {}
        self._answers: Counter[int] = Counter()
        """How many rounds count with an answer of each model."""

    # Rounds

    def put(self, kept: KeptRound) -> None:
        """Know of a round of the board's, in whose place there is none."""
        self._keys[kept.key] = self._keys.get(kept.key, 0) + 1
        self._rounds[_place(kept)] = kept
        first, at = self._first, kept.at
        if at < self._latest_first:
            first.update((model, at) for model in kept.scores[self.name].answered() if at < first.get(model, _NEVER))
        else:
            new = [model for model in kept.scores[self.name].answered() if model not in first]
            if new:
                first.update(dict.fromkeys(new, at))
                self._latest_first = at

    def drop(self, kept: KeptRound) -> None:
        """Know of a round no longer: it is void, or replaced."""
        self._keys[kept.key] -= 1
        if not self._keys[kept.key]:
            del self._keys[kept.key]
        del self._rounds[_place(kept)]
        self.count(_place(kept), None)
        for model in kept.scores[self.name].answered():
            if self._first.get(model) == kept.at:
                self._lost.add(model)

    def forget(self, kept: KeptRound) -> None:
        """Keep no more of a round than who answered it, if for the first time."""
        for model in kept.scores[self.name].answered():
            self._forgotten_first[model] = min(kept.at, self._forgotten_first.get(model, kept.at))
        del self._rounds[_place(kept)]
        self.count(_place(kept), None)

    def count(self, place: Place, counted: Counted | None) -> None:
        """Count a round, instead of what it counted before, if anything; None: it counts for nobody."""
        before = self._counted.pop(place, None)
        if before is not None:
            del self._order[bisect_left(self._order, place)]
            self._answers.subtract(before.models)
            self._enter(before, [tally for tally in self._tallies.values() if tally.has(place)], enters=False)
        if counted is not None:
            self._counted[place] = counted
            insort(self._order, place)
            self._answers.update(counted.models)
            more = self._scale.grows(counted)
            for tally in self._tallies.values():
                tally.grow(len(self._models.ids), more)
            self._enter(counted, [tally for tally in self._tallies.values() if tally.has(place)], enters=True)

    def _enter(self, counted: Counted, tallies: Collection[WindowSums], *, enters: bool) -> None:
        if tallies:
            sums = sums_of(counted, self._scale, weighted=self.board.weight is not None)
            for tally in tallies:
                (tally.enter if enters else tally.leave)(counted, sums)

    # Standings

    def standings(
        self,
        now: datetime,
        first_answers: Mapping[str, Mapping[str, datetime]],
        benchmarks: Collection[str],
        states: Mapping[str, str],
    ) -> list[Standing]:
        """The standings, by rank, then by id; and `low` is moved."""
        self._move(now)
        firsts = self._firsts(first_answers)
        results, lows, keys, of = {}, [], {}, 0
        for window, tally in self._tallies.items():
            length, bits = self._lengths[window], self._scale.bits
            results[window] = tally.results(firsts, self._scale, by_mean=self.board.by == "mean")
            further: dict[int, dict[str, float]] = {}
            if isinstance(length, Last):
                lows.append(self._further(tally, firsts, length.n, results[window], further))
            else:
                lows.append(tally.low)
            if window == self.board.rank_by:
                of = length.n if isinstance(length, Last) else len(tally)
                means = tally.keys(bits)
                keys = {model: further.get(model) or _of_model(means, model) for model in results[window]}
        self.low = min(lows)
        names = self._models.ids
        high_is_better = self.board.by == "skill" or self.metric.higher_is_better
        return placed(self.board, names, results, keys, of, benchmarks, states, high_is_better=high_is_better)

    def _move(self, now: datetime) -> None:
        high = last_place(now)
        end = bisect_right(self._order, high)
        entering: dict[Place, list[WindowSums]] = {}
        for window, tally in self._tallies.items():
            length = self._lengths[window]
            if isinstance(length, timedelta):
                low = last_place(now - length)
            else:
                low = self._order[end - length.n - 1] if end > length.n else NOWHERE
            for start, until, enters in tally.moves(low, high):
                for place in self._order[bisect_right(self._order, start) : bisect_right(self._order, until)]:
                    if enters:
                        entering.setdefault(place, []).append(tally)
                    else:
                        self._enter(self._counted[place], [tally], enters=False)
        for place, tallies in entering.items():
            self._enter(self._counted[place], tallies, enters=True)

    def _firsts(self, first_answers: Mapping[str, Mapping[str, datetime]]) -> Firsts:
        """From when on each model's absences count."""
        if self.board.newcomers == "absent":
            return [None] * len(self._models.ids)
        if self._lost:
            self._find_lost()
        firsts: list[datetime | None] = [self._first.get(model) for model in range(len(self._models.ids))]
        for model_id, by_key in first_answers.items():
            model = self._models.known(model_id)
            if model is not None:
                moments = [at for key, at in by_key.items() if key in self._keys]
                own = firsts[model]
                firsts[model] = min(moments if own is None else [own, *moments], default=None)
        return firsts

    def _find_lost(self) -> None:
        for model in self._lost:
            self._first.pop(model, None)
            if model in self._forgotten_first:
                self._first[model] = self._forgotten_first[model]
        for kept in self._rounds.values():
            for model in self._lost.intersection(kept.scores[self.name].answered()):
                self._first[model] = min(kept.at, self._first.get(model, kept.at))
        self._latest_first = max(self._first.values(), default=self._latest_first)
        self._lost.clear()

    def _further(
        self,
        tally: WindowSums,
        firsts: Firsts,
        last: int,
        results: dict[int, Result],
        keys: dict[int, dict[str, float]],
    ) -> Place:
        """Mend the results of models whose last rounds are further back: they are new, or were excused.

        Returns:
            The place before which no round is needed: as many more are kept, for the case that rounds become void.
        """
        older, low = self._order[: bisect_right(self._order, tally.low)], tally.low
        latest = max((at for _, at, _ in older), default=None)
        if latest is None:
            return NOWHERE
        for model, answers in self._answers.items():
            first, known = firsts[model], results[model].rounds if model in results else 0
            if answers and known < last and (first is None or first <= latest):
                counted = list(islice(self._counting_for(model, first, tally.high), last))
                result, keys[model] = walked(
                    model, counted, self._scale, weighted=self.board.weight is not None, by_mean=self.board.by == "mean"
                )
                if result is not None:
                    results[model], low = result, min(low, counted[-1].place)
        spare = bisect_left(self._order, low) - last
        return self._order[spare - 1] if spare > 0 else NOWHERE

    def _counting_for(self, model: int, first: datetime | None, high: Place) -> Iterator[Counted]:
        """The rounds that count for a model, from the newest back."""
        for place in reversed(self._order[: bisect_right(self._order, high)]):
            counted = self._counted[place]
            excused = model in counted.given and counted.given[model] is None
            if not excused and (first is None or place[1] >= first):
                yield counted


def _of_model(means: Mapping[str, Sequence[float | None]], model: int) -> dict[str, float]:
    return {key: mean for key, each in means.items() if model < len(each) and (mean := each[model]) is not None}


def _place(kept: KeptRound) -> Place:
    return (kept.resolves_at, kept.at, kept.key)

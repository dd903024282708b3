"""Leaderboard: ranks models by their mean scores over windows of time. Pure: scores and the clock are passed in."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TypeAlias

from crunch_game._public import public
from crunch_game._quantities import Duration, seconds
from crunch_game._status import Status
from crunch_game.errors import GameError
from crunch_game.ranking._board import Missing
from crunch_game.ranking._exact import LOWEST_BIT, exact
from crunch_game.ranking._standing import Standing
from crunch_game.storage.base import Prediction, Score


@public
class Leaderboard:
    """Takes scores in any order, and returns the standings at any moment.

    A round `(key, at)` is in a window if now - window < resolves_at <= now. From the first round that a model was asked
    in, every round with at least one score counts for it, with its own score or with what `missing` gives. A model is
    on the board while it has a score of its own in the window that determines the ranks.

    Coverage is of what the model itself was asked: a round in which nobody has a score counts too, for whom was asked
    and gave no answer (`add_unanswered`). What an outcome shows to be unscorable for everybody, counts for nobody.

    Sums are exact, in integers, and means are rounded once. So they do not depend on the order of scores, and do not
    drift over months.

    Adding a round takes time in its number of scores; standings take time in the number of rounds and models. Rounds
    that have left the longest window are forgotten. `now` may go back, but not beyond these.

    Args:
        windows: Lengths by name: seconds, a timedelta, or text such as "7d".
        rank_by: The name of the window that determines the ranks.
        higher_is_better: The scorer's direction.
        missing: The score of a model in a round without one.

    Raises:
        GameError: `rank_by` is not one of the windows, or a window is no duration.
    """

    def __init__(
        self,
        windows: Mapping[str, Duration],
        rank_by: str,
        *,
        higher_is_better: bool = False,
        missing: Missing = "worst",
    ) -> None:
        if rank_by not in windows:
            raise GameError(f"rank_by {rank_by!r} is not a window; the windows are {', '.join(windows) or 'none'}")
        lengths = {}
        for name, length in windows.items():
            lengths[name] = seconds(length, f"the window {name!r},")
        self._rank_by = rank_by
        self._higher_is_better = higher_is_better
        self._missing = missing
        self._windows = {name: _Window(timedelta(seconds=length)) for name, length in lengths.items()}
        self._longest = timedelta(seconds=max(lengths.values()))
        self._rounds: dict[_Id, _ScoredRound] = {}
        self._order: list[tuple[datetime, _Id]] = []
        self._changed: set[_Id] = set()
        self._first: dict[str, datetime] = {}

    def add(self, scores: Iterable[Score]) -> None:
        """Add scores. Those that are set aside, not finite or added before are ignored."""
        for score in scores:
            if score.value is not None and math.isfinite(score.value):
                self._add(score, float(score.value))

    def add_unanswered(self, predictions: Iterable[Prediction]) -> None:
        """Add predictions that have no answer, for the coverage. Those with one, or added before, are ignored."""
        for each in predictions:
            known = None if each.status is Status.OK else self._open(each)
            if known is not None:
                known.unanswered.add(each.model_id)

    def _add(self, score: Score, value: float) -> None:
        known = self._open(score)
        if known is not None:
            known.scores[score.model_id] = value

    def _open(self, record: Score | Prediction) -> _ScoredRound | None:
        """The round of a record that is to be added to it; None if the round has what it would add."""
        identity, model_id = (record.at, record.key), record.model_id
        known = self._rounds.get(identity)
        if known is None:
            known = self._rounds[identity] = _ScoredRound(record.at, record.resolves_at)
            # Scores come nearly in order, so that insort mostly appends.
            insort(self._order, (record.resolves_at, identity))
            self._changed.add(identity)
        elif model_id in (known.scores if isinstance(record, Score) else known.unanswered):
            return None
        elif identity not in self._changed:
            self._changed.add(identity)
            for window in self._windows.values():
                window.leave(known)
        self._first[model_id] = min(record.at, self._first.get(model_id, record.at))
        return known

    def standings(self, now: datetime, first_rounds: Mapping[str, datetime] | None = None) -> list[Standing]:
        """Return the standings, by rank, then by id.

        Args:
            now: The current time; aware.
            first_rounds: The `at` of the first round that each model was asked in, from `Store.first_rounds`. For
                other models, rounds count from their first score.

        Raises:
            GameError: The rule for missing predictions did not return a finite number.
        """
        self._count_changed()
        for window in self._windows.values():
            window.move(now, self._between)
        self._forget(until=now - self._longest)
        first = dict(self._first)
        for model_id in first.keys() & (first_rounds or {}).keys():
            first[model_id] = min(first[model_id], (first_rounds or {})[model_id])
        results = {name: self._results(window, first) for name, window in self._windows.items()}
        return self._ranked(results)

    def _count_changed(self) -> None:
        """Count rounds that are new, or have new scores, in their windows."""
        for identity in self._changed:
            known = self._rounds[identity]
            if known.scores:
                known.missing = exact(self._missing_value(sorted(known.scores.values())))
            for window in self._windows.values():
                window.enter(known)
        self._changed.clear()

    def _missing_value(self, scores: Sequence[float]) -> float:
        if self._missing == "worst":
            return scores[0] if self._higher_is_better else scores[-1]
        value = self._missing(scores) if callable(self._missing) else self._missing
        # Infinity has no exact sum, and would rank a model last for the whole length of a window.
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise GameError(f"the rule for missing predictions must give a finite number, got {value!r}")
        return float(value)

    def _between(self, after: datetime, until: datetime) -> list[_ScoredRound]:
        """Return the rounds with after < resolves_at <= until."""
        start = bisect_right(self._order, after, key=_resolves_at)
        end = bisect_right(self._order, until, key=_resolves_at)
        return [self._rounds[identity] for _, identity in self._order[start:end]]

    def _forget(self, until: datetime) -> None:
        end = bisect_right(self._order, until, key=_resolves_at)
        for _, identity in self._order[:end]:
            del self._rounds[identity]
        del self._order[:end]

    def _results(self, window: _Window, first: Mapping[str, datetime]) -> dict[str, _WindowScore]:
        """Return the result of every model with a score of its own in the window."""
        inside = self._between(window.after, window.until)
        rounds = sorted((each for each in inside if each.scores), key=lambda each: each.at)
        times = [each.at for each in rounds]
        # Every model has the sum of all rounds' missing scores since its first, plus its gain over these.
        missing = list(accumulate((each.missing for each in rounds), initial=0))
        results = {}
        for model_id, gain in window.gains.items():
            before = bisect_left(times, first[model_id])
            count = len(rounds) - before
            total = missing[-1] - missing[before] + gain
            asked = count + window.only_asked[model_id]
            # Python divides integers exactly, and rounds once.
            results[model_id] = _WindowScore(total / (count << LOWEST_BIT), asked, window.scored[model_id])
        return results

    def _ranked(self, results: Mapping[str, Mapping[str, _WindowScore]]) -> list[Standing]:
        ranking = results[self._rank_by]
        sign = -1 if self._higher_is_better else 1
        places = sorted((sign * result.score, model_id) for model_id, result in ranking.items())
        ranks: dict[float, int] = {}
        standings = []
        for place, (score, model_id) in enumerate(places, start=1):
            own = ranking[model_id]
            scores = {name: each[model_id].score if model_id in each else None for name, each in results.items()}
            rank = ranks.setdefault(score, place)
            standings.append(Standing(rank, model_id, scores, own.scored / own.rounds, own.rounds, own.scored))
        return standings


_Id: TypeAlias = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class _WindowScore:
    """A model's mean score in a window. It was asked in `rounds` rounds, and has a score of its own in `scored`."""

    score: float
    rounds: int
    scored: int


@dataclass(slots=True, eq=False)
class _ScoredRound:
    """One round's scores by model, the score of models without one (exact), and the models that gave no answer."""

    at: datetime
    resolves_at: datetime
    scores: dict[str, float] = field(default_factory=dict)
    missing: int = 0
    unanswered: set[str] = field(default_factory=set)


class _Window:
    """By how much the models' scores exceed the missing score, summed over the rounds in the window.

    With these gains, one sum of missing scores over the rounds serves all models: a model's absence costs nothing.
    Sums are exact, so that a round that has left the window leaves no rounding error.
    """

    def __init__(self, length: timedelta) -> None:
        self._length = length
        self.after = self.until = datetime.min.replace(tzinfo=UTC)
        self.gains: dict[str, int] = {}
        self.scored: dict[str, int] = {}
        self.only_asked: Counter[str] = Counter()
        """How many of the rounds in which nobody has a score a model was asked in."""

    def enter(self, known: _ScoredRound) -> None:
        """Count a round, if it is in the window."""
        if self.after < known.resolves_at <= self.until:
            self._count(known, 1)

    def leave(self, known: _ScoredRound) -> None:
        """Stop counting a round, if it is in the window."""
        if self.after < known.resolves_at <= self.until:
            self._count(known, -1)

    def move(self, now: datetime, between: Callable[[datetime, datetime], list[_ScoredRound]]) -> None:
        """Move the end of the window to `now`, in either direction."""
        after, until = now - self._length, now
        for start, end, sign in (
            (self.after, min(self.until, after), -1),
            (max(self.after, until), self.until, -1),
            (after, min(until, self.after), 1),
            (max(after, self.until), until, 1),
        ):
            if start < end:
                for known in between(start, end):
                    self._count(known, sign)
        self.after, self.until = after, until

    def _count(self, known: _ScoredRound, sign: int) -> None:
        for model_id, score in known.scores.items():
            scored = self.scored.get(model_id, 0) + sign
            if scored:
                self.scored[model_id] = scored
                self.gains[model_id] = self.gains.get(model_id, 0) + sign * (exact(score) - known.missing)
            else:
                del self.scored[model_id], self.gains[model_id]
        for model_id in () if known.scores else known.unanswered:
            self.only_asked[model_id] += sign
            if not self.only_asked[model_id]:
                del self.only_asked[model_id]


def _resolves_at(entry: tuple[datetime, _Id]) -> datetime:
    return entry[0]

"""Ranks models by the mean of their scores over windows of time; pure: it is given the scores and the clock."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Literal, TypeAlias

from crunch_game.errors import GameError
from crunch_game.public import public
from crunch_game.storage.base import Score

__all__ = ["Leaderboard", "Missing", "Standing"]

Missing: TypeAlias = Literal["worst"] | float | Callable[[Sequence[float]], float]
"""What a model gets for a round that it has no score in: the round's worst score, a constant, or a function of
the round's scores in ascending order."""


@public
@dataclass(frozen=True, slots=True)
class Standing:
    """One model's place.

    Attributes:
        rank: From 1; equal scores share a rank, and the next one counts them all (1, 1, 3).
        model_id: The model's id.
        scores: The mean score in each window; None where it has no score of its own.
        coverage: The share of the rounds that count for it in which it has a score of its own, 0 to 1.
        rounds: How many rounds count for it.
        scored: In how many of these it has a score of its own.

    `coverage`, `rounds` and `scored` speak of the window that ranks.
    """

    rank: int
    model_id: str
    scores: Mapping[str, float | None]
    coverage: float
    rounds: int
    scored: int


@public
class Leaderboard:
    """Scores, added as they come, and the standings that they give at any moment.

    A round, `(key, at)`, is in a window when now - window < resolves_at <= now. From the first round that a
    model was asked in, every round with any score counts for it: with its own score, or with what `missing`
    gives. A model is on the board while it has a score of its own in the window that ranks. Means are exact
    (whole numbers are summed) and rounded once: they do not depend on the order of scores, nor drift.

    A new round costs its number of scores; asking costs the rounds in the windows and the number of models.
    What has left the longest window is forgotten; `now` may go back, but not to what is forgotten.

    Args:
        windows: Seconds by name.
        rank_by: The name of the window that ranks.
        higher_is_better: The scorer's direction.
        missing: What a model gets for a round that it has no score in.

    Raises:
        GameError: `rank_by` is none of the windows, or a window is not positive.
    """

    def __init__(
        self,
        windows: Mapping[str, float],
        rank_by: str,
        *,
        higher_is_better: bool = False,
        missing: Missing = "worst",
    ) -> None:
        if rank_by not in windows:
            raise GameError(f"rank_by {rank_by!r} is not a window; the windows are {', '.join(windows) or 'none'}")
        for name, length in windows.items():
            if not length > 0:
                raise GameError(f"the window {name!r} must be longer than 0 s, got {length!r}")
        self._rank_by = rank_by
        self._higher_is_better = higher_is_better
        self._missing = missing
        self._windows = {name: _Window(timedelta(seconds=length)) for name, length in windows.items()}
        self._longest = timedelta(seconds=max(windows.values()))
        self._rounds: dict[_Id, _Round] = {}
        self._order: list[tuple[datetime, _Id]] = []
        self._changed: set[_Id] = set()
        self._first: dict[str, datetime] = {}

    def add(self, scores: Iterable[Score]) -> None:
        """Take in scores; what was set aside, is not finite, or is known already changes nothing."""
        for score in scores:
            if score.value is not None and math.isfinite(score.value):
                self._add(score, float(score.value))

    def _add(self, score: Score, value: float) -> None:
        identity = (score.at, score.key)
        known = self._rounds.get(identity)
        if known is None:
            known = self._rounds[identity] = _Round(score.at, score.resolves_at)
            insort(self._order, (score.resolves_at, identity))
            self._changed.add(identity)
        elif score.model_id in known.scores:
            return
        elif identity not in self._changed:
            self._changed.add(identity)
            for window in self._windows.values():
                window.leave(known)
        known.scores[score.model_id] = value
        self._first[score.model_id] = min(score.at, self._first.get(score.model_id, score.at))

    def standings(self, now: datetime, first_rounds: Mapping[str, datetime] | None = None) -> list[Standing]:
        """The models on the board, by rank, then by id.

        Args:
            now: The moment; aware.
            first_rounds: The `at` of the first round that each model was asked in, as `Store.first_rounds` gives
                it. A model that is not in it counts from its first score.

        Raises:
            GameError: The rule for missing predictions gave no finite number.
        """
        self._settle_changed()
        for window in self._windows.values():
            window.move(now, self._between)
        self._forget(now - self._longest)
        first = dict(self._first)
        for model_id in first.keys() & (first_rounds or {}).keys():
            first[model_id] = min(first[model_id], (first_rounds or {})[model_id])
        results = {name: self._results(window, first) for name, window in self._windows.items()}
        return self._ranked(results)

    def _settle_changed(self) -> None:
        """Bring rounds that are new, or have new scores, into the windows that are over them."""
        for identity in self._changed:
            known = self._rounds[identity]
            known.missing = _exact(self._missing_value(sorted(known.scores.values())))
            for window in self._windows.values():
                window.enter(known)
        self._changed.clear()

    def _missing_value(self, scores: Sequence[float]) -> float:
        if self._missing == "worst":
            return scores[0] if self._higher_is_better else scores[-1]
        value = self._missing(scores) if callable(self._missing) else self._missing
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise GameError(f"the rule for missing predictions must give a finite number, got {value!r}")
        return float(value)

    def _between(self, after: datetime, until: datetime) -> list[_Round]:
        """The rounds with after < resolves_at <= until."""
        start = bisect_right(self._order, after, key=_resolves_at)
        end = bisect_right(self._order, until, key=_resolves_at)
        return [self._rounds[identity] for _, identity in self._order[start:end]]

    def _forget(self, until: datetime) -> None:
        end = bisect_right(self._order, until, key=_resolves_at)
        for _, identity in self._order[:end]:
            del self._rounds[identity]
        del self._order[:end]

    def _results(self, window: _Window, first: Mapping[str, datetime]) -> dict[str, _Result]:
        """What each model with a score of its own in the window has there."""
        rounds = sorted(self._between(window.after, window.until), key=lambda each: each.at)
        times = [each.at for each in rounds]
        missing = list(accumulate((each.missing for each in rounds), initial=0))
        results = {}
        for model_id, gain in window.gains.items():
            before = bisect_left(times, first[model_id])
            count = len(rounds) - before
            results[model_id] = _Result(
                _mean(missing[-1] - missing[before] + gain, count), count, window.scored[model_id]
            )
        return results

    def _ranked(self, results: Mapping[str, Mapping[str, _Result]]) -> list[Standing]:
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
class _Result:
    """A model's mean in a window, over so many rounds, so many of them with a score of its own."""

    score: float
    rounds: int
    scored: int


@dataclass(slots=True, eq=False)
class _Round:
    """One round's scores by model, and what the models without one get (exact)."""

    at: datetime
    resolves_at: datetime
    scores: dict[str, float] = field(default_factory=dict)
    missing: int = 0


class _Window:
    """What the models have gained, in the rounds that are in the window now, over the rule for missing ones.

    With that, one sum over the rounds serves all models. Sums are exact, so that what enters and leaves again
    leaves no trace.
    """

    def __init__(self, length: timedelta) -> None:
        self._length = length
        self.after = self.until = datetime.min.replace(tzinfo=UTC)
        self.gains: dict[str, int] = {}
        self.scored: dict[str, int] = {}

    def enter(self, known: _Round) -> None:
        """Count the round, if it is in the window."""
        if self.after < known.resolves_at <= self.until:
            self._count(known, 1)

    def leave(self, known: _Round) -> None:
        """Count the round no more, if it is in the window."""
        if self.after < known.resolves_at <= self.until:
            self._count(known, -1)

    def move(self, now: datetime, between: Callable[[datetime, datetime], list[_Round]]) -> None:
        """Let the window end now."""
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

    def _count(self, known: _Round, sign: int) -> None:
        for model_id, score in known.scores.items():
            scored = self.scored.get(model_id, 0) + sign
            if scored:
                self.scored[model_id] = scored
                self.gains[model_id] = self.gains.get(model_id, 0) + sign * (_exact(score) - known.missing)
            else:
                del self.scored[model_id], self.gains[model_id]


_LOWEST_BIT = 1074  # every finite float is a whole multiple of 2**-1074


def _exact(value: float) -> int:
    """The value as a multiple of the smallest float."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_LOWEST_BIT + 1 - denominator.bit_length())


def _mean(total: int, count: int) -> float:
    """The exact mean, rounded once."""
    return total / (count << _LOWEST_BIT)


def _resolves_at(entry: tuple[datetime, _Id]) -> datetime:
    return entry[0]

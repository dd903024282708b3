"""WindowSums: the exact sums of one window over the rounds in it, kept as rounds come and go."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, chain, repeat, zip_longest
from math import frexp, ldexp
from typing import TypeAlias

from crunch_game.ranking._exact import LOWEST_BIT, mean

Place: TypeAlias = tuple[datetime, datetime, str]
"""A round's place in the order of a board: `(resolves_at, at, key)`."""

_LATEST = datetime.max.replace(tzinfo=UTC)


def last_place(until: datetime) -> Place:
    """A place after those of all rounds that resolve until then, and before those of later ones."""
    return (until, _LATEST, "")


NOWHERE = last_place(datetime.min.replace(tzinfo=UTC))
"""The place before all rounds."""


@dataclass(slots=True, eq=False)
class Counted:
    """What a round counts on one board.

    Attributes:
        place: Its place in the order of the board.
        weight: Its weight; 1 on a board without weights.
        absence: What an absence counts.
        models: Who answered, by number: in ascending order those with a raw score, then the others.
        values: What each answer counts, in that order.
        raw: The raw scores of the first of these models.
        given: What the absence of these models counts instead; None for those who are excused.
    """

    place: Place
    weight: float
    absence: float
    models: array[int]
    values: array[float]
    raw: array[float]
    given: Mapping[int, float | None]

    def value_of(self, model: int) -> float | None:
        """What a model's own answer counts; None if it has none."""
        scored = len(self.raw)
        for low, high in ((0, scored), (scored, len(self.models))):
            place = bisect_left(self.models, model, low, high)
            if place < high and self.models[place] == model:
                return self.values[place]
        return None

    def raw_of(self, model: int) -> float | None:
        """A model's own raw score; None if it has none."""
        place = bisect_left(self.models, model, 0, len(self.raw))
        return self.raw[place] if place < len(self.raw) and self.models[place] == model else None


class Scale:
    """In which units sums are integers: powers of two that grow with the finest number that was seen.

    2**-1074 would do for every float, and would make each sum ten times longer than scores need.
    """

    def __init__(self) -> None:
        self.bits = 128
        self.weight_bits = 64

    def grows(self, counted: Counted) -> tuple[int, int]:
        """By how many bits the units must shrink for a round, of values and of weights; they are then that small."""
        fine = _fine(chain((counted.absence,), counted.values, counted.raw, counted.given.values()))
        more = max(0, fine - self.bits), max(0, _bits(counted.weight) - self.weight_bits)
        self.bits, self.weight_bits = self.bits + more[0], self.weight_bits + more[1]
        return more

    def values(self, values: Sequence[float]) -> list[int]:
        """Values as integers."""
        try:
            return list(map(int, map(ldexp, values, repeat(self.bits))))  # each step is exact
        except OverflowError:
            bits = self.bits + 1
        return [(ratio := value.as_integer_ratio())[0] << (bits - ratio[1].bit_length()) for value in values]

    def weight(self, weight: float) -> int:
        """A weight as an integer."""
        numerator, denominator = weight.as_integer_ratio()
        return numerator << (self.weight_bits + 1 - denominator.bit_length())


def _fine(values: Iterable[float | None]) -> int:
    """In units of two to the minus how many, at most, these are integers: a float has 53 bits from its highest."""
    least = min(map(abs, filter(None, values)), default=1.0)
    return min(53 - frexp(least)[1], LOWEST_BIT)


def _bits(value: float) -> int:
    return value.as_integer_ratio()[1].bit_length() - 1


@dataclass(slots=True, eq=False)
class Sums:
    """A round's numbers as integers: weight, weighted absence, weighted values, raw scores."""

    weight: int
    absence: int
    values: Sequence[int]
    raw: Sequence[int]


def sums_of(counted: Counted, scale: Scale, *, weighted: bool) -> Sums:
    """A round's numbers in the units of the scale; a weight of 1 on a board without weights is no unit's number."""
    [absence], values = scale.values([counted.absence]), scale.values(counted.values)
    weight = 1
    if weighted:
        weight = scale.weight(counted.weight)
        absence, values = absence * weight, [value * weight for value in values]
    return Sums(weight, absence, values, scale.values(counted.raw))


@dataclass(slots=True, eq=False)
class Rawness:
    """Raw scores of one key, summed by model, and how many there are."""

    totals: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Result:
    """One model's result in one window.

    Attributes:
        score: `total` / `weight`, rounded once.
        total: An exact sum; those of one board are in the same units.
        weight: What it is to be divided by; above zero.
        scored: In how many rounds it has a score of its own.
        rounds: In how many it has one, or was absent.
        raw: The mean of its own raw scores, if it has any.
    """

    score: float
    total: int
    weight: int
    scored: int
    rounds: int
    raw: float | None


class WindowSums:
    """The sums of a window, whose rounds have a place after `low`, up to `high`.

    Of each model the sum of what its own answers count, and of what absences would have counted in these rounds: one
    sum of the absences of all rounds then serves everybody, and to be absent costs nothing.

    Args:
        by_key: Whether raw scores are summed key by key.
    """

    def __init__(self, *, by_key: bool) -> None:
        self._by_key = by_key
        self.low = NOWHERE
        self.high = NOWHERE
        self._slots: list[tuple[datetime, str]] = []
        """Of the rounds, in order: `(at, key)`."""
        self._absences: list[tuple[int, int]] = []
        """Of the rounds, in this order: weight, and weighted absence."""
        self._own: list[int] = []
        self._covered: list[int] = []
        """What absences would have counted in the rounds that each model answered."""
        self._weights: list[int] = []
        self.scored: list[int] = []
        self._raw: dict[str, Rawness] = {}
        self._given: dict[int, dict[Place, Counted]] = {}
        """The rounds in which a model is excused, or given something else than an absence counts."""

    def __len__(self) -> int:
        """How many rounds are in the window."""
        return len(self._slots)

    def has(self, place: Place) -> bool:
        """Whether a round with this place is in the window."""
        return self.low < place <= self.high

    def moves(self, low: Place, high: Place) -> list[tuple[Place, Place, bool]]:
        """Move the window's bounds, in either direction: from where to where rounds enter (True) or leave it."""
        stretches = [
            (self.low, min(self.high, low), False),
            (max(self.low, high), self.high, False),
            (low, min(high, self.low), True),
            (max(low, self.high), high, True),
        ]
        self.low, self.high = low, high
        return [each for each in stretches if each[0] < each[1]]

    def grow(self, models: int, more: tuple[int, int]) -> None:
        """Have room for so many models, and in units that are smaller by so many bits."""
        values, weights = more
        if values or weights:
            both = values + weights
            for sums, by in ((self._own, both), (self._covered, both), (self._weights, weights)):
                sums[:] = [each << by for each in sums]
            for raw in self._raw.values():
                raw.totals[:] = [each << values for each in raw.totals]
            self._absences[:] = [(weight << weights, absence << both) for weight, absence in self._absences]
        for sums in (self._own, self._covered, self._weights, self.scored):
            sums += [0] * (models - len(sums))

    def enter(self, counted: Counted, sums: Sums) -> None:
        """Count a round."""
        _, at, key = counted.place
        index = bisect_left(self._slots, (at, key))
        self._slots.insert(index, (at, key))
        self._absences.insert(index, (sums.weight, sums.absence))
        for model in counted.given:
            self._given.setdefault(model, {})[counted.place] = counted
        self._count(counted, sums.values, sums.raw, sums.absence, sums.weight, 1)

    def leave(self, counted: Counted, sums: Sums) -> None:
        """Count a round no longer."""
        _, at, key = counted.place
        index = bisect_left(self._slots, (at, key))
        del self._slots[index], self._absences[index]
        for model in counted.given:
            del self._given[model][counted.place]
            if not self._given[model]:
                del self._given[model]
        values, raw = [-value for value in sums.values], [-value for value in sums.raw]
        self._count(counted, values, raw, -sums.absence, -sums.weight, -1)

    def _count(
        self, counted: Counted, values: Sequence[int], raw: Sequence[int], absence: int, weight: int, one: int
    ) -> None:
        own, covered, weights, scored = self._own, self._covered, self._weights, self.scored
        for model, value in zip(counted.models, values, strict=True):
            own[model] += value
            covered[model] += absence
            weights[model] += weight
            scored[model] += one
        bucket = self._raw.setdefault(counted.place[2] if self._by_key else "", Rawness())
        bucket.totals += [0] * (len(own) - len(bucket.totals))
        bucket.counts += [0] * (len(own) - len(bucket.counts))
        totals, counts = bucket.totals, bucket.counts
        for model, value in zip(counted.models, raw, strict=False):  # the models with a raw score come first
            totals[model] += value
            counts[model] += one

    def results(self, firsts: Sequence[datetime | None], scale: Scale, *, by_mean: bool) -> dict[int, Result]:
        """The result of every model with a score of its own.

        Args:
            firsts: From when on each model's absences count; None: always.
            scale: The units.
            by_mean: Whether the score is the mean with absences, and not the lower of that and the mean without.
        """
        slots, bits = [at for at, _ in self._slots], scale.bits
        weights = list(accumulate((weight for weight, _ in self._absences), initial=0))
        absences = list(accumulate((absence for _, absence in self._absences), initial=0))
        raws, results = self._raw_means(bits), {}
        sums = zip(self.scored, self._own, self._covered, self._weights, firsts, raws, strict=False)
        for model, (scored, own, covered, own_weight, first, raw) in enumerate(sums):
            if not scored:
                continue
            before = 0 if first is None or first <= slots[0] else bisect_left(slots, first)
            rounds, weight = len(slots) - before, weights[-1] - weights[before]
            total = absences[-1] - absences[before] - covered + own
            if model in self._given:
                rounds, weight, total = self._mend(model, first, scale, (rounds, weight, total))
            if not by_mean and total * own_weight > own * weight:
                total, weight = own, own_weight  # absences never help
            weight <<= bits
            results[model] = Result(total / weight, total, weight, scored, rounds, raw)
        return results

    def keys(self, bits: int) -> dict[str, list[float | None]]:
        """For each key the mean of each model's own raw scores."""
        return {key: _means(raw.totals, raw.counts, bits) for key, raw in self._raw.items()}

    def _raw_means(self, bits: int) -> list[float | None]:
        totals, counts = [0] * len(self.scored), [0] * len(self.scored)
        for raw in self._raw.values():
            totals = [total + more for total, more in zip_longest(totals, raw.totals, fillvalue=0)]
            counts = [count + more for count, more in zip_longest(counts, raw.counts, fillvalue=0)]
        return _means(totals, counts, bits)

    def _mend(
        self, model: int, first: datetime | None, scale: Scale, sums: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        """Rounds, weight and total without those in which a model is excused, and with what it is given in others."""
        rounds, weight, total = sums
        for (_, at, key), counted in self._given[model].items():
            if first is None or at >= first:
                share, absence = self._absences[bisect_left(self._slots, (at, key))]
                value = counted.given[model]
                total -= absence
                if value is None:
                    rounds, weight = rounds - 1, weight - share
                else:
                    total += share * scale.values([value])[0]
        return rounds, weight, total


def _means(totals: Sequence[int], counts: Sequence[int], bits: int) -> list[float | None]:
    return [total / (count << bits) if count else None for total, count in zip(totals, counts, strict=True)]


def walked(
    model: int, rounds: Iterable[Counted], scale: Scale, *, weighted: bool, by_mean: bool
) -> tuple[Result | None, dict[str, float]]:
    """A model's result over rounds that count for it, one by one; and the mean of its own raw scores for each key."""
    own = own_weight = total = weight = scored = asked = 0
    raw: dict[str, list[float]] = {}
    for counted in rounds:
        asked += 1
        value, given = counted.value_of(model), counted.given.get(model)
        share = scale.weight(counted.weight) if weighted else 1
        weight += share
        if value is None:
            total += share * scale.values([counted.absence if given is None else given])[0]
            continue
        exactly = share * scale.values([value])[0]
        total, own, own_weight, scored = total + exactly, own + exactly, own_weight + share, scored + 1
        if (score := counted.raw_of(model)) is not None:
            raw.setdefault(counted.place[2], []).append(score)
    if not scored:
        return None, {}
    if not by_mean and total * own_weight > own * weight:
        total, weight = own, own_weight
    every = [score for scores in raw.values() for score in scores]
    weight <<= scale.bits
    result = Result(total / weight, total, weight, scored, asked, mean(every) if every else None)
    return result, {key: mean(scores) for key, scores in raw.items()}

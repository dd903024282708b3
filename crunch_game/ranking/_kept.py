"""KeptRound: a round's scores as the boards keep them, packed: 12 bytes for each, where two dicts would take 200."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crunch_game.errors import GameError
from crunch_game.ranking._board import Metric
from crunch_game.ranking._rounds import BoardRound, RoundFacts
from crunch_game.ranking._skill import absence, entry_of, padded
from crunch_game.ranking._usual import Moment

NOTHING_YET = RoundFacts(None, 0, None, None, None, None)


class ModelNumbers:
    """The models by number: what packed scores are kept by. A number stays a model's own."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, model_id: str) -> int:
        """The number of a model, new or not."""
        number = self._numbers.get(model_id)
        if number is None:
            number = self._numbers[model_id] = len(self.ids)
            self.ids.append(model_id)
        return number

    def known(self, model_id: str) -> int | None:
        """The number of a model that has one."""
        return self._numbers.get(model_id)

    def numbers(self, model_ids: Collection[str]) -> array[int]:
        """Their numbers, in ascending order."""
        return array("I", sorted(map(self.number, model_ids)))


@dataclass(slots=True, eq=False)
class KeptScores:
    """One metric's scores of a round.

    Attributes:
        models: Whose raw scores these are, by number, in ascending order.
        raw: The scores, in that order.
        unscorable: Who answered what the rule could not score, in ascending order.
        given: What the rule gives those who were absent, by model.
        absent: What it gives one who is not among these.
        aside: Whether the round counts for nobody in this metric.
        facts: What makes the skill of the round; up to date when nothing has changed since.
    """

    models: array[int]
    raw: array[float]
    unscorable: array[int]
    given: Mapping[int, float]
    absent: float | None
    aside: bool
    facts: RoundFacts = NOTHING_YET

    def losses(self, metric: Metric) -> Sequence[float]:
        """The losses of the models that have a score, in their order."""
        return [-score for score in self.raw] if metric.higher_is_better else self.raw

    def ordered(self, losses: Sequence[float]) -> list[float]:
        """The losses of all answers, in ascending order."""
        return [*sorted(losses), *[math.inf] * len(self.unscorable)]

    def answered(self) -> array[int]:
        """Everybody who answered, by number."""
        return self.models + self.unscorable if self.unscorable else self.models

    def loss_of(self, model: int | None, metric: Metric) -> float | None:
        """One model's loss, if it has one."""
        place = len(self.models) if model is None else bisect_left(self.models, model)
        if place == len(self.models) or self.models[place] != model:
            return None
        return -self.raw[place] if metric.higher_is_better else self.raw[place]


@dataclass(slots=True, eq=False)
class KeptRound:
    """A round as the boards keep it.

    Attributes:
        weights: On each board, in their order; None where it does not count.
        excused: By number.
    """

    key: str
    at: datetime
    resolves_at: datetime
    weights: Sequence[float | None]
    scores: Mapping[str, KeptScores]
    excused: Collection[int]

    @property
    def moment(self) -> Moment:
        """Its place among the rounds of its key."""
        return (self.resolves_at, self.at)

    def measured(self, name: str, usual: float | None, metric: Metric) -> RoundFacts:
        """The facts of the round in one metric, given what is usually lost. What was set aside is nobody's past."""
        ordered = self.scores[name].ordered(self.scores[name].losses(metric))
        entry, count = None if self.scores[name].aside else entry_of(ordered), len(ordered)
        if usual is None:
            return RoundFacts(entry, count, None, None, None, None)
        by_usual = not isinstance(metric.unit, int | float)
        reference, unit = padded(ordered, usual), abs(usual) if by_usual else abs(float(metric.unit or 1))
        if not unit:
            return RoundFacts(entry, count, usual, None, reference, None)
        return RoundFacts(entry, count, usual, unit, reference, absence(reference, unit, usual=by_usual))


def kept(
    played: BoardRound, metrics: Collection[str], weights: Sequence[float | None], models: ModelNumbers
) -> KeptRound:
    """Pack a round.

    Raises:
        GameError: A score is not finite, or the round resolves before its slot.
    """
    if played.resolves_at <= played.at:
        raise GameError(f"the round {played.key!r} at {played.at.isoformat()} must resolve after its slot")
    for scores in [*played.scores.values(), *played.absences.values(), played.absent]:
        for model_id, score in _not_finite(scores):
            raise GameError(
                f"the round {played.key!r} at {played.at.isoformat()} has the score {score!r} for {model_id}; "
                "what has no finite score is unscorable"
            )
    packed = {metric: _scores(played, metric, models) for metric in metrics}
    excused = models.numbers(played.excused)
    return KeptRound(played.key, played.at, played.resolves_at, weights, packed, excused)


def _not_finite(scores: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    if not all(map(math.isfinite, scores.values())):
        yield from ((model_id, score) for model_id, score in scores.items() if not math.isfinite(score))


def _scores(played: BoardRound, metric: str, models: ModelNumbers) -> KeptScores:
    scores = played.scores.get(metric, {})
    unscorable = played.unscorable.get(metric, frozenset()) - scores.keys()
    numbers, raw = list(map(models.number, scores)), list(map(float, scores.values()))
    if numbers != sorted(numbers):  # not in the order in which they were first seen
        pairs = sorted(zip(numbers, raw, strict=True))
        numbers, raw = [number for number, _ in pairs], [score for _, score in pairs]
    absent = played.absent.get(metric)
    return KeptScores(
        array("I", numbers),
        array("d", raw),
        models.numbers(unscorable),
        {
            models.number(model_id): float(score)
            for model_id, score in played.absences.get(metric, {}).items()
            if score != absent and model_id not in scores and model_id not in unscorable
        },
        absent,
        played.aside is not None or metric in played.unscored,
    )

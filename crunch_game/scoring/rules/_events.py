"""Brier and RankedProbability: rules for probabilities of events and of categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from reprlib import repr as brief
from typing import Any

from crunch_game._public import public
from crunch_game.scoring.base import Unit
from crunch_game.scoring.rules._base import Found, StepwiseRule, is_number

_TOLERANCE = 1e-6
"""By how much the probabilities of all categories may miss one."""


class _EventRule(StepwiseRule):
    unit: Unit = 0.25

    def _truths(self, outcome: Any) -> Sequence[Any]:
        plain = outcome.tolist() if hasattr(outcome, "tolist") else outcome
        return list(plain) if isinstance(plain, list | tuple) else [plain]

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        return map(_refused_categories, steps)

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        found: Found = []
        for step, outcome, error in zip(steps, outcomes, self._refused(steps), strict=True):
            try:
                found.append(error or self._loss(step, outcome))
            except ValueError as wrong:
                found.append(wrong)
        return found

    def _loss(self, step: Any, outcome: Any) -> float:
        raise NotImplementedError


@public
class Brier(_EventRule):
    """The Brier score: of the probability of an event, or of the probabilities of categories; lower is better.

    An answer is the probability of an event, and the outcome is whether it came true (True, False, 1 or 0): the score
    is (p - outcome)², and "1/2" always has 0.25. Or it is the probabilities of categories, in a dict by name or in a
    list, and the outcome is the one that came true, by its name or its number from 0: the score is half of the sum of
    (p - outcome)² over the categories, so that two categories have the score of the one event; Brier's own is twice
    that. With `steps`, an answer is a list of these, one for each step, with a list of outcomes.
    """

    formula = "(p − y)²; of categories Σ (pₖ − yₖ)² / 2"
    source = "Brier (1950), Monthly Weather Review 78, 1-3"
    takes = frozenset({"probability", "categories"})

    def _split(self, value: Any) -> Sequence[Any]:
        several = isinstance(value, list | tuple) and len(value) > 0
        if several and (self.steps is not None or isinstance(value[0], list | tuple | dict)):
            return value  # type: ignore[no-any-return]
        return [value]

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        return [_refused_probability(step) if _is_event(step) else _refused_categories(step) for step in steps]

    def _loss(self, step: Any, outcome: Any) -> float:
        if _is_event(step):
            return float(step - _truth_of_event(outcome)) ** 2
        probabilities, came = _by_number(step, outcome)
        return math.fsum((p - (place == came)) ** 2 for place, p in enumerate(probabilities)) / 2


@public
class RankedProbability(_EventRule):
    """The ranked probability score of categories that have an order, lower is better.

    An answer is the probabilities of categories, in their order: in a list, or in a dict by name. The outcome is the
    one that came true, by its number from 0 or its name. The score is the mean, over the places between two categories,
    of the squared difference between the probability of all categories before it and whether the outcome is one of
    these: what is near to the truth costs less than what is far from it. It lies between 0 and 1.
    """

    formula = "Σ (Pₖ − Yₖ)² / (K − 1) of cumulated probabilities, k < K"
    source = "Epstein (1969), Journal of Applied Meteorology 8, 985-987"
    takes = frozenset({"categories"})

    def _split(self, value: Any) -> Sequence[Any]:
        if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple | dict):
            return value
        return [value]

    def _loss(self, step: Any, outcome: Any) -> float:
        probabilities, came = _by_number(step, outcome)
        if len(probabilities) < 2:
            raise ValueError("of one category there is nothing to score")
        before = list(accumulate(probabilities))[:-1]
        return math.fsum((p - (came <= place)) ** 2 for place, p in enumerate(before)) / len(before)


def _is_event(step: Any) -> bool:
    return not isinstance(step, list | tuple | dict)


def _refused_probability(value: Any) -> ValueError | None:
    if is_number(value) and 0 <= value <= 1:
        return None
    return ValueError(f"a probability must be a number from 0 to 1, got {brief(value)}")


def _refused_categories(step: Any) -> ValueError | None:
    """Why probabilities of categories cannot be scored, whatever the outcome."""
    if not isinstance(step, list | tuple | dict) or not step:
        return ValueError(f"the answer must be the probabilities of categories, a dict or a list, not {brief(step)}")
    probabilities = list(step.values()) if isinstance(step, dict) else step
    error = next((error for each in probabilities if (error := _refused_probability(each))), None)
    if error is None and abs(math.fsum(probabilities) - 1) > _TOLERANCE:
        error = ValueError(f"the probabilities of all categories must sum to 1, got {math.fsum(probabilities)!r}")
    return error


def _truth_of_event(outcome: Any) -> int:
    if outcome in (0, 1) and isinstance(outcome, bool | int | float):
        return int(outcome)
    raise ValueError(f"the outcome of an event must be True or False, 1 or 0, not {brief(outcome)}")


def _by_number(step: Any, outcome: Any) -> tuple[Sequence[float], int]:
    """The probabilities, and the place among them of the category that came true."""
    if isinstance(step, dict):
        names = list(step)
        if outcome in names:
            return list(step.values()), names.index(outcome)
        raise ValueError(f"the outcome must be one of the categories {brief(names)}, not {brief(outcome)}")
    if isinstance(outcome, int) and not isinstance(outcome, bool) and 0 <= outcome < len(step):
        return step, outcome
    raise ValueError(f"the outcome must be the number of a category, 0 to {len(step) - 1}, not {brief(outcome)}")

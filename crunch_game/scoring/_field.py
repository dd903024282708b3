"""InField: a rule whose scores are normalised within the round, by small steps that each see the whole field."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeGuard

from crunch_game._public import public, record
from crunch_game.errors import GameError
from crunch_game.scoring._lifting import lift, nothing, with_steps
from crunch_game.scoring.base import AnsweredRound, Rule, ScoreFunction, Scorer, Unit

__all__ = ["Absent", "BestOneWorstZero", "Bounded", "Field", "FieldStep", "InField", "MinusBest", "StepFunction"]


@record
class Field:
    """The field of one round, as a step of InField sees it. All its numbers are losses: a gain is negated.

    Attributes:
        raw: As the scorer has them, by model. What it could not score is infinite: the worst.
        scores: As the steps before have made them; of absentees too, once a step has given them one.
        absent: The models that should have answered and did not.
        usual: What is usually lost in such a round, by rounds of before; None where that is not known.
    """

    raw: Mapping[str, float]
    scores: Mapping[str, float]
    absent: frozenset[str] = frozenset()
    usual: float | None = None


StepFunction: TypeAlias = Callable[[Field], Mapping[str, float]]
"""A step without attributes: it gives losses, and is taken neither for proper nor for keeping the unit."""


@public
class FieldStep(Protocol):
    """One step of InField. Implement this for a normalisation of your own; a plain function does too.

    Attributes:
        higher_is_better: The direction of what it gives. None: losses again, and the direction stays what it was.
        stays_proper: Whether telling the truth remains the best report, where it is the best by the scores before.
        keeps_unit: Whether its scores are in the unit of those before, and compare with those of other rounds as they
            did.
    """

    higher_is_better: bool | None
    stays_proper: bool
    keeps_unit: bool

    def __call__(self, field: Field, /) -> Mapping[str, float]:
        """Return the new scores, by model.

        Raises:
            ValueError: It cannot normalise this round, and why. The round is set aside.
        """
        ...


@public
class InField:
    """A rule that scores each answer, and then normalises the scores within the round.

    Since it divides or bounds by numbers that the round's outcome made, telling the truth need no longer be the best
    report: `strictly_proper` says so. The default board is without that flaw; this is for games whose rules are so.

    What the scorer cannot score is infinitely bad for the steps. If they make a finite score of that, as Bounded does,
    the answer has it; else it remains unscorable.

    Args:
        scorer: A rule, a scorer, or a loss function.
        steps: Applied in this order. Plain functions of a Field do too.

    Attributes:
        scorer: As it was given.
        higher_is_better: That of the last step that has a direction, else the scorer's.
        unit: None, since the scores of different rounds are averaged as they are; the scorer's if all steps keep it.
        strictly_proper: Whether the scorer is, and all steps stay so.

    Raises:
        GameError: `scorer` is none of these, or a step cannot be called.
    """

    def __init__(self, scorer: Rule | Scorer | ScoreFunction, *steps: FieldStep | StepFunction) -> None:
        for step in steps:
            if isinstance(step, type) or not callable(step):
                raise GameError(f"{step!r} is no step of InField; a step is an instance, such as Bounded(times=10)")
        self.scorer = scorer
        self._rule = lift(scorer)
        self._steps = steps
        directions = [_direction(step) for step in steps]
        self.higher_is_better = next(
            (each for each in reversed(directions) if each is not None), self._rule.higher_is_better
        )
        self.unit: Unit = self._rule.unit if all(getattr(step, "keeps_unit", False) for step in steps) else None
        self.strictly_proper: bool = getattr(scorer, "strictly_proper", False) and all(
            getattr(step, "stays_proper", False) for step in steps
        )

    def __repr__(self) -> str:
        return f"InField({', '.join(map(repr, (self.scorer, *self._steps)))})"

    def prepare(self) -> None:
        """Load what the scorer needs.

        Raises:
            MissingExtra: A library is not installed.
        """
        getattr(self.scorer, "prepare", nothing)()

    def with_steps(self, steps: Callable[[Mapping[str, Any]], int | None]) -> InField:
        """Return the same with a scorer for answers of so many steps, if it counts them."""
        counting = with_steps(self.scorer, steps)
        return self if counting is self.scorer else InField(counting, *self._steps)

    def check(self, value: Any, arguments: Mapping[str, Any]) -> None:
        """Check an answer as it arrives, if the scorer does.

        Raises:
            ValueError: The scorer could not score it, and why.
        """
        getattr(self.scorer, "check", nothing)(value, arguments)

    def score_round(self, answered: AnsweredRound, /, *, usual: float | None = None) -> Mapping[str, float | Exception]:
        """Return the normalised scores; of absentees too, if a step gives them one.

        Args:
            answered: The round.
            usual: What is usually lost in such a round, for steps that want it.

        Raises:
            ValueError: A step cannot normalise this round.
        """
        found = self._rule.score_round(answered)
        sign = -1.0 if self._rule.higher_is_better else 1.0
        raw = {model_id: _loss(found.get(model_id), sign) for model_id in answered.answers}
        raw |= {model_id: _loss(found[model_id], sign) for model_id in answered.absences if model_id in found}
        scores: Mapping[str, float] = raw
        for step in self._steps:
            scores = dict(step(Field(raw, scores, frozenset(answered.absences), usual)))
            if _direction(step):
                scores = {model_id: -score for model_id, score in scores.items()}
        sign = -1.0 if self.higher_is_better else 1.0
        return {model_id: _told(sign * loss, found.get(model_id)) for model_id, loss in scores.items()}


@record
class Bounded:
    """No loss is more than this many times what the middle of the round's answers lost.

    Not proper: who is beyond the bound loses nothing more by being more wrong, and the bound moves with the outcome.

    Args:
        times: The factor.
        of: "median": of the answers' losses, unscorable ones included; "usual": of what is usually lost, and without
            a bound where that is not known.

    Raises:
        GameError: `times` is not a positive number, or `of` is neither.
    """

    times: float = 10.0
    of: Literal["median", "usual"] = "median"
    higher_is_better: ClassVar[bool | None] = None
    stays_proper: ClassVar[bool] = False
    keeps_unit: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.times < math.inf:
            raise GameError(f"Bounded(times={self.times!r}): times must be a positive number")
        if self.of not in ("median", "usual"):
            raise GameError(f'Bounded(of={self.of!r}): of is "median" or "usual"')

    def __call__(self, field: Field) -> Mapping[str, float]:
        """Return the losses, none of them above the bound.

        Raises:
            ValueError: A loss is negative, so that a multiple of another one bounds nothing.
        """
        worst = min(field.scores.items(), key=lambda each: each[1], default=("", 0.0))
        if worst[1] < 0:
            raise ValueError(f"Bounded needs losses of 0 and more, and that of {worst[0]!r} is {worst[1]!r}")
        answers = [loss for model_id, loss in field.scores.items() if model_id not in field.absent]
        middle = field.usual if self.of == "usual" else median(answers) if answers else None
        if middle is None:
            return field.scores
        bound = self.times * middle
        return {model_id: min(loss, bound) for model_id, loss in field.scores.items()}


@record
class Absent:
    """Who should have answered and did not has this percentile of the answers' losses, interpolated linearly.

    Of the answers that steps before have left as they were, since a bounded one no longer tells how bad it was; where
    there are none, of all. It does not touch the scores of answers, so that it stays proper.

    Args:
        percentile: From 0, the best, to 100, the worst.

    Raises:
        GameError: It is not from 0 to 100.
    """

    percentile: float = 95.0
    higher_is_better: ClassVar[bool | None] = None
    stays_proper: ClassVar[bool] = True
    keeps_unit: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100:
            raise GameError(f"Absent(percentile={self.percentile!r}): percentile must be from 0 to 100")

    def __call__(self, field: Field) -> Mapping[str, float]:
        """Return the losses, and those of absentees. Without a finite one, absentees have none."""
        answers = {
            model_id: loss
            for model_id, loss in field.scores.items()
            if model_id not in field.absent and math.isfinite(loss)
        }
        untouched = [loss for model_id, loss in answers.items() if loss == field.raw[model_id]]
        losses = untouched or list(answers.values())
        if not losses:
            return field.scores
        return {**dict.fromkeys(field.absent, _quantile(losses, self.percentile / 100)), **field.scores}


@record
class MinusBest:
    """Less the least loss of the round, absentees' included where a step before has given them one: the best has 0.

    Not proper: who answers as the others do has 0 for sure. But it moves all scores of a round equally, so that who
    was in the same rounds is ranked as without it.
    """

    higher_is_better: ClassVar[bool | None] = None
    stays_proper: ClassVar[bool] = False
    keeps_unit: ClassVar[bool] = False

    def __call__(self, field: Field) -> Mapping[str, float]:
        """Return the losses, less the least."""
        best = min(field.scores.values(), default=0.0)
        return {model_id: loss - best for model_id, loss in field.scores.items()}


@record
class BestOneWorstZero:
    """The best of the round has 1, the worst share of it 0, and between them it is linear. Higher is better.

    The worst share begins at that quantile of the finite losses, interpolated linearly. Who is infinitely wrong has 0.
    Absentees have what their loss gives, if a step before has given them one, and else 0. Not proper.

    Args:
        worst: The share of the round that has 0, from 0 to less than 1.

    Raises:
        GameError: It is not.
    """

    worst: float = 0.05
    higher_is_better: ClassVar[bool | None] = True
    stays_proper: ClassVar[bool] = False
    keeps_unit: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.worst < 1:
            raise GameError(f"BestOneWorstZero(worst={self.worst!r}): worst must be from 0 to less than 1")

    def __call__(self, field: Field) -> Mapping[str, float]:
        """Return scores from 0 to 1."""
        finite = [loss for loss in field.scores.values() if math.isfinite(loss)]
        none = dict.fromkeys([*field.absent, *field.scores], 0.0)
        if not finite:
            return none
        best, zero = min(finite), _quantile(finite, 1 - self.worst)
        losses = {model_id: loss for model_id, loss in field.scores.items() if loss <= zero}
        return none | {
            model_id: (zero - loss) / (zero - best) if zero > best else 1.0 for model_id, loss in losses.items()
        }


def _direction(step: FieldStep | StepFunction) -> bool | None:
    return getattr(step, "higher_is_better", None)


def _loss(score: float | Exception | None, sign: float) -> float:
    """The loss that steps are given: infinite for what could not be scored."""
    return sign * score if is_score(score) else math.inf


def _told(score: float, found: float | Exception | None) -> float | Exception:
    """The score, or why there is none: what the scorer said, if that is why."""
    return score if math.isfinite(score) or found is None or is_score(found) else found


def is_score(found: float | Exception | None) -> TypeGuard[float]:
    """Whether a rule gave a score: None, an exception, an infinity and NaN are none."""
    return found is not None and not isinstance(found, Exception) and math.isfinite(found)


def _quantile(losses: Iterable[float], share: float) -> float:
    """The quantile of finite numbers, interpolated linearly between the two nearest."""
    ordered: Sequence[float] = sorted(losses)
    place = share * (len(ordered) - 1)
    below = min(math.floor(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

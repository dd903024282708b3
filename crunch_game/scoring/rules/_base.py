"""What the rules share: from predictions to steps, and from the scores of steps to that of an answer."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from reprlib import repr as brief
from typing import Any, ClassVar, Literal, Self, TypeAlias

from crunch_game._public import public
from crunch_game._quantities import counted
from crunch_game.errors import MissingExtra
from crunch_game.scoring.base import AnsweredRound, Unit
from crunch_game.storage.base import Prediction

_AT_A_TIME = 2048
"""Steps that are scored in one pass, which limits the memory of a large batch."""

Steps: TypeAlias = int | Callable[[Mapping[str, Any]], int | None] | None
Found: TypeAlias = list[float | ValueError]


@public
class StepwiseRule:
    """What the ready rules have in common. An answer may have steps: a list of answers, with a list of outcomes.

    Attributes:
        formula: Of one step, in plain mathematics.
        source: The paper.
        higher_is_better: The direction.
        unit: As a Rule has it.
        strictly_proper: Whether the truth, of what is asked (a density, or only its quantiles, mean or median), is the
            only best report.
        takes: The kinds of answer: of "density", "quantiles", "samples", "paths", "probability", "categories", "point".
    """

    formula: ClassVar[str]
    source: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    higher_is_better: bool = False
    unit: Unit = "usual"
    strictly_proper: bool = True

    def __init__(self, *, steps: Steps = None, over: Literal["mean", "sum"] = "mean") -> None:
        """Make the rule.

        Args:
            steps: How many steps an answer has, or a function of the call's arguments that says so; another number of
                steps is refused on arrival. None: as many as the outcome has. A game knows that of the ready
                resolutions (`crunch_game.resolving`); of others it only shows at scoring.
            over: Whether an answer's score is the mean or the sum over its steps.

        Raises:
            ValueError: `over` is neither, or `steps` is less than 1.
        """
        if over not in ("mean", "sum"):
            raise ValueError(f'over is "mean" or "sum", not {over!r}')
        if isinstance(steps, int) and steps < 1:
            raise ValueError(f"an answer has at least 1 step, not {steps}")
        self.steps = steps
        self.over = over

    def prepare(self) -> None:
        """Load the libraries that the rule needs.

        Raises:
            MissingExtra: numpy or scipy is not installed.
        """
        try:
            import numpy  # noqa: F401
            import scipy  # noqa: F401
        except ImportError as error:
            raise MissingExtra((error.name or "numpy").partition(".")[0], "scoring") from None

    def with_steps(self, steps: Callable[[Mapping[str, Any]], int | None]) -> Self:
        """Return this rule for answers of so many steps; one that was made with a number of steps keeps it.

        Args:
            steps: A function of the call's arguments, None where they do not say.
        """
        if self.steps is not None:
            return self
        counting = copy.copy(self)
        counting.steps = steps
        return counting

    def check(self, value: Any, arguments: Mapping[str, Any]) -> None:
        """Check an answer on arrival.

        Args:
            value: The answer.
            arguments: Those of the call, by parameter name.

        Raises:
            ValueError: This rule could not score it; the message says why.
        """
        parts = self._split(value)
        expected = self.steps(arguments) if callable(self.steps) else self.steps
        if expected is not None and len(parts) != expected:
            raise ValueError(f"the answer must have {counted(expected, 'step')}, got {len(parts)}")
        for error in self._refused(parts):
            if error is not None:
                raise error

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """Return the score of one prediction.

        Raises:
            ValueError: This rule cannot score the answer or the outcome.
            MissingExtra: numpy or scipy is not installed.
        """
        [result] = self.score_many([prediction], [outcome])
        if isinstance(result, ValueError):
            raise result
        return result

    def score_many(self, predictions: Sequence[Prediction], outcomes: Sequence[Any]) -> Found:
        """Return the scores of many predictions, or errors: much faster than one at a time."""
        self.prepare()  # report what is missing even if there is nothing to score
        if len(predictions) != len(outcomes):
            raise ValueError(f"there are {len(predictions)} predictions, but {len(outcomes)} outcomes")
        return self._score_values([prediction.value for prediction in predictions], outcomes)

    def score_round(self, answered: AnsweredRound) -> dict[str, float | Exception]:
        """Return the score of every answer of a round, or the reason why it has none, by model; see Rule."""
        outcomes = [answered.outcome_of(model_id) for model_id in answered.answers]
        return dict(zip(answered.answers, self.score_many([*answered.answers.values()], outcomes), strict=True))

    # What a rule adds

    def _split(self, value: Any) -> Sequence[Any]:
        """The steps of an answer; one of several numbers, by default. May raise ValueError."""
        raise NotImplementedError

    def _truths(self, outcome: Any) -> Sequence[Any]:
        """The outcomes of the steps. May raise ValueError."""
        return numbers_of(outcome)

    def _refused(self, steps: Sequence[Any]) -> Iterable[ValueError | None]:
        """Why each step could not be scored, or None, whatever the outcome."""
        raise NotImplementedError

    def _score_steps(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        """The score of each step, in one pass."""
        raise NotImplementedError

    def _score_values(self, values: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        steps: list[Any] = []
        truths: list[Any] = []
        results: list[Any] = []
        """Of each answer the place of its only step, a slice of steps, or the error."""
        for value, outcome in zip(values, outcomes, strict=True):
            try:
                if value is None:
                    raise ValueError("there is no answer")
                parts, numbers = self._split(value), self._truths(outcome)
                if len(parts) != len(numbers):
                    raise ValueError(
                        f"the answer has {counted(len(parts), 'step')} where the outcome has {len(numbers)}"
                    )
            except ValueError as error:
                results.append(error)
                continue
            start = len(steps)
            results.append(start if len(parts) == 1 else slice(start, start + len(parts)))
            steps += parts
            truths += numbers
        found = self._in_passes(steps, truths)
        return [self._whole(found, place) for place in results]

    def _in_passes(self, steps: Sequence[Any], outcomes: Sequence[Any]) -> Found:
        found: Found = []
        for start in range(0, len(steps), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            found += self._score_steps(steps[part], outcomes[part])
        return found

    def _whole(self, found: Found, place: Any) -> float | ValueError:
        if isinstance(place, ValueError):
            return place
        parts = found[place] if isinstance(place, slice) else [found[place]]
        whole: list[float] = []
        for part in parts:
            if isinstance(part, ValueError):
                return part
            if not math.isfinite(part):
                return ValueError(_NOT_FINITE)
            whole.append(part)
        if len(whole) == 1:
            return whole[0]
        return math.fsum(part / len(whole) for part in whole) if self.over == "mean" else _sum(whole)


_NOT_FINITE = "the score is not finite: the outcome is too far from the forecast, or the forecast too narrow"


def _sum(scores: Sequence[float]) -> float | ValueError:
    try:
        return math.fsum(scores)
    except OverflowError:
        return ValueError(_NOT_FINITE)


def numbers_of(outcome: Any) -> list[float]:
    """The finite numbers of an outcome, which is a number or several.

    Raises:
        ValueError: It is neither.
    """
    if type(outcome) is float and math.isfinite(outcome):
        return [outcome]
    plain = outcome.tolist() if hasattr(outcome, "tolist") else outcome
    numbers = list(plain) if isinstance(plain, list | tuple) else [plain]
    for number in numbers:
        if not is_number(number):
            raise ValueError(f"the outcome must be a finite number, or a list of them, not {brief(outcome)}")
    return numbers


def is_number(value: Any) -> bool:
    """Whether this is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max

"""Plain loss functions and scorers as rules, so that a game has but one kind of thing that scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, cast

from crunch_game._quantities import described
from crunch_game.errors import GameError
from crunch_game.scoring.base import AnsweredRound, BatchScorer, Rule, ScoreFunction, Scorer, Unit
from crunch_game.storage.base import Prediction


class LiftedScorer:
    """A scorer as a rule: it scores the answers of a round one by one, or all at once if it can.

    Attributes:
        scorer: The scorer.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.higher_is_better = scorer.higher_is_better
        self.unit: Unit = getattr(scorer, "unit", "usual")

    def prepare(self) -> None:
        """Load what the scorer needs, if it has something to load.

        Raises:
            MissingExtra: A library is not installed.
        """
        getattr(self.scorer, "prepare", nothing)()

    def check(self, value: Any, arguments: Mapping[str, Any]) -> None:
        """Check an answer as it arrives, if the scorer does.

        Raises:
            ValueError: The scorer could not score it, and why.
        """
        getattr(self.scorer, "check", nothing)(value, arguments)

    def score_round(self, answered: AnsweredRound) -> Mapping[str, float | Exception]:
        """Return the score of every answer, or what the scorer raised in its place."""
        predictions = list(answered.answers.values())
        outcomes = [answered.outcome_of(prediction.model_id) for prediction in predictions]
        if isinstance(self.scorer, BatchScorer):
            values = self.scorer.score_many(predictions, outcomes)
        else:
            values = [self._score(*each) for each in zip(predictions, outcomes, strict=True)]
        return dict(zip(answered.answers, values, strict=True))

    def _score(self, prediction: Prediction, outcome: Any) -> float | ValueError:
        try:
            return self.scorer.score(prediction, outcome)
        except ValueError as error:
            return error


class Loss:
    """A loss function as a scorer."""

    higher_is_better = False

    def __init__(self, function: ScoreFunction) -> None:
        self._function = function

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """Return the loss."""
        return self._function(prediction, outcome)


def lift(score: Any) -> Rule:
    """Return the rule that this is, or that a scorer or a loss function `(prediction, outcome) -> float` makes.

    Raises:
        GameError: It is none of these, or does not say its direction or its unit.
    """
    if isinstance(score, type):
        raise GameError(f"score is {described(score)}; give an instance: score={score.__name__}(...)")
    if _is_rule(score):
        if not hasattr(score, "unit"):
            raise GameError(f'the rule {score!r} must say its unit: "usual", a number, or None')
        return cast("Rule", _directed(score))
    if callable(getattr(score, "score", None)):
        return LiftedScorer(_directed(score))
    if callable(score):
        return LiftedScorer(Loss(score))
    raise GameError(f"score is {described(score)}; it must be a rule, a scorer, or a function of (prediction, outcome)")


def with_steps(scorer: Any, steps: Callable[[Mapping[str, Any]], int | None]) -> Any:
    """Return the scorer for answers of so many steps, if it counts them and was not told how many there are.

    Args:
        scorer: A rule, a scorer, or a loss function.
        steps: A function of the call's arguments, None where they do not say.
    """
    counting = getattr(scorer, "with_steps", None)
    return counting(steps) if callable(counting) else scorer


def nothing(*arguments: object) -> None:
    """What a scorer does that has none of a rule's optional methods."""


def _is_rule(score: Any) -> TypeGuard[Rule]:
    return callable(getattr(score, "score_round", None))


def _directed(score: Any) -> Any:
    if not isinstance(getattr(score, "higher_is_better", None), bool):
        raise GameError(f"the scorer {score!r} must say higher_is_better = True or False")
    return score

"""What turns answers and the truth into numbers: the Protocols Rule and Scorer, and the round that a rule is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from crunch_game._public import public, record
from crunch_game.storage.base import Prediction

__all__ = ["AnsweredRound", "BatchScorer", "Rule", "ScoreFunction", "Scorer", "Unit"]

ScoreFunction = Callable[[Prediction, Any], float]

Unit: TypeAlias = Literal["usual"] | float | None
"""What differences of a rule's scores are measured in, before different rounds are averaged. "usual": what is usually
lost, since scores are in the data's unit (CRPS, pinball, errors). A number: the rule's own (1 nat for the log score,
0.25 for Brier). None: scores are normalised already."""


@record
class AnsweredRound:
    """One round whose outcome is known: what everybody answered, and who did not.

    Attributes:
        key: The name of the prediction that the game asks for.
        at: The slot of the round; aware, UTC.
        resolves_at: When its horizon ended; aware, UTC.
        horizon: Seconds.
        arguments: Those that all models were given, by parameter name.
        outcome: What really happened; None where that differs from model to model, then `outcomes` has it.
        answers: The predictions that have an answer, by model.
        absences: The predictions of those who should have answered and did not, by model.
        outcomes: By model, where the arguments of each, and so their outcomes, differ; else empty.
    """

    key: str
    at: datetime
    resolves_at: datetime
    horizon: float
    arguments: Mapping[str, Any]
    outcome: Any
    answers: Mapping[str, Prediction]
    absences: Mapping[str, Prediction] = field(default_factory=dict)
    outcomes: Mapping[str, Any] = field(default_factory=dict)

    def outcome_of(self, model_id: str) -> Any:
        """What really happened of what this model was asked."""
        return self.outcomes[model_id] if self.outcomes else self.outcome


@public
class Rule(Protocol):
    """Scores the whole field of one round. Implement this for a rule of your own.

    A rule may also have `prepare()`, called once before a game begins, which can load libraries and raise MissingExtra;
    and `check(value, arguments)`, called with every answer as it arrives, which raises a ValueError that says why this
    rule could not score it: the answer is then INVALID. Both are optional.

    Attributes:
        higher_is_better: The direction.
        unit: What differences of its scores are measured in.
    """

    higher_is_better: bool
    unit: Unit

    def score_round(self, answered: AnsweredRound, /) -> Mapping[str, float | Exception]:
        """Return the score of every answer, by model; of absences too, where the rule scores these.

        An exception in the place of a number, an infinity, NaN and a model that is left out all say that the rule
        cannot score that answer, though it can score others. What is raised sets the whole round aside.
        """
        ...


@public
class Scorer(Protocol):
    """Scores one answer. Implement this for a scoring rule of your own that looks at one answer at a time.

    A scorer may have `unit`, as a Rule has ("usual" where there is none), and Rule's `prepare` and `check`.

    Attributes:
        higher_is_better: The direction. (A plain function is a loss: lower is better.)
    """

    higher_is_better: bool

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """Return the score of a prediction.

        Raises:
            ValueError: It cannot be scored.
        """
        ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that is faster with many predictions at once. Test with `isinstance` whether a scorer is one."""

    def score_many(self, predictions: Sequence[Prediction], outcomes: Sequence[Any]) -> list[float | ValueError]:
        """Return what `score` would for each prediction and its outcome; if that would raise, the error."""
        ...

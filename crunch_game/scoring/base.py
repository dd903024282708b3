"""Scorer, the protocol of what turns a prediction and its outcome into one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from crunch_game._public import public
from crunch_game.storage.base import Prediction

__all__ = ["BatchScorer", "ScoreFunction", "Scorer"]

ScoreFunction = Callable[[Prediction, Any], float]


@public
class Scorer(Protocol):
    """Implement this for a scoring rule of your own.

    A scorer may have a method `prepare()`, which is called once before a game begins. It can load libraries, and raise
    MissingExtra.

    Attributes:
        higher_is_better: The direction. (A plain function is a loss: lower is better.)
    """

    higher_is_better: bool

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """Return the score of a prediction.

        Raises:
            ValueError: It cannot be scored. It is set aside, with the message as its reason.
        """
        ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that is faster with many predictions at once. Test with `isinstance` whether a scorer is one."""

    def score_many(self, predictions: Sequence[Prediction], outcomes: Sequence[Any]) -> list[float | ValueError]:
        """Return what `score` would for each prediction and its outcome; if that would raise, the error."""
        ...

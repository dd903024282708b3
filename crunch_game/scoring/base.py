"""What a scorer is: it turns a prediction and what really happened into one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from crunch_game.public import public
from crunch_game.storage.base import Prediction

__all__ = ["BatchScorer", "ScoreFunction", "Scorer"]

ScoreFunction = Callable[[Prediction, Any], float]


@public
class Scorer(Protocol):
    """Implement this to score predictions in your own way.

    A scorer may have a method `prepare()`, called once before a game begins: the place to load a library, and to
    raise MissingExtra.

    Attributes:
        higher_is_better: The direction; a plain function is a loss (lower is better).
    """

    higher_is_better: bool

    def score(self, prediction: Prediction, outcome: Any) -> float:
        """What the prediction is worth, given what happened.

        Raises:
            ValueError: The prediction cannot be scored; it is set aside with the message as its reason.
        """
        ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer that is faster with many predictions at once. `score_many` is optional: test with `isinstance`."""

    def score_many(self, predictions: Sequence[Prediction], outcomes: Sequence[Any]) -> list[float | ValueError]:
        """What `score` gives for each prediction and its outcome; where it would raise, the error instead."""
        ...

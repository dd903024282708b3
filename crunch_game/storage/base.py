"""What a store keeps: rows of the feed, the models, their predictions, and the scores of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from crunch_game.feeds.base import Row
from crunch_game.public import public
from crunch_game.status import Status

__all__ = ["ModelRecord", "Prediction", "Score", "Store"]


@public
@dataclass(frozen=True, slots=True)
class Prediction:
    """One model's answer in one round, or why there is none. `(model_id, key, at)` is its identity.

    Attributes:
        model_id: The model's id.
        deployment_id: The version of its code that was asked.
        key: Names the prediction that the game asks for, the same in every round.
        at: When the round was played, on the game's clock; aware, UTC.
        resolves_at: When the horizon has passed: `at` + `horizon`; aware, UTC.
        horizon: Seconds.
        arguments: What the model was asked with, by parameter name.
        status: How the call ended.
        value: The answer as plain values (what JSON can hold), or None.
        error: Why there is no answer, or None.
        elapsed: Seconds that the model took.
    """

    model_id: str
    deployment_id: str
    key: str
    at: datetime
    resolves_at: datetime
    horizon: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    status: Status = Status.OK
    value: Any = None
    error: str | None = None
    elapsed: float = 0.0


@public
@dataclass(frozen=True, slots=True)
class Score:
    """What one prediction is worth. `(model_id, key, at)` is the prediction's identity.

    Attributes:
        value: The score, finite; None when the prediction was set aside.
        outcome: What really happened, as plain values.
        reason: Why it was set aside, or None.
    """

    model_id: str
    key: str
    at: datetime
    resolves_at: datetime
    value: float | None
    outcome: Any = None
    reason: str | None = None


@public
@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What the store knows of a model: who it is, and in which state it was last seen."""

    model_id: str
    name: str
    deployment_id: str
    state: str
    reason: str | None = None


@public
class Store(Protocol):
    """Where a game is kept. Implement this to keep it elsewhere; methods may be called from any thread.

    What `save` and `settle` have accepted survives a kill of the process. Both are all-or-nothing, and
    writing a record again (the same identity) changes nothing. "Oldest first" is by `resolves_at`, then `at`,
    `key` and `model_id`. Values come back as JSON gives them back (tuples as lists); all methods raise
    `StoreError`.
    """

    def save(
        self,
        rows: Sequence[Row] = (),
        predictions: Sequence[Prediction] = (),
        models: Sequence[ModelRecord] = (),
    ) -> None:
        """Keep rows and predictions that are new; a model's record replaces the one before."""
        ...

    def settle(self, scores: Sequence[Score]) -> None:
        """Keep scores; their predictions are pending no more. A prediction is settled once."""
        ...

    def last_row(self) -> Row | None:
        """The latest row kept."""
        ...

    def rows(self, since: datetime | None = None) -> list[Row]:
        """The rows at or after `since`, oldest first."""
        ...

    def pending(self, until: datetime) -> list[Prediction]:
        """The answered predictions (status OK) that resolve at or before `until` and have no score, oldest first."""
        ...

    def predictions(self, since: datetime | None = None) -> list[Prediction]:
        """All predictions that resolve at or after `since`, oldest first."""
        ...

    def scores(self, since: datetime | None = None) -> list[Score]:
        """All scores, and what was set aside, that resolve at or after `since`, oldest first."""
        ...

    def last_rounds(self) -> dict[str, datetime]:
        """The `at` of the latest round of every key."""
        ...

    def first_rounds(self) -> dict[str, datetime]:
        """The `at` of the first round that each model was asked in."""
        ...

    def models(self) -> list[ModelRecord]:
        """The models ever seen, by id."""
        ...

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a small document (what JSON can hold) under a name, in place of the one before."""
        ...

    def noted(self, name: str) -> dict[str, Any] | None:
        """The document kept under the name, or None."""
        ...

    def forget_rows(self, before: datetime) -> None:
        """Drop the rows older than `before`."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store is not used again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

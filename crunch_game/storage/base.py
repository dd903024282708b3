"""Store, the protocol of what keeps a game, and its records: rows, models, predictions and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from crunch_game._public import public, record
from crunch_game._status import Status
from crunch_game.feeds.base import Row

__all__ = ["ModelRecord", "Prediction", "Score", "Store"]


@record
class Prediction:
    """One model's answer in one round, or why there is none. It is identified by `(model_id, key, at)`.

    Attributes:
        model_id: The model's id.
        deployment_id: The version of its code that was asked.
        key: The name of the prediction that the game asks for, the same in every round.
        at: When the round was played, on the game's clock; aware, UTC.
        resolves_at: When its horizon ends: `at` + `horizon`; aware, UTC.
        horizon: Seconds.
        arguments: The arguments of the call, by parameter name.
        status: How the call ended.
        value: The answer, of types that JSON has, or None.
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


@record
class Score:
    """The score of one prediction, which is identified by `(model_id, key, at)`.

    Attributes:
        value: The score, finite; None if the prediction was set aside.
        outcome: What really happened, of types that JSON has.
        reason: Why it was set aside, or None.
    """

    model_id: str
    key: str
    at: datetime
    resolves_at: datetime
    value: float | None
    outcome: Any = None
    reason: str | None = None


@record
class ModelRecord:
    """A model, and its last known state."""

    model_id: str
    name: str
    deployment_id: str
    state: str
    reason: str | None = None


@public
class Store(Protocol):
    """Keeps a game. Implement this to keep it somewhere else. Methods may be called from any thread.

    What `save` and `settle` have accepted survives a kill of the process. Both are all-or-nothing, and ignore records
    that are kept already. "Oldest first" means by `resolves_at`, then `at`, `key` and `model_id`. Values are returned
    as JSON would: tuples as lists. All methods may raise `StoreError`.
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
        """Keep scores; their predictions are no longer pending. A prediction keeps its first score."""
        ...

    def last_row(self) -> Row | None:
        """Return the latest row."""
        ...

    def rows(self, since: datetime | None = None) -> list[Row]:
        """Return the rows at or after `since`, oldest first."""
        ...

    def pending(self, until: datetime) -> list[Prediction]:
        """Return the predictions with status OK and no score that resolve at or before `until`, oldest first."""
        ...

    def predictions(self, since: datetime | None = None) -> list[Prediction]:
        """Return all predictions that resolve at or after `since`, oldest first."""
        ...

    def scores(self, since: datetime | None = None) -> list[Score]:
        """Return all scores that resolve at or after `since`, those set aside included, oldest first."""
        ...

    def last_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the latest round of every key."""
        ...

    def first_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the first round that each model was asked in."""
        ...

    def models(self) -> list[ModelRecord]:
        """Return all models that were ever saved, sorted by id."""
        ...

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a small document, of types that JSON has, under a name; it replaces the one before."""
        ...

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None."""
        ...

    def forget_rows(self, before: datetime) -> None:
        """Drop the rows older than `before`."""
        ...

    def close(self) -> None:
        """Close files and connections. The store cannot be used afterwards."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

"""The records that the store's cases are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from crunch_game.storage.base import Lease, Prediction, Score, ScoredRound

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, MINUTE, BLINK = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)


def prediction(model_id: str = "ada", at: datetime = T0, key: str = "BTC", **changes: Any) -> Prediction:
    """An answer that resolves after an hour."""
    fields: dict[str, Any] = {"arguments": {"asset": key}, "value": [1.5], "elapsed": 0.25}
    return Prediction(model_id, "d1", key, at, at + HOUR, 3600.0, **(fields | changes))


def score(of: Prediction, value: float | None = 0.5, **changes: Any) -> Score:
    """The score of a prediction."""
    return Score(of.model_id, of.key, of.at, of.resolves_at, value, **changes)


def scored_round(of: Prediction, answers: int = 1, **changes: Any) -> ScoredRound:
    """The round of a prediction."""
    return ScoredRound(of.key, of.at, of.resolves_at, of.horizon, dict(of.arguments), answers, **changes)


def lease(token: str, **changes: Any) -> Lease:
    """The lease of a predict worker."""
    return Lease("predict", token, "alpha", 1, T0, T0, **changes)

"""Who was asked in a live game, for its replay: those who joined late, or left, are asked when they were asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crunch_game.models import Model
from crunch_game.outcomes import Status
from crunch_game.storage.base import Prediction


class RecordedSlot:
    """One slot's predictions, by key and model."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[str, Prediction]] = {}

    def add(self, prediction: Prediction) -> None:
        """One more of this slot."""
        self._by_key.setdefault(prediction.key, {})[prediction.model_id] = prediction

    def asks(self, model: Model) -> bool:
        """Whether the model was asked."""
        found = (of_key.get(model.id) for of_key in self._by_key.values())
        return any(each is not None and each.status is not Status.SKIPPED for each in found)

    def extras(self, key: str, arguments: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What each model was given beside the arguments of all."""
        return {
            model_id: {name: value for name, value in each.arguments.items() if name not in arguments}
            for model_id, each in self._by_key.get(key, {}).items()
        }

    def deployed(self, prediction: Prediction) -> Prediction:
        """The prediction, by the deployment that was asked then."""
        return replace(prediction, deployment_id=self._by_key[prediction.key][prediction.model_id].deployment_id)

    def skipped(self, key: str) -> list[Prediction]:
        """What was stored of those that were not asked, for instance since they were still being loaded."""
        return [each for each in self._by_key.get(key, {}).values() if each.status is Status.SKIPPED]


class Recorded:
    """The rounds of a live game.

    Args:
        predictions: All that its store has.
    """

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._slots: dict[datetime, RecordedSlot] = {}
        for prediction in predictions:
            if prediction.asked_at is not None:  # else it is older than slots: its time is none
                self._slots.setdefault(prediction.at, RecordedSlot()).add(prediction)
        self._first = min(self._slots, default=None)

    def of(self, at: datetime) -> RecordedSlot | None:
        """The slot at a time, empty if nobody was asked then; None if it is older than the record."""
        if self._first is None or at < self._first:
            return None
        return self._slots.get(at, RecordedSlot())

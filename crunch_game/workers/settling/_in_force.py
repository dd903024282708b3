"""InForce: what the corrections of a store say of a round, and of an answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from crunch_game.storage.base import Correction, Prediction, Store

OF_ROUNDS: Final = ("void", "retract", "restore", "resolve", "rescore")
"""The verbs that change scores. A score worker carries these out."""


class InForce:
    """The corrections that say which rounds and answers count.

    Of all that are about a round, or about a model's answers, the last one holds: what was restored can be voided, or
    retracted, once more.

    Args:
        corrections: In their order.
    """

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._rounds: list[Correction] = []
        self._of: dict[str, list[Correction]] = {}
        for each in corrections:
            if each.verb == "void" or (each.verb == "restore" and each.model_id is None):
                self._rounds.append(each)
            elif each.verb in ("retract", "restore") and each.model_id is not None:
                self._of.setdefault(each.model_id, []).append(each)

    def why_void(self, key: str, at: datetime) -> str | None:
        """Why a round counts for nobody; None if it counts."""
        return _reason(self._rounds, key, at)

    def why_retracted(self, model_id: str, key: str, at: datetime) -> str | None:
        """Why a model's answer counts as an absence; None if it counts."""
        return _reason(self._of.get(model_id, ()), key, at)

    def retracted(self, key: str, at: datetime, model_ids: Iterable[str]) -> list[str]:
        """Those of the models whose answers in a round count as absences."""
        if not self._of:
            return []
        return [each for each in model_ids if self.why_retracted(each, key, at) is not None]

    def why(self, prediction: Prediction) -> str | None:
        """Why an answer does not count, be it for its round or for its model; None if it counts."""
        key, at = prediction.key, prediction.at
        void = self.why_void(key, at)
        return self.why_retracted(prediction.model_id, key, at) if void is None else void

    def first_answers(self, store: Store) -> Mapping[str, Mapping[str, datetime]]:
        """The slot of the first answer of each model that counts, by model and key."""
        found = {model_id: dict(firsts) for model_id, firsts in store.first_answers().items()}
        for model_id, firsts in found.items():
            wrong = {
                key
                for key, at in firsts.items()
                if self.why_void(key, at) is not None or self.why_retracted(model_id, key, at) is not None
            }
            for key in wrong:
                first = self._first_answer(store, model_id, key, firsts.pop(key))
                if first is not None:
                    firsts[key] = first
        return found

    def _first_answer(self, store: Store, model_id: str, key: str, since: datetime) -> datetime | None:
        answers = store.stream("predictions", since, model_id=model_id, key=key)
        slots = (each.at for each in answers if each.value is not None and self.why(each) is None)
        return min(slots, default=None)


def _reason(corrections: Iterable[Correction], key: str, at: datetime) -> str | None:
    last = None
    for each in corrections:
        if each.covers(key, at):
            last = each
    return None if last is None or last.verb == "restore" else last.reason

"""A live game from its record, for its replay: the steps that it took, and who was asked in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crunch_game._slots import Play, Step, Tell, Timetable
from crunch_game.feeds import Recording
from crunch_game.feeds.base import Row
from crunch_game.models import Model
from crunch_game.outcomes import Status
from crunch_game.storage.base import Prediction, Session


class RecordedSlot:
    """One slot's predictions, by key and model: who joined late, or left, is asked when it was asked."""

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


def recorded_steps(
    table: Timetable, recording: Recording, told: datetime | None = None, decided: datetime | None = None
) -> Iterator[Iterator[Step]]:
    """The steps of a live game, from its record: those that it took, once more.

    Args:
        table: A fresh one, of the same game.
        recording: The record.
        told: The newest row that was told by a replay before this; what it has done is left out.
        decided: The last slot that it has played.
    """

    def left(steps: Iterable[Step], session: Session | None) -> Iterator[Step]:
        """Those that are not done yet. A session that was killed has not played the slots after its last."""
        for step in steps:
            match step:
                case Tell(row):
                    is_left = told is None or row.time > told
                case Play(at, with_row=True):
                    is_left = told is None or at > told
                case Play(at):
                    is_known = session is None or (session.committed is not None and at <= session.committed)
                    is_left = is_known and (decided is None or at > decided)
                case _:
                    is_left = True
            if is_left:
                yield step

    by_session: dict[int | None, list[Row]] = {}
    for arrival in recording.arrivals:
        if arrival.aside is None:
            by_session.setdefault(arrival.session, []).append(arrival.row)
    for row in by_session.get(None, ()):
        yield left(table.arrive(row), None)
    committed: datetime | None = None
    for session in recording.sessions:
        table.resume(committed)
        yield left(list(table.start(session.started)), session)
        for row in by_session.get(session.number, ()):
            yield left(table.arrive(row), session)
        if session.committed is not None:
            yield left(table.through(session.committed, session.heartbeat), session)
            committed = session.committed

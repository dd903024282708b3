"""What a worker's store keeps of the events that it tells: they wait here until the worker saves."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

from crunch_game._quantities import counted
from crunch_game.events import GameEvent, RoundPlayed, TickPlayed
from crunch_game.feeds.base import FeedEvent
from crunch_game.models import Model
from crunch_game.outcomes import Fault, Outcome, Status
from crunch_game.ranking import BoardNote
from crunch_game.storage import EventRecord, FaultRecord, GameLog, Prediction, Store, encode
from crunch_game.workers._deployments import Deployments

_KEPT: Final = (*get_args(GameEvent), *get_args(FeedEvent), BoardNote)
"""`Standings` are not among them: the store has the boards."""
_SAY_NOTHING_MORE: Final = (Status.OK, Status.SKIPPED, Status.UNSUPPORTED)
"""Statuses of calls that were not made: the prediction says why, and it would be said again in every round."""
_MOST_WAITING: Final = 10_000
_BLINK: Final = timedelta(microseconds=1)


class EventLog:
    """The events that were told, and are not kept yet. What waits is bounded, and no listener waits for a store.

    Args:
        store: Where they are kept; if it keeps no logs, nothing is noted.
        now: The wall clock; aware, UTC.
        seen: Returns the time of the newest row that models were told, or that was scored.

    Attributes:
        deployments: What the events make of the models' deployments.
    """

    def __init__(self, store: Store, now: Callable[[], datetime], seen: Callable[[], datetime | None]) -> None:
        self._keeps: bool = getattr(store, "keeps_log", False)  # an author's own, for replays, may not say
        self.deployments = Deployments()
        self._now = now
        self._seen = seen
        self._lock = threading.Lock()  # feeds and scorers tell from threads of their own
        self._waiting: deque[tuple[datetime, str, datetime | None, Any]] = deque()
        self._given_back = GameLog()
        """What was taken, and could not be kept."""
        self._lost = 0
        self._writer = _made_up()
        self._last = datetime.min.replace(tzinfo=UTC)

    def before(self, listener: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A listener that tells this one what it hears, after it has been noted."""

        def tell(event: Any) -> Any:
            self.hear(event)
            return listener(event)

        return tell

    def hear(self, event: object) -> None:
        """Note an event of the game; those of other kinds are ignored. From any thread."""
        if not self._keeps or not isinstance(event, _KEPT):
            return
        with self._lock:
            if len(self._waiting) == _MOST_WAITING:
                self._waiting.popleft()
                self._lost += 1
            moment, writer = self._moment()
            self._waiting.append((moment, writer, self._seen(), event))
            self.deployments.hear(event, moment)

    def _moment(self) -> tuple[datetime, str]:
        """Return a moment that no other event of the same writer has. When the clock is set back, a new one writes."""
        now = self._now()
        if now + timedelta(seconds=1) < self._last:
            self._writer = _made_up()
        elif now <= self._last:
            now = self._last + _BLINK
        self._last = now
        return now, self._writer

    def look(self, models: Mapping[str, Model]) -> None:
        """Take the models' strikes, and note who is no longer among them. On the event loop."""
        if self._keeps:
            with self._lock:
                self.deployments.look(models, self._moment()[0])

    def take(self, faults: Sequence[FaultRecord] = ()) -> GameLog:
        """Return what waits, and these faults; nothing of it waits any more. Empty if the store keeps no logs."""
        if not self._keeps:
            return GameLog()
        with self._lock:
            taken, self._waiting = self._waiting, deque()
            lost, self._lost = self._lost, 0
            before, self._given_back = self._given_back, GameLog()
            deployments = [*before.deployments, *self.deployments.changed()]
            moment, writer = self._moment() if lost else (self._last, "")
        events = [*before.events, *(_record_of(*each) for each in taken)]
        if lost:
            text = f"{counted(lost, 'event')} before this could not be kept: the store was not written to for too long"
            events.append(EventRecord(moment, writer, "EventsLost", text, None, self._seen(), {"count": lost}))
        return GameLog(events, [*before.faults, *faults], deployments)

    def give_back(self, log: GameLog | None) -> None:
        """Let what was taken, and could not be kept, wait once more, before all that was told since."""
        if not log:
            return
        with self._lock:
            before = self._given_back  # of later
            events = [*log.events, *before.events]
            self._lost += max(0, len(events) - _MOST_WAITING)
            self._given_back = GameLog(
                events[-_MOST_WAITING:], [*log.faults, *before.faults], [*log.deployments, *before.deployments]
            )


def fault_of_call(outcome: Outcome, key: str, at: datetime, kept: Prediction | None = None) -> Iterator[FaultRecord]:
    """Yield why a model that was called gave no right answer; nothing if it gave one, or was not called.

    Args:
        outcome: What came of the call.
        key: The prediction's name, or "tick".
        at: The slot, or the row's time.
        kept: What is kept of it, if it is a prediction: an answer may be one that no store can keep.
    """
    status = outcome.status if kept is None else kept.status
    if status in _SAY_NOTHING_MORE:
        return
    message = None if kept is None else kept.error
    fault = outcome.error or Fault(str(status), message or str(status))
    yield FaultRecord(
        outcome.model_id,
        key,
        at,
        outcome.deployment_id if kept is None else kept.deployment_id,
        status,
        fault.kind,
        fault.message,
        fault.traceback,
        fault.stdout,
        fault.stderr,
        fault.exit,
    )


def _made_up() -> str:
    return uuid.uuid4().hex[:12]


def event_record(event: Any, moment: datetime, writer: str, seen: datetime | None) -> EventRecord | None:
    """Return an event as it is kept; None if it is of a kind that is not."""
    return _record_of(moment, writer, seen, event) if isinstance(event, _KEPT) else None


def _record_of(moment: datetime, writer: str, seen: datetime | None, event: Any) -> EventRecord:
    model_id = getattr(event, "model_id", None)
    details = {field.name: _plain(getattr(event, field.name)) for field in fields(event) if field.name != "model_id"}
    if isinstance(event, TickPlayed | RoundPlayed):
        details |= details.pop("round")
    return EventRecord(moment, writer, type(event).__name__, str(event), model_id, seen, details)


def _plain(value: Any) -> Any:
    """Return a field of an event as JSON has it."""
    match value:
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case Fault():
            parts = {field.name: getattr(value, field.name) for field in fields(value)}
            return {name: part for name, part in parts.items() if part is not None}
        case Mapping():
            return _in_brief(value)
    try:
        encode(value)
    except ValueError:
        return repr(value)
    return value


def _in_brief(played: Mapping[str, Outcome]) -> dict[str, Any]:
    """Return what came of a round: its answers are kept as predictions."""
    others: dict[str, list[str]] = {}
    ok = Status.OK
    for model_id, outcome in played.items():
        if outcome.status is not ok:
            others.setdefault(str(outcome.status), []).append(model_id)
    return {"elapsed": round(getattr(played, "elapsed", 0.0), 6), "asked": len(played), "others": others}

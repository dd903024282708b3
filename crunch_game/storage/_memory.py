"""MemoryStore: keeps a game in memory, for backtests, notebooks and tests."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any, ClassVar

from crunch_game._public import public
from crunch_game._status import Status
from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage import _codec as codec
from crunch_game.storage._forgetting import PrunedInMemory
from crunch_game.storage._log import DeploymentRecord, EventRecord, FaultRecord, GameLog
from crunch_game.storage._timeline import Identity, Timeline
from crunch_game.storage._values import decode_object
from crunch_game.storage.base import (
    Arrival,
    KeptScore,
    Lease,
    ModelRecord,
    Prediction,
    Score,
    ScoredRound,
    Session,
    Store,
)
from crunch_game.storage.corrected import CorrectedInMemory, MemoryCorrections
from crunch_game.storage.logged import MemoryLog, pack_log


@public
class MemoryStore(CorrectedInMemory, PrunedInMemory, Store):
    """A store that ends with the process. Otherwise it behaves exactly like SQLStore.

    Values are kept as JSON text, so that changes to a value that was saved, or returned, do not change the store.
    """

    keeps_log: ClassVar[bool] = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._rows: dict[int, codec.PackedRow] = {}
        self._row_times: list[int] = []
        self._numbers: dict[int, list[int]] = {}
        """The numbers of the rows of each time, set aside or not."""
        self._last_number = 0
        self._sessions: dict[int, codec.PackedSession] = {}
        self._leases: dict[str, codec.PackedLease] = {}
        self._models: dict[str, codec.PackedModel] = {}
        self._predictions: dict[Identity, codec.PackedPrediction] = {}
        self._scores: dict[Identity, codec.PackedScore] = {}
        self._predicted, self._scored, self._pending = Timeline(), Timeline(), Timeline()
        self._unanswered = Timeline()
        self._first_rounds: dict[str, int] = {}
        self._scores_of: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
        """Who has a score in each round."""
        self._first_answers: dict[tuple[str, str], int] = {}
        self._rounds: dict[tuple[int, str], codec.PackedRound] = {}
        self._round_times: dict[str, list[tuple[int, int]]] = {}
        """Of each key `resolves_at` and `at` of its rounds, sorted."""
        self._notes: dict[str, str] = {}
        self._last_rounds: dict[str, int] = {}
        self._log = MemoryLog()
        self._corrections = MemoryCorrections()

    def save(
        self,
        rows: Sequence[Row] = (),
        predictions: Sequence[Prediction] = (),
        models: Sequence[ModelRecord] = (),
        *,
        aside: Sequence[tuple[Row, str]] = (),
        session: Session | None = None,
        log: GameLog | None = None,
    ) -> None:
        """Keep rows and predictions that are new; a model's record, and a session's, replaces the one before."""
        # Packed before anything is kept: if one record cannot be, none is.
        new_rows = codec.pack_rows(rows, aside, None if session is None else session.number)
        new_sessions = [] if session is None else [codec.pack_session(session)]
        new_predictions = [codec.pack_prediction(prediction) for prediction in predictions]
        new_models = [codec.pack_model(model) for model in models]
        new_log = pack_log(log)
        with self._open():
            for row in new_rows:
                self._keep_row(row)
            for prediction in new_predictions:
                self._keep_prediction(prediction)
            self._models.update((model.model_id, model) for model in new_models)
            self._sessions.update((each.number, each) for each in new_sessions)
            self._log.keep(new_log)

    def _keep_row(self, row: codec.PackedRow) -> None:
        if row.time not in self._numbers:
            self._numbers[row.time] = []
            insort(self._row_times, row.time)
        numbers = self._numbers[row.time]
        if all(self._rows[number].arrived != row.arrived for number in numbers):
            self._last_number += 1
            self._rows[self._last_number] = row
            numbers.append(self._last_number)

    def _keep_prediction(self, prediction: codec.PackedPrediction) -> None:
        identity = prediction[:3]
        if identity in self._predictions:
            return
        self._predictions[identity] = prediction
        self._predicted.add(prediction.resolves_at, identity)
        if prediction.status != Status.OK:
            self._unanswered.add(prediction.resolves_at, identity)
        if prediction.pending and identity not in self._scores:
            self._pending.add(prediction.resolves_at, identity)
        for who, first in codec.first_answers([prediction]).items():
            self._first_answers[who] = min(first, self._first_answers.get(who, first))
        at, key, model_id = identity
        self._first_rounds[model_id] = min(at, self._first_rounds.get(model_id, at))
        self._last_rounds[key] = max(at, self._last_rounds.get(key, at))

    def settle(self, scores: Sequence[Score], rounds: Sequence[ScoredRound] = ()) -> None:
        """Keep scores; their predictions are no longer pending. A prediction keeps its first score."""
        packed = [codec.pack_score(score) for score in scores]
        packed_rounds = [codec.pack_round(scored) for scored in rounds]
        with self._open():
            for scored in packed_rounds:
                self._keep_round(scored)
            for score in packed:
                if score[:3] not in self._scores:
                    self._keep_score(score)

    def _keep_round(self, scored: codec.PackedRound) -> None:
        before, times = self._rounds.get(scored[:2]), self._round_times.setdefault(scored.key, [])
        if before is not None and before.resolves_at != scored.resolves_at:
            times.remove((before.resolves_at, before.at))
        if before is None or before.resolves_at != scored.resolves_at:
            insort(times, (scored.resolves_at, scored.at))
        self._rounds[scored[:2]] = scored

    def _keep_score(self, score: codec.PackedScore) -> None:
        identity = score[:3]
        self._scores[identity] = score
        self._scores_of[identity[:2]].add(identity[2])
        self._scored.add(score.resolves_at, identity)
        prediction = self._predictions.get(identity)
        if prediction is not None:
            self._pending.discard(prediction.resolves_at, identity)

    def _drop_score(self, identity: Identity) -> None:
        score = self._scores.pop(identity, None)
        if score is None:
            return
        self._scores_of[identity[:2]].discard(identity[2])
        self._scored.discard(score.resolves_at, identity)
        prediction = self._predictions.get(identity)
        if prediction is not None and prediction.pending:
            self._pending.add(prediction.resolves_at, identity)

    def reopen(self, reason: str | None = None) -> int:
        """Forget the scores of predictions that were set aside, so that they are pending again; returns how many."""
        with self._open():
            aside = [
                each
                for each in self._scores.values()
                if each.value is None
                and each.kind not in ("void", "retracted")
                and (each.reason or each.kind != "absent")
                and reason in (None, each.reason)
            ]
            for score in aside:
                self._drop_score(score[:3])
            return len(aside)

    def last_row(self) -> Row | None:
        """Return the row with the greatest time: of that time the last that arrived, no row set aside."""
        with self._open():
            return next(self._told(reversed(self._row_times)), None)

    def rows(self, since: datetime | None = None) -> list[Row]:
        """Return the rows at or after `since`, oldest first: of each time the last that arrived, no row set aside."""
        with self._open():
            start = 0 if since is None else bisect_left(self._row_times, codec.microseconds(since))
            return list(self._told(self._row_times[start:]))

    def _told(self, times: Iterable[int]) -> Iterator[Row]:
        for time in times:
            rows = (self._rows[number] for number in reversed(self._numbers[time]))
            last = next((row for row in rows if row.aside is None), None)
            if last is not None:
                yield codec.unpack_row(last)

    def arrivals(self, after: int = 0) -> list[tuple[int, Arrival]]:
        """Return every row, those set aside too, in the order in which they were saved: that of their arrival."""
        with self._open():
            # From the end: whoever asks again and again has seen most.
            numbers = list(takewhile(lambda number: number > after, reversed(self._rows)))
            return [(number, codec.unpack_arrival(self._rows[number])) for number in reversed(numbers)]

    def sessions(self) -> list[Session]:
        """Return the sessions, sorted by number."""
        with self._open():
            return [codec.unpack_session(packed) for _, packed in sorted(self._sessions.items())]

    def lease(self, kind: str) -> Lease | None:
        """Return the lease of this kind, be it stale; None if nobody has it."""
        with self._open():
            return codec.unpack_lease(self._leases[kind]) if kind in self._leases else None

    def swap_lease(self, kind: str, before: Lease | None, after: Lease | None) -> bool:
        """Replace the lease of this kind, if it is still `before`, under the lock."""
        old, new = (None if lease is None else codec.pack_lease(lease) for lease in (before, after))
        with self._open():
            if self._leases.get(kind) != old:
                return False
            if new is None:
                self._leases.pop(kind, None)
            else:
                self._leases[kind] = new
            return True

    def pending(self, until: datetime) -> list[Prediction]:
        """Return the predictions with status OK and no score that resolve at or before `until`, oldest first."""
        with self._open():
            due = self._pending.until(codec.microseconds(until))
            return [codec.unpack_prediction(self._predictions[identity]) for identity in due]

    def due(self, after: datetime | None, until: datetime) -> Iterator[list[Prediction]]:
        """Yield the pending predictions of each round that resolves after `after` and at or before `until`."""
        with self._open():
            start = None if after is None else codec.microseconds(after)
            found = [*self._pending.until(codec.microseconds(until), start)]
        for _, identities in groupby(found, itemgetter(0, 1)):
            with self._open():
                packed = [self._predictions[identity] for identity in identities]
            yield [codec.unpack_prediction(each) for each in packed]

    def pending_count(self, until: datetime) -> int:
        """Return how many predictions are pending that resolve at or before `until`."""
        with self._open():
            return self._pending.count(codec.microseconds(until))

    def unanswered(self, after: datetime | None, until: datetime) -> list[Prediction]:
        """Return the predictions whose status is not OK, and which resolve after `after` and at or before `until`."""
        with self._open():
            start = None if after is None else codec.microseconds(after)
            found = self._unanswered.until(codec.microseconds(until), start)
            return [codec.unpack_prediction(self._predictions[identity]) for identity in found]

    def predictions(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Prediction]:
        """Return all predictions, or those of one model, that resolve at or after `since`, oldest first."""
        with self._open():
            identities = self._predicted.since(None if since is None else codec.microseconds(since))
            chosen = (each for each in identities if model_id in (None, each[2]))
            return [codec.unpack_prediction(self._predictions[identity]) for identity in chosen]

    def scores(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Score]:
        """Return all scores, or those of one model, that resolve at or after `since`, oldest first."""
        with self._open():
            identities = self._scored.since(None if since is None else codec.microseconds(since))
            chosen = (each for each in identities if model_id in (None, each[2]))
            return [codec.unpack_score(self._scores[identity]) for identity in chosen]

    def rounds(self, since: datetime | None = None) -> Iterator[tuple[ScoredRound, list[KeptScore]]]:
        """Yield the scored rounds that resolve at or after `since`, oldest first, each with its scores."""
        start = None if since is None else codec.microseconds(since)
        with self._open():
            rounds = [each for each in self._rounds.values() if start is None or each.resolves_at >= start]
        for scored in sorted(rounds, key=itemgetter(2, 0, 1)):
            with self._open():
                scores = [self._scores[(*scored[:2], name)] for name in sorted(self._scores_of.get(scored[:2], ()))]
            kept = [codec.unpack_kept((each.model_id, each.value, each.kind, each.metrics)) for each in scores]
            yield codec.unpack_round(scored), kept

    def past_rounds(self, key: str, before: datetime, *, least: int = 0) -> Iterator[ScoredRound]:
        """Yield the scored rounds of a key that resolve before this, newest first."""
        with self._open():
            times = self._round_times.get(key, [])
            past = [self._rounds[at, key] for _, at in times[: bisect_left(times, (codec.microseconds(before),))]]
        for scored in reversed(past):
            if scored.answers >= least:
                yield codec.unpack_round(scored)

    def excused(self, since: datetime | None = None) -> list[tuple[str, datetime, str]]:
        """Return key, `at` and model id of the excused predictions that resolve at or after `since`."""
        with self._open():
            found = self._unanswered.since(None if since is None else codec.microseconds(since))
            return [
                (key, codec.moment(at), model_id)
                for at, key, model_id in found
                if self._predictions[at, key, model_id].excused
            ]

    def last_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the latest round of every key."""
        with self._open():
            return {key: codec.moment(at) for key, at in self._last_rounds.items()}

    def first_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the first round that each model was asked in."""
        with self._open():
            return {model_id: codec.moment(at) for model_id, at in self._first_rounds.items()}

    def first_answers(self) -> dict[str, dict[str, datetime]]:
        """Return the `at` of the first round that each model answered, by model and key."""
        with self._open():
            found: dict[str, dict[str, datetime]] = {}
            for (model_id, key), at in self._first_answers.items():
                found.setdefault(model_id, {})[key] = codec.moment(at)
            return found

    def models(self) -> list[ModelRecord]:
        """Return all models that were ever saved, sorted by id."""
        with self._open():
            return [ModelRecord(*self._models[model_id]) for model_id in sorted(self._models)]

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a small document under a name; it replaces the one before."""
        packed = codec.pack_document(name, document)
        with self._open():
            self._notes[name] = packed

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None."""
        with self._open():
            return decode_object(self._notes[name]) if name in self._notes else None

    def events(self, after: int = 0, **which: Any) -> list[tuple[int, EventRecord]]:
        """Return the events that were kept, in the order in which they were saved, each with its number."""
        with self._open():
            return self._log.events(after, **which)

    def faults(self, since: datetime | None = None, *, model_id: str | None = None) -> list[FaultRecord]:
        """Return the faults of all models, or of one, whose `at` is `since` or later."""
        with self._open():
            return self._log.faults(since, model_id=model_id)

    def deployments(self, model_id: str | None = None) -> list[DeploymentRecord]:
        """Return the deployments of all models, or of one, sorted by model and by when they joined."""
        with self._open():
            return self._log.deployments(model_id)

    def close(self) -> None:
        """Close the store. It cannot be used afterwards."""
        self._closed = True

    def _open(self) -> threading.Lock:
        if self._closed:
            raise StoreError("the store was closed and cannot be used again")
        return self._lock

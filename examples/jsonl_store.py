"""A store of one's own: a file of JSON lines, which is only ever appended to. Each line is one write.

It is for one process at a time, and has all of the game in memory. `Store` makes what is missing of the rest.
`tests/test_examples.py` runs `crunch_game.testing.store_suite` on it.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from crunch_game import ModelRecord, Prediction, Score, Store
from crunch_game.errors import StoreError
from crunch_game.storage import Arrival, KeptScore, Lease, ScoredRound, Session, as_document, from_document


class Kind(NamedTuple):
    """A kind of record: what identifies one, and whether the first or the last of that identity is kept."""

    record: type
    identity: Callable[[Any], Any]
    first_stays: bool = False


KINDS = {
    "arrivals": Kind(Arrival, attrgetter("row.time", "row.arrived"), first_stays=True),
    "predictions": Kind(Prediction, attrgetter("at", "key", "model_id"), first_stays=True),
    "scores": Kind(Score, attrgetter("at", "key", "model_id"), first_stays=True),
    "rounds": Kind(ScoredRound, attrgetter("at", "key")),
    "models": Kind(ModelRecord, attrgetter("model_id")),
    "sessions": Kind(Session, attrgetter("number")),
    "leases": Kind(Lease, attrgetter("kind")),
}
oldest_first = attrgetter("resolves_at", "at", "key", "model_id")


class JsonLinesStore(Store):
    """Keeps a game in a file, a line for each write."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, dict] = {"notes": {}} | {name: {} for name in KINDS}
        self._numbers: dict[Any, int] = {}
        """Of the arrivals."""
        self._last_number = 0
        self._file = path.open("a+b")
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if line.endswith(b"\n"):  # the last is cut, if the process was killed while it was written
                self._apply(json.loads(line))
                whole += len(line)
        self._file.truncate(whole)

    # What is written

    def save(self, rows=(), predictions=(), models=(), *, aside=(), session=None) -> None:
        number = session and session.number
        told = [Arrival(row, number) for row in rows]
        others = [Arrival(row, number, reason) for row, reason in aside]
        arrivals = merge(told, others, key=lambda each: (each.row.arrived is not None, each.row.arrived))
        sessions = [session] if session else []
        self._write(arrivals=arrivals, predictions=predictions, models=models, sessions=sessions)

    def settle(self, scores, rounds=()) -> None:
        self._write(scores=scores, rounds=rounds)

    def reopen(self, reason: str | None = None) -> int:
        aside = [each for each in self.scores() if each.value is None and (each.reason or not each.absent)]
        chosen = [each for each in aside if reason in (None, each.reason)]
        self._write(lambda: {"reopened": [as_document(each) for each in chosen]})
        return len(chosen)

    def swap_lease(self, kind: str, before: Lease | None, after: Lease | None) -> bool:
        def swapped() -> dict[str, Any] | None:
            if self._kept["leases"].get(kind) != before:
                return None
            return {"given_back": kind} if after is None else {"leases": [as_document(after)]}

        return self._write(swapped)

    def note(self, name: str, document: Mapping[str, Any]) -> None:
        self._write(lambda: {"notes": {name: document}})

    def close(self) -> None:
        self._file.close()

    # What is read

    def arrivals(self, after: int = 0) -> list[tuple[int, Arrival]]:
        numbered = [(self._numbers[identity], arrival) for identity, arrival in self._read("arrivals").items()]
        return [(number, arrival) for number, arrival in numbered if number > after]

    def predictions(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Prediction]:
        return self._oldest_first("predictions", since, model_id)

    def scores(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Score]:
        return self._oldest_first("scores", since, model_id)

    def rounds(self, since: datetime | None = None) -> Iterator[tuple[ScoredRound, list[KeptScore]]]:
        scores: dict[Any, list[KeptScore]] = {}
        for each in self.scores():
            kept = (each.model_id, each.value, each.kind, each.metrics or None)
            scores.setdefault((each.at, each.key), []).append(kept)
        for scored in sorted(self._read("rounds").values(), key=attrgetter("resolves_at", "at", "key")):
            if since is None or scored.resolves_at >= since:
                yield scored, sorted(scores.get((scored.at, scored.key), []), key=lambda each: each[0])

    def models(self) -> list[ModelRecord]:
        return [model for _, model in sorted(self._read("models").items())]

    def sessions(self) -> list[Session]:
        return [session for _, session in sorted(self._read("sessions").items())]

    def lease(self, kind: str) -> Lease | None:
        return self._read("leases").get(kind)

    def noted(self, name: str) -> dict[str, Any] | None:
        return self._read("notes").get(name)

    def _oldest_first(self, name: str, since: datetime | None, model_id: str | None) -> list[Any]:
        found = (each for each in self._read(name).values() if model_id in (None, each.model_id))
        return sorted((each for each in found if since is None or each.resolves_at >= since), key=oldest_first)

    def _read(self, name: str) -> dict:
        """Return a copy, whose values the caller may change."""
        with self._lock:
            self._check_open()
            return deepcopy(self._kept[name])

    # A change: first as a line on the disk, then in memory

    def _write(self, change: Callable[[], dict[str, Any] | None] | None = None, **records: Iterable[Any]) -> bool:
        documents = {name: [as_document(each) for each in some] for name, some in records.items()}
        with self._lock:
            self._check_open()
            found = change() if change else documents
            if found is None:
                return False
            try:
                line = json.dumps(found)
            except (TypeError, ValueError) as error:
                raise StoreError(f"this cannot be kept as JSON: {error}") from None
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._apply(json.loads(line))
            return True

    def _check_open(self) -> None:
        if self._file.closed:
            raise StoreError("the store was closed and cannot be used again")

    def _apply(self, change: dict[str, Any]) -> None:
        for name in KINDS.keys() & change.keys():
            kind, kept = KINDS[name], self._kept[name]
            for record in (from_document(kind.record, document) for document in change[name]):
                identity = kind.identity(record)
                if not (kind.first_stays and identity in kept):
                    kept[identity] = record
                    if name == "arrivals":
                        self._last_number += 1
                        self._numbers[identity] = self._last_number
        self._kept["notes"].update(change.get("notes", {}))
        self._kept["leases"].pop(change.get("given_back"), None)
        for document in change.get("reopened", ()):
            del self._kept["scores"][KINDS["scores"].identity(from_document(Score, document))]

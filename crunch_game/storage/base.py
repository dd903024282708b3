"""Store, the protocol of what keeps a game, and the records that it keeps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from types import TracebackType
from typing import Any, Protocol, Self

from crunch_game._public import public
from crunch_game._status import Status
from crunch_game.feeds.base import Row
from crunch_game.storage._corrections import Correction, FormerScore, KeepsCorrections, PublishedBoard
from crunch_game.storage._log import GameLog, KeepsLog
from crunch_game.storage._pruning import Prunes
from crunch_game.storage._records import Arrival, KeptScore, Lease, ModelRecord, Prediction, Score, ScoredRound, Session
from crunch_game.storage.exporting import Streams

__all__ = [
    "Arrival",
    "Correction",
    "FormerScore",
    "KeptScore",
    "Lease",
    "ModelRecord",
    "Prediction",
    "PublishedBoard",
    "Score",
    "ScoredRound",
    "Session",
    "Store",
]

_at = attrgetter("at")
_round = attrgetter("resolves_at", "at", "key")


@public
class Store(KeepsLog, KeepsCorrections, Streams, Prunes, Protocol):
    """Keeps a game. Implement this to keep it somewhere else. Methods may be called from any thread.

    What has an implementation here makes its answer of everything that the others have: a store that can be asked
    better, as a database can, has its own. `crunch_game.testing.store_suite` tests whether all of it holds.

    What `save` and `settle` have accepted survives a kill of the process. Both are all-or-nothing, and ignore records
    that are kept already. "Oldest first" means by `resolves_at`, then `at`, `key` and `model_id`. Values are returned
    as JSON would: tuples as lists. All methods may raise `StoreError`.
    """

    @abstractmethod
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
        """Keep rows and predictions that are new; a model's record, and a session's, replaces the one before.

        Args:
            rows: In the order of their arrival. A second row of the same time is kept beside the first, if it arrived
                at another moment: it is a correction. If it arrived at the same one, or both have no `arrived`, it is
                the row that is kept already.
            predictions: Those of one slot, or of several.
            models: Those that have changed.
            aside: Rows that nobody is told, each with the reason; in the order of their arrival. They are kept among
                `rows`, by when they arrived.
            session: The one that all of this happened in; None in a replay.
            log: What happened; a deployment's record replaces the one before. Given to stores that say `keeps_log`.
        """
        ...

    @abstractmethod
    def settle(self, scores: Sequence[Score], rounds: Sequence[ScoredRound] = ()) -> None:
        """Keep scores; their predictions are no longer pending. A prediction keeps its first score.

        Args:
            scores: Those of whole rounds.
            rounds: The rounds; each replaces what was kept of it before.
        """
        ...

    @abstractmethod
    def reopen(self, reason: str | None = None) -> int:
        """Forget the scores of predictions that were set aside, so that they are pending again; returns how many.

        Args:
            reason: Only those that were set aside for this reason.
        """
        ...

    def last_row(self) -> Row | None:
        """Return the row with the greatest time: of that time the last that arrived, no row set aside."""
        rows = self.rows()
        return rows[-1] if rows else None

    def rows(self, since: datetime | None = None) -> list[Row]:
        """Return the rows at or after `since`, oldest first: of each time the last that arrived, no row set aside."""
        last = {arrival.row.time: arrival.row for _, arrival in self.arrivals() if arrival.aside is None}
        return [last[time] for time in sorted(last) if since is None or time >= since]

    @abstractmethod
    def arrivals(self, after: int = 0) -> list[tuple[int, Arrival]]:
        """Return every row, those set aside too, in the order in which they were saved: that of their arrival.

        Args:
            after: Only the rows with larger numbers than this. Numbers begin above 0 and grow, and none is used again,
                though its row is deleted.
        """
        ...

    def arriving(self, after: int = 0) -> Iterator[tuple[int, Arrival]]:
        """Yield what `arrivals` returns. There may be millions: a store that can read them bit by bit does."""
        yield from self.arrivals(after)

    @abstractmethod
    def sessions(self) -> list[Session]:
        """Return the sessions, sorted by number."""
        ...

    @abstractmethod
    def lease(self, kind: str) -> Lease | None:
        """Return the lease of this kind, be it stale; None if nobody has it."""
        ...

    @abstractmethod
    def swap_lease(self, kind: str, before: Lease | None, after: Lease | None) -> bool:
        """Replace the lease of this kind, if it is still `before`, in one step that nobody can come between.

        Args:
            kind: That of both leases.
            before: What `lease` returned; None if nobody had it.
            after: Who has it from now on; None if nobody has.

        Returns:
            Whether it was replaced.
        """
        ...

    def pending(self, until: datetime) -> list[Prediction]:
        """Return the predictions with status OK and no score that resolve at or before `until`, oldest first."""
        scored = {(score.at, score.key, score.model_id) for score in self.scores()}
        due = [each for each in self.predictions() if each.status is Status.OK and each.resolves_at <= until]
        return [each for each in due if (each.at, each.key, each.model_id) not in scored]

    def due(self, after: datetime | None, until: datetime) -> Iterator[list[Prediction]]:
        """Yield the pending predictions of each round that resolves after `after` and at or before `until`.

        There may be millions: a store that can read them bit by bit does. Those of rounds that were yielded may be
        settled meanwhile.
        """
        pending = self.pending(until)
        for _, found in groupby((each for each in pending if after is None or each.resolves_at > after), _round):
            yield list(found)

    def pending_count(self, until: datetime) -> int:
        """Return how many predictions are pending that resolve at or before `until`: at least those of `pending`.

        A score worker asks this with each row, to see whether any were saved late. A store that can say it sooner may
        count those, too, that cannot be read, or whose score was kept before them.
        """
        return len(self.pending(until))

    def unanswered(self, after: datetime | None, until: datetime) -> list[Prediction]:
        """Return the predictions whose status is not OK, and which resolve after `after` and at or before `until`."""
        found = self.predictions(after)
        if after is not None:
            found = [each for each in found if each.resolves_at > after]
        return [each for each in found if each.status is not Status.OK and each.resolves_at <= until]

    @abstractmethod
    def predictions(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Prediction]:
        """Return all predictions, or those of one model, that resolve at or after `since`, oldest first."""
        ...

    @abstractmethod
    def scores(self, since: datetime | None = None, *, model_id: str | None = None) -> list[Score]:
        """Return all scores, or those of one model, that resolve at or after `since`, oldest first.

        Those of predictions that were set aside are among them.
        """
        ...

    @abstractmethod
    def rounds(self, since: datetime | None = None) -> Iterator[tuple[ScoredRound, list[KeptScore]]]:
        """Yield the scored rounds that resolve at or after `since`, oldest first, each with its scores."""
        ...

    def past_rounds(self, key: str, before: datetime, *, least: int = 0) -> Iterator[ScoredRound]:
        """Yield the scored rounds of a key that resolve before this, newest first.

        Args:
            key: The name of the prediction.
            before: Aware, UTC.
            least: Only those with at least so many answers.
        """
        found = [scored for scored, _ in self.rounds() if scored.key == key and scored.resolves_at < before]
        yield from (scored for scored in reversed(found) if scored.answers >= least)

    def resolving(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[datetime, datetime] | None:
        """Return when the first and the last round resolve that have predictions; None if none has.

        Args:
            since: Only of the rounds with this slot or a later one.
            until: Only of those with an earlier slot.
        """
        slots = (each for each in self.predictions() if since is None or each.at >= since)
        times = [each.resolves_at for each in slots if until is None or each.at < until]
        return (min(times), max(times)) if times else None

    def excused(self, since: datetime | None = None) -> list[tuple[str, datetime, str]]:
        """Return key, `at` and model id of the excused predictions that resolve at or after `since`."""
        return [(each.key, each.at, each.model_id) for each in self.predictions(since) if each.excused]

    def last_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the latest round of every key."""
        return {each.key: each.at for each in sorted(self.predictions(), key=_at)}

    def first_rounds(self) -> dict[str, datetime]:
        """Return the `at` of the first round that each model was asked in."""
        return {each.model_id: each.at for each in sorted(self.predictions(), key=_at, reverse=True)}

    def first_answers(self) -> dict[str, dict[str, datetime]]:
        """Return the `at` of the first round that each model answered, by model and key."""
        found: dict[str, dict[str, datetime]] = {}
        for each in sorted(self.predictions(), key=_at, reverse=True):
            if each.status is Status.OK and each.value is not None:
                found.setdefault(each.model_id, {})[each.key] = each.at
        return found

    @abstractmethod
    def models(self) -> list[ModelRecord]:
        """Return all models that were ever saved, sorted by id."""
        ...

    @abstractmethod
    def note(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a small document, of types that JSON has, under a name; it replaces the one before."""
        ...

    @abstractmethod
    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the document of that name, or None."""
        ...

    @abstractmethod
    def close(self) -> None:
        """Close files and connections. The store cannot be used afterwards."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

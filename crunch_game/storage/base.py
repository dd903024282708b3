"""Store, the protocol of what keeps a game, and its records: rows, models, predictions and scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from operator import attrgetter
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias

from crunch_game._public import public, record
from crunch_game._status import Status
from crunch_game.feeds.base import Row
from crunch_game.storage._log import GameLog, KeepsLog
from crunch_game.storage.exporting import Streams

__all__ = ["Arrival", "KeptScore", "Lease", "ModelRecord", "Prediction", "Score", "ScoredRound", "Session", "Store"]


@record
class Prediction:
    """One model's answer in one round, or why there is none. It is identified by `(model_id, key, at)`.

    Attributes:
        model_id: The model's id.
        deployment_id: The version of its code that was asked.
        key: The name of the prediction that the game asks for, the same in every round.
        at: The slot of the round, on the game's clock; aware, UTC.
        resolves_at: When its horizon ends: `at` + `horizon`; aware, UTC.
        horizon: Seconds.
        arguments: The arguments of the call, by parameter name.
        status: How the call ended.
        value: The answer, of types that JSON has, or None.
        error: Why there is no answer, or None.
        elapsed: Seconds that the model took.
        asked_at: When it was asked, by the wall clock; aware, UTC. None in stores of before 0.3.
        seen: The time of the newest row that models had been told then; None if there was none, or is not known.
        excused: Whether the lack of an answer is nobody's absence: the model was still being loaded, the host or the
            game was at fault, or the machine had no processor for it.
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
    asked_at: datetime | None = None
    seen: datetime | None = None
    excused: bool = False


ScoreKind: TypeAlias = Literal["unscorable", "absent", "aside"]


@record
class Score:
    """The score of one prediction, which is identified by `(model_id, key, at)`.

    Attributes:
        value: The score, finite, by the game's first metric; None if there is none.
        outcome: What really happened, of types that JSON has.
        reason: Why there is no score, or None.
        unscorable: Whether the rule could not score this answer, though it could score others of its round, so that it
            counts as the worst. If neither this nor a value is there, the prediction was set aside: it counts for
            nobody.
        absent: Whether there was no answer, and `value` is what the rule gives for that.
        metrics: The score by each metric, where the game has several: None where that metric's rule could not score
            this answer, and no entry where it could score none of the round.
    """

    model_id: str
    key: str
    at: datetime
    resolves_at: datetime
    value: float | None
    outcome: Any = None
    reason: str | None = None
    unscorable: bool = False
    absent: bool = False
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def kind(self) -> ScoreKind | None:
        """What it is if it is not an answer's own score."""
        if self.absent:
            return "absent"
        if self.unscorable:
            return "unscorable"
        return "aside" if self.value is None and not self.metrics else None


@record
class ScoredRound:
    """A round that was scored, as boards need it; its scores are kept beside it. `(key, at)` identifies it.

    Attributes:
        key: The name of the prediction.
        at: The slot; aware, UTC.
        resolves_at: When its horizon ended; aware, UTC.
        horizon: Seconds.
        arguments: Those that all models were given.
        answers: How many answers it has, those that the rule could not score included.
        facts: What was made of its scores, by metric: see `crunch_game.ranking`. Of types that JSON has.
    """

    key: str
    at: datetime
    resolves_at: datetime
    horizon: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    answers: int = 0
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


KeptScore: TypeAlias = tuple[str, float | None, ScoreKind | None, Mapping[str, float | None] | None]
"""A score as boards need it, since there may be millions: `model_id, value, kind, metrics` of Score, None for no
metrics."""


@record
class ModelRecord:
    """A model, and its last known state."""

    model_id: str
    name: str
    deployment_id: str
    state: str
    reason: str | None = None


@record
class Session:
    """A time in which one worker played a live feed. All times are on the game's clock; aware, UTC.

    Attributes:
        number: From 1, in the order in which sessions began.
        started: When its models were ready.
        heartbeat: When it was last known to play.
        committed: The last slot whose answers it has stored; None if there is none.
    """

    number: int
    started: datetime
    heartbeat: datetime
    committed: datetime | None = None


@record
class Arrival:
    """A row as it came: late ones, corrections and those that were set aside too.

    Attributes:
        row: The row; `row.arrived` is when.
        session: The number of the session that got it; None for a row of a replay.
        aside: Why it was set aside, and nobody was told it; None if it was not.
    """

    row: Row
    session: int | None = None
    aside: str | None = None


@record
class Lease:
    """Who works on a store: one worker of a kind at a time.

    Attributes:
        kind: "predict" or "score".
        token: The worker's own, made up at its start.
        host: The machine's name.
        pid: The process.
        since: When it took the lease, by the wall clock; aware, UTC.
        beat: When it last said that it is alive, by the wall clock; aware, UTC.
        process: What tells its process from every other one that has, had or will have its number. None where the
            system does not say.
    """

    kind: str
    token: str
    host: str
    pid: int
    since: datetime
    beat: datetime
    process: str | None = None


_at = attrgetter("at")


@public
class Store(KeepsLog, Streams, Protocol):
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
                though its row is forgotten.
        """
        ...

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
    def forget_rows(self, before: datetime) -> None:
        """Drop the rows whose time is before this, those set aside too."""
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

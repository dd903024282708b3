"""The records of a game: what a store keeps of what was played, scored and worked on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from crunch_game._public import record
from crunch_game._status import Status
from crunch_game.feeds.base import Row


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


ScoreKind: TypeAlias = Literal["unscorable", "absent", "aside", "void", "retracted"]


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
        corrected: "void" if its round counts for nobody since it was corrected; "retracted" if the answer counts as
            an absence, and `value` is what the rule gives for that. None if it is neither.
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
    corrected: Literal["void", "retracted"] | None = None

    @property
    def kind(self) -> ScoreKind | None:
        """What it is if it is not an answer's own score."""
        if self.corrected:
            return self.corrected
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
        void: Why it counts for nobody, if it was voided.
    """

    key: str
    at: datetime
    resolves_at: datetime
    horizon: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    answers: int = 0
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    void: str | None = None


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

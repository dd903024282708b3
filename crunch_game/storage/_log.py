"""What happened in a game, beside what was played: events, deployments and faults; and what a store does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from crunch_game._public import record
from crunch_game._status import Status

TOLD_EACH_TIME = ("TickPlayed", "RoundPlayed")
"""Kinds of the events that come with every row and every round."""


@record
class EventRecord:
    """An event as it is kept. It is identified by `(moment, writer)`.

    Attributes:
        moment: When it was told, by the worker's wall clock; aware, UTC. No two of one writer are the same.
        writer: The run of a worker that told it: a word that was made up at its start.
        kind: The name of the event's class: "ModelStopped", "RoundPlayed", ...
        text: The sentence for people.
        model_id: The model that it is about, or None.
        seen: The time of the newest row that models had been told then, or that was scored; None if there was none.
        details: The event's other fields, of types that JSON has. Of a round, who did not answer, and how its calls
            ended: the answers are predictions.
    """

    moment: datetime
    writer: str
    kind: str
    text: str
    model_id: str | None = None
    seen: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@record
class FaultRecord:
    """Why a model that was called gave no right answer. It is identified as a prediction: by `(model_id, key, at)`.

    Attributes:
        model_id: The model's id.
        key: The prediction's name; "tick" if it failed when it was told a row.
        at: The slot of the prediction, or the row's time; aware, UTC.
        deployment_id: The version of its code.
        status: How the call ended.
        kind: A short word: the exception's type name, "timeout", ...
        message: A sentence for people.
        traceback: The participant's own frames as text, or None.
        stdout: The last lines that the model printed, or None.
        stderr: The last lines that it wrote to its standard error, or None.
        exit: The process's exit code, negative for a signal, or None while it runs.
    """

    model_id: str
    key: str
    at: datetime
    deployment_id: str
    status: Status
    kind: str
    message: str
    traceback: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    exit: int | None = None


@record
class DeploymentRecord:
    """One version of a model's code in the game, from when it came to when it went.

    It is identified by `(model_id, deployment_id, joined)`: a model that left and came back has another one. All times
    are by the worker's wall clock; aware, UTC.

    Attributes:
        model_id: The model's id.
        deployment_id: The version of its code.
        joined: When the game first told of it.
        ready: When it could first be asked; None if it never could.
        ended: When it was stopped, left or was replaced; None while it is in the game.
        state: "joining", "ready", "restarting", "failed", "stopped", "left" or "replaced".
        reason: Why it does not play, or None.
        restarts: How often it was started again.
        strikes: Its failures and timeouts in a row, by the prediction's name or the method:
            `{"tick": {"failures": 2, "timeouts": 0}}`. What has none is absent.
    """

    model_id: str
    deployment_id: str
    joined: datetime
    ready: datetime | None = None
    ended: datetime | None = None
    state: str = "joining"
    reason: str | None = None
    restarts: int = 0
    strikes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@record
class GameLog:
    """What is kept of what happened, together with what was played then."""

    events: Sequence[EventRecord] = ()
    faults: Sequence[FaultRecord] = ()
    deployments: Sequence[DeploymentRecord] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.faults or self.deployments)


class KeepsLog(Protocol):
    """What a store does with logs. One that does not say `keeps_log` is given none, and has nothing to tell.

    Attributes:
        keeps_log: Whether `save` takes `log`.
    """

    keeps_log: ClassVar[bool] = False

    def events(
        self,
        after: int = 0,
        *,
        since: datetime | None = None,
        model_id: str | None = None,
        each_time: bool = True,
        last: int | None = None,
    ) -> list[tuple[int, EventRecord]]:
        """Return the events that were kept, in the order in which they were saved, each with its number.

        Args:
            after: Only those with larger numbers than this. Numbers begin above 0 and grow.
            since: Only those of this moment or later.
            model_id: Only those about this model.
            each_time: Whether those are wanted that come with every row and round (`TickPlayed`, `RoundPlayed`).
            last: Only so many, the last ones.
        """
        return []

    def faults(self, since: datetime | None = None, *, model_id: str | None = None) -> list[FaultRecord]:
        """Return the faults of all models, or of one, whose `at` is `since` or later; by `at`, `key`, `model_id`."""
        return []

    def deployments(self, model_id: str | None = None) -> list[DeploymentRecord]:
        """Return the deployments of all models, or of one, sorted by model and by when they joined."""
        return []

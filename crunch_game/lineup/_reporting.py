"""What a roster that others keep is told of its models: which are out, and why; never what is the game's own fault."""

from __future__ import annotations

from crunch_game.lineup._field import FieldWatch
from crunch_game.lineup._observing import (
    DeploymentAway,
    DeploymentFailed,
    DeploymentJoined,
    DeploymentLeft,
    DeploymentPlays,
    DeploymentStopped,
    News,
    Observer,
)
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Kind
from crunch_game.policy import Cause
from crunch_game.rosters.base import RemoteRoster

__all__ = ["Reporting"]


class Reporting(Observer):
    """Tells a RemoteRoster which of its deployments are out.

    A failed load is held back until every first load has ended, since only then it shows whether the others fail too:
    whoever cannot load most of the field has asked for the wrong thing, or from the wrong place.
    """

    def __init__(self, roster: RemoteRoster, field: FieldWatch) -> None:
        self._roster = roster
        self._field = field
        self._loads: dict[str, Kind] = {}
        """How the last load of each model ended; "none" while its first goes on."""
        self._held: dict[str, tuple[Submission, Fault]] = {}

    def hear(self, news: News) -> None:
        """Take note, and report what can be reported by now."""
        model_id = news.submission.id
        match news:
            case DeploymentJoined():
                self._loads[model_id] = "none"
            case DeploymentPlays():
                self._loads[model_id] = "success"
                self._held.pop(model_id, None)
            case DeploymentFailed(submission, fault, cause) if cause is not None:
                self._loads[model_id] = "failure"
                self._held[model_id] = submission, fault
            case DeploymentFailed() | DeploymentAway():
                self._wait_no_more(model_id)
            case DeploymentStopped(submission, reason, fault, cause):
                self._wait_no_more(model_id)
                if cause is not None:
                    self._roster.stopped(submission, cause, reason, fault)
            case DeploymentLeft():
                self._loads.pop(model_id, None)
                self._held.pop(model_id, None)
        self._report()

    def _wait_no_more(self, model_id: str) -> None:
        """The model's first load, if it goes on, comes to nothing that says anything of the field."""
        if self._loads.get(model_id) == "none":
            del self._loads[model_id]

    def _report(self) -> None:
        if not self._held or "none" in self._loads.values():
            return
        held, self._held = self._held, {}
        if not self._field.is_everyones("setup", self._loads.values(), [fault for _, fault in held.values()]):
            for submission, fault in held.values():
                self._roster.stopped(submission, Cause.NOT_LOADED, fault.message, fault)

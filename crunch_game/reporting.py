"""What a roster that others keep is told of its models: which are out, and why; never what is the game's own fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crunch_game.events import FieldFault, RunnerEvent
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Kind
from crunch_game.policy import Cause, Policy, is_field_fault
from crunch_game.rosters.base import RemoteRoster, Roster

__all__ = ["Reporting"]


class Reporting:
    """Tells a RemoteRoster which of its deployments are out; does nothing for any other roster.

    A load that fails is told only once it shows whether the others fail too: whoever cannot load most of the field has
    asked for the wrong thing, or from the wrong place.
    """

    def __init__(self, roster: Roster, policy: Policy, emit: Callable[[RunnerEvent], None]) -> None:
        self._roster = roster if isinstance(roster, RemoteRoster) else None
        self._policy = policy
        self._emit = emit
        self._loads: dict[str, Kind] = {}
        self._held: dict[str, tuple[Submission, Fault]] = {}
        self._everyones: set[str] = set()

    def stopped(self, submission: Submission, cause: Cause, reason: str, fault: Fault | None) -> None:
        """A deployment that played is out of the game."""
        if self._roster is not None:
            self._roster.stopped(submission, cause, reason, fault)

    def joined(self, model_id: str) -> None:
        """A model is being loaded for the first time."""
        self._loads[model_id] = "none"

    def loaded(self, submission: Submission) -> None:
        """A deployment plays."""
        self._loads[submission.id] = "success"
        self._held.pop(submission.id, None)
        self._tell()

    def not_loaded(self, submission: Submission, fault: Fault) -> None:
        """A deployment could not be loaded, and the game is not to blame as far as this load shows."""
        if self._roster is None:
            return
        self._loads[submission.id] = "failure"
        self._held[submission.id] = submission, fault
        self._tell()

    def spared(self, model_id: str) -> None:
        """A model's first load came to nothing that is to be told: the others wait for it no more."""
        if self._loads.get(model_id) == "none":
            del self._loads[model_id]
            self._tell()

    def left(self, model_id: str) -> None:
        """A model is not in the roster any more."""
        self._loads.pop(model_id, None)
        self._held.pop(model_id, None)
        self._tell()

    def _tell(self) -> None:
        if not self._held or "none" in self._loads.values():
            return
        held, self._held = self._held, {}
        if not self.is_everyones("setup", self._loads.values(), [fault for _, fault in held.values()]):
            for submission, fault in held.values():
                self.stopped(submission, Cause.NOT_LOADED, fault.message, fault)

    def is_everyones(self, what: str, kinds: Iterable[Kind], faults: Iterable[Fault]) -> bool:
        """Whether most of the field has the same trouble; the author is told once."""
        counted = [kind for kind in kinds if kind != "none"]
        if not is_field_fault(counted, self._policy):
            self._everyones.discard(what)
            return False
        if what not in self._everyones:
            self._everyones.add(what)
            failed = sum(kind != "success" for kind in counted)
            self._emit(FieldFault(what, failed, len(counted), next(iter(faults))))
        return True

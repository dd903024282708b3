"""Whose fault it is when models cannot be loaded or reached, and what a roster that others keep is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crunch_game.events import FieldFault
from crunch_game.lineup._observing import News, Observer
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Kind
from crunch_game.policy import Cause, Policy, State, is_field_fault
from crunch_game.rosters.base import RemoteRoster


class FieldWatch:
    """Tells one model's trouble outside a round from everyone's, which is the game's, and the author of the latter."""

    def __init__(self, policy: Policy, emit: Callable[[FieldFault], None]) -> None:
        self._policy = policy
        self._emit = emit
        self._everyones: set[str] = set()

    def is_everyones(self, what: str, kinds: Iterable[Kind], faults: Iterable[Fault]) -> bool:
        """Whether most of the field has the trouble; the author is told once, until it has passed.

        Args:
            what: What went wrong, in the place of a method's name: "setup" or "connect".
            kinds: How it went for every model.
            faults: What went wrong for some of them.
        """
        counted = [kind for kind in kinds if kind != "none"]
        if not is_field_fault(counted, self._policy):
            self._everyones.discard(what)
            return False
        if what not in self._everyones:
            self._everyones.add(what)
            failed = sum(kind != "success" for kind in counted)
            self._emit(FieldFault(what, failed, len(counted), next(iter(faults))))
        return True


class Reporting(Observer):
    """Tells a RemoteRoster which of its deployments are out, and why; never what is the game's own fault.

    A failed load is held back until every first load has ended, since only then it shows whether the others fail too:
    whoever cannot load most of the field has asked for the wrong thing, or from the wrong place.
    """

    def __init__(self, roster: RemoteRoster, field: FieldWatch) -> None:
        self._roster = roster
        self._field = field
        self._loads: dict[str, Kind] = {}
        """How each model's last load ended; "none" while its first goes on."""
        self._held: dict[str, tuple[Submission, Fault]] = {}

    def hear(self, news: News) -> None:
        """Take note, and report what can be reported by now."""
        model_id = news.submission.id
        if news.state is State.JOINING:
            self._loads[model_id] = "none"
            self._held.pop(model_id, None)
            self._roster.started(news.submission)
        elif news.state is State.READY:
            self._loads[model_id] = "success"
            self._held.pop(model_id, None)
        elif news.state is State.LEFT:
            self._loads.pop(model_id, None)
            self._held.pop(model_id, None)
        elif news.state is State.FAILED and news.cause is not None and news.fault is not None:
            self._loads[model_id] = "failure"
            self._held[model_id] = news.submission, news.fault
        elif self._loads.get(model_id) == "none":
            del self._loads[model_id]  # its first load comes to nothing that says anything of the field
        if news.state is State.STOPPED and news.cause is not None:
            self._roster.stopped(news.submission, news.cause, news.reason, news.fault)
        self._report()

    def _report(self) -> None:
        if not self._held or "none" in self._loads.values():
            return
        held, self._held = self._held, {}
        if not self._field.is_everyones("setup", self._loads.values(), [fault for _, fault in held.values()]):
            for submission, fault in held.values():
                self._roster.stopped(submission, Cause.NOT_LOADED, fault.message, fault)

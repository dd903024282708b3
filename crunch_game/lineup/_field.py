"""Trouble that most of the field has at once, outside a round: then it is the game's, and no model is to pay for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from crunch_game.events import FieldFault
from crunch_game.outcomes import Fault, Kind
from crunch_game.policy import Policy, is_field_fault

__all__ = ["FieldWatch"]


class FieldWatch:
    """Tells one model's trouble from everyone's, and tells the author when it begins to be everyone's."""

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

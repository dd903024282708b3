"""What models were asked, how much of it they answered, and the faults that came instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from crunch_game._public import record
from crunch_game._quantities import counted
from crunch_game.events import ModelLoadFailed, RoundPlayed, TickPlayed
from crunch_game.outcomes import Fault, Outcome, Status
from crunch_game.policy import State

_MOST_KINDS: Final = 20
"""Of one model: it names the types of its exceptions itself, and may have a new one for each call."""
_MOST_CHARACTERS: Final = 2_000
"""Of a fault's message, its traceback, its stderr and its stdout each."""
_OTHER_KINDS: Final = "other kinds"
_LOAD: Final = "load"
_NO_CALL: Final = "every call"
"""What a model was asked for that does not play: it is one fault, whatever it would have been called for."""


@record
class Answered:
    """How often a model was asked for one thing, and how often it answered.

    A call while the model is loaded for the first time is none: it was not asked.
    """

    asked: int = 0
    answered: int = 0

    @property
    def share(self) -> float:
        """`answered` / `asked`, from 0 to 1; 1 if it was never asked."""
        return self.answered / self.asked if self.asked else 1.0


@record
class RepeatedFault:
    """A kind of fault, how often a model had it, and the first of them in full.

    Attributes:
        model_id: The model's id.
        called: What it was asked for: a prediction's key, "tick", "load", or "every call" where it was not called,
            since it does not play.
        kind: The fault's, as in `Fault`.
        count: How often.
        asked: Of how many calls.
        first: When it first happened, on the game's clock; None if that was while it was loaded.
        message: The first one's.
        traceback: The first one's, or None.
        stderr: The first one's, or None.
        stdout: The first one's, or None.
    """

    model_id: str
    called: str
    kind: str
    count: int
    asked: int
    first: datetime | None
    message: str
    traceback: str | None = None
    stderr: str | None = None
    stdout: str | None = None

    def __str__(self) -> str:
        if self.called == _LOAD:
            often = f" ({counted(self.count, 'time')})" if self.count > 1 else ""
            return f"{self.model_id} could not be loaded{often}: {self.message}"
        first = "" if self.first is None else f", first at {self.first:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.model_id}: {self.called}: {self.count:,} of {counted(self.asked, 'time')}{first}: {self.message}"

    @property
    def details(self) -> str:
        """The traceback, and what the model printed, and wrote to its stderr; empty if there is nothing."""
        written = {"stdout": self.stdout, "stderr": self.stderr}
        output = [f"{name}:\n{text}" for name, text in written.items() if text is not None]
        return "\n".join(part.rstrip("\n") for part in (self.traceback, *output) if part)


class Answers:
    """Counts answers and faults of a game that is being played, from its events. What it keeps is bounded."""

    def __init__(self) -> None:
        self._asked: dict[str, Counter[str]] = {}
        self._answered: dict[str, Counter[str]] = {}
        self._faults: dict[str, dict[tuple[str, str], RepeatedFault]] = {}

    def hear(self, event: object) -> None:
        """Take an event of the game; those of other kinds are ignored."""
        if isinstance(event, RoundPlayed):
            self._count(event.key, event.at, event.round.values())
        elif isinstance(event, TickPlayed):
            self._count("tick", event.at, event.round.values())
        elif isinstance(event, ModelLoadFailed):
            self._keep(event.model_id, _LOAD, None, event.fault)

    def before(self, listener: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A listener that tells this one what it hears, after it has been counted."""

        def tell(event: Any) -> Any:
            self.hear(event)
            return listener(event)

        return tell

    def of_models(self) -> dict[str, dict[str, Answered]]:
        """By model, then by what it was asked for: a prediction's key, or "tick"."""
        found: dict[str, dict[str, Answered]] = {}
        for called, asked in self._asked.items():
            for model_id, count in asked.items():
                found.setdefault(model_id, {})[called] = Answered(count, self._answered[called][model_id])
        return found

    def faults(self) -> list[RepeatedFault]:
        """Every kind of fault: the model with the most of them first, and of each model in the order of time."""
        found: list[RepeatedFault] = []
        for of_model in sorted(self._faults.values(), key=_most):
            kept = sorted(of_model.values(), key=lambda fault: (fault.first is not None, fault.first))
            found += [replace(fault, asked=max(fault.count, self._asked_for(fault))) for fault in kept]
        return found

    def _asked_for(self, fault: RepeatedFault) -> int:
        if fault.called in (_NO_CALL, _OTHER_KINDS):
            return sum(asked[fault.model_id] for asked in self._asked.values())
        return self._asked.get(fault.called, Counter())[fault.model_id]

    def _count(self, called: str, at: datetime, outcomes: Iterable[Outcome]) -> None:
        asked = self._asked.setdefault(called, Counter())
        answered = self._answered.setdefault(called, Counter())
        ok = Status.OK  # before Python 3.12 an enum's members are slow to look up
        for outcome in outcomes:
            if outcome.status is ok:
                asked[outcome.model_id] += 1
                answered[outcome.model_id] += 1
            elif (fault := _fault(outcome)).kind != State.JOINING:
                asked[outcome.model_id] += 1
                skipped = outcome.status is Status.SKIPPED
                self._keep(outcome.model_id, _NO_CALL if skipped else called, at, fault)

    def _keep(self, model_id: str, called: str, at: datetime | None, fault: Fault) -> None:
        of_model = self._faults.setdefault(model_id, {})
        key = (called, fault.kind)
        if key not in of_model and len(of_model) >= _MOST_KINDS:
            key = (_OTHER_KINDS, _OTHER_KINDS)
        known = of_model.get(key)
        if known is not None:
            of_model[key] = replace(known, count=known.count + 1)
            return
        texts = (fault.message, fault.traceback, fault.stderr, fault.stdout)
        message, *details = (None if text is None else text[-_MOST_CHARACTERS:] for text in texts)
        of_model[key] = RepeatedFault(model_id, *key, 1, 1, at, message or "", *details)


def _fault(outcome: Outcome) -> Fault:
    return outcome.error or Fault(str(outcome.status), str(outcome.status))


def _most(of_model: Mapping[tuple[str, str], RepeatedFault]) -> tuple[int, str]:
    faults = list(of_model.values())
    return -sum(fault.count for fault in faults), faults[0].model_id


def told_faults(faults: Sequence[RepeatedFault], most: int = 10, most_of_one: int = 3) -> Iterator[tuple[str, str]]:
    """The sentence of each of the first faults, and its details, but for those that were shown just before.

    That a model could not be loaded is said once, and not again of the calls that it missed.
    """
    unloaded = {fault.model_id for fault in faults if fault.called == _LOAD}
    faults = [
        fault
        for fault in faults
        if (fault.called, fault.kind) != (_NO_CALL, State.FAILED) or fault.model_id not in unloaded
    ]
    last, of_model = "", Counter[str]()
    told = 0
    for fault in faults:
        of_model[fault.model_id] += 1
        if told == most or of_model[fault.model_id] > most_of_one:
            continue
        told += 1
        details = fault.details
        yield str(fault), "" if details == last else details
        last = details
    if len(faults) > told:
        yield f"and {counted(len(faults) - told, 'more kind')} of fault", ""

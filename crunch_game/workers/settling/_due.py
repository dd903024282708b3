"""Rounds that are due: predictions whose horizon has passed, together until the outcome of each is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from reprlib import repr as brief
from typing import Any

from crunch_game.resolving.base import Never
from crunch_game.scoring.base import AnsweredRound
from crunch_game.storage import encode
from crunch_game.storage.base import Prediction, Score, ScoredRound
from crunch_game.workers.settling._judge import Failed, Judge

Resolve = Callable[[Prediction], Any]

_RESOLUTION = timedelta(microseconds=1)
"""Of the times that a store keeps."""


class DueRound:
    """The answers of one round, and what is known of their outcomes.

    Attributes:
        answers: By model.
        outcomes: By model, and each as the text that a store keeps; of those that are known.
        aside: Why a prediction is set aside, by model.
    """

    def __init__(self, first: Prediction) -> None:
        self.key, self.at, self.resolves_at, self.horizon = first.key, first.at, first.resolves_at, first.horizon
        self.answers: dict[str, Prediction] = {}
        self.outcomes: dict[str, tuple[Any, str | None]] = {}
        self.aside: dict[str, str] = {}

    def know(self, prediction: Prediction, outcome: Any) -> None:
        """One more answer, and its outcome.

        Raises:
            ValueError: It cannot be stored.
        """
        text = encode(outcome)
        self.answers[prediction.model_id] = prediction
        self.outcomes[prediction.model_id] = outcome, text

    @property
    def unknown(self) -> list[Prediction]:
        """Those whose outcome is not known yet."""
        return [each for name, each in self.answers.items() if name not in self.outcomes and name not in self.aside]

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What all models were given."""
        first, *others = (each.arguments for each in self.answers.values())
        if all(other == first for other in others):
            return first
        return {name: value for name, value in first.items() if all(name in o and o[name] == value for o in others)}

    def answered(self, absences: Mapping[str, Prediction]) -> AnsweredRound:
        """The round as a rule is given it, once all is known."""
        known = {name: each for name, each in self.answers.items() if name in self.outcomes}
        common = len({text for _, text in self.outcomes.values()}) == 1
        outcome = next(iter(self.outcomes.values()))[0] if common else None
        outcomes = {} if common else {name: self.outcomes[name][0] for name in known}
        identity = (self.key, self.at, self.resolves_at, self.horizon, self.arguments)
        return AnsweredRound(*identity, outcome, known, absences, outcomes)

    @property
    def record(self) -> ScoredRound:
        """What is stored of the round, but for what the boards make of it."""
        identity = (self.key, self.at, self.resolves_at, self.horizon, self.arguments)
        return ScoredRound(*identity, sum(self.answers[name].value is not None for name in self.outcomes))

    def set_aside(self) -> list[Score]:
        """What is stored of the predictions that have no outcome."""
        return [
            Score(name, self.key, self.at, self.resolves_at, None, None, reason) for name, reason in self.aside.items()
        ]


class DueRounds:
    """The rounds that wait for their outcomes.

    Args:
        judge: Calls `resolve`.
        patience: Seconds after its horizon at which a prediction is set aside if its outcome is not known; None for a
            week, or the horizon if that is longer.
    """

    def __init__(self, judge: Judge, patience: float | None) -> None:
        self._judge = judge
        self._patience = patience
        self._open: dict[tuple[datetime, str], DueRound] = {}

    def __contains__(self, prediction: Prediction) -> bool:
        found = self._open.get((prediction.at, prediction.key))
        return found is not None and prediction.model_id in found.answers

    def has(self, key: str, at: datetime) -> bool:
        """Whether a round waits."""
        return (at, key) in self._open

    @property
    def waiting(self) -> int:
        """How many predictions wait for their outcome."""
        return sum(len(each.unknown) for each in self._open.values())

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, prediction: Prediction, aside: str | None = None) -> None:
        """One more that is due; `aside` says why it cannot be resolved any more."""
        identity = prediction.at, prediction.key
        due = self._open.get(identity)
        if due is None:  # not setdefault, which would make a round for each prediction
            due = self._open[identity] = DueRound(prediction)
        due.answers[prediction.model_id] = prediction
        if aside is not None:
            due.aside[prediction.model_id] = aside

    def give_back(self, rounds: Iterable[DueRound]) -> None:
        """Rounds of which all is known, and whose scores could not be kept: they are due once more."""
        self._open.update(((due.at, due.key), due) for due in rounds)

    def forget(self) -> None:
        """Forget them all: they are still pending in the store."""
        self._open.clear()

    def resolve(self, resolve: Resolve, now: datetime) -> list[DueRound]:
        """Ask for the outcomes that are not known yet; the rounds of which all is known then, which are due no more.

        Args:
            resolve: The game's, given what has arrived by now.
            now: The time of the newest row.
        """
        asked = [prediction for due in self._open.values() for prediction in due.unknown]
        outcomes = self._judge.each(resolve, asked, "resolve")
        for prediction, outcome in zip(asked, outcomes, strict=True):
            self._take(prediction, outcome, now)
        return list(self._complete())

    def _take(self, prediction: Prediction, outcome: Any, now: datetime) -> None:
        due = self._open[prediction.at, prediction.key]
        reason = self._why_aside(prediction, outcome, now)
        if reason is None and outcome is not None:
            try:
                due.know(prediction, outcome)
            except ValueError as error:
                reason = f"resolve gave {brief(outcome)}, which cannot be stored: {error}"
        if reason is not None:
            due.aside[prediction.model_id] = reason

    def _why_aside(self, prediction: Prediction, outcome: Any, now: datetime) -> str | None:
        if isinstance(outcome, Failed | Never):
            return outcome.reason
        if outcome is None:
            patience = max(7 * 86400.0, prediction.horizon) if self._patience is None else self._patience
            if (now - prediction.resolves_at).total_seconds() > patience:
                return f"resolve did not know the truth {patience:g} s after the horizon"
        return None

    def _complete(self) -> Iterator[DueRound]:
        for identity in [identity for identity, due in self._open.items() if not due.unknown]:
            yield self._open.pop(identity)


def absences(
    rounds: Sequence[DueRound], unanswered: Callable[[datetime, datetime], Iterable[Prediction]]
) -> dict[tuple[datetime, str], dict[str, Prediction]]:
    """The predictions of these rounds that have no answer, by round and model; the excused ones too.

    Args:
        rounds: The rounds.
        unanswered: Those that resolve after the first time, and at or before the second.
    """
    found: dict[tuple[datetime, str], dict[str, Prediction]] = {(due.at, due.key): {} for due in rounds}
    if not rounds:
        return found
    times = [due.resolves_at for due in rounds]
    for each in unanswered(min(times) - _RESOLUTION, max(times)):
        if (each.at, each.key) in found:
            found[each.at, each.key][each.model_id] = each
    return found

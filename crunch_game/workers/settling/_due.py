"""Rounds that are due: predictions whose horizon has passed, together until the outcome of each is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from reprlib import repr as brief
from typing import Any, TypeAlias

from crunch_game.resolving.base import Never
from crunch_game.scoring.base import AnsweredRound
from crunch_game.storage import encode
from crunch_game.storage.base import Prediction, Score, ScoredRound
from crunch_game.workers.settling._judge import Failed, Judge

Resolve: TypeAlias = Callable[[Prediction], Any]
Pending: TypeAlias = Callable[[datetime], Iterable[Sequence[Prediction]]]
Identity: TypeAlias = tuple[datetime, str]
"""Of a round: its slot and its key."""

_WEEK = 7 * 86400.0

_RESOLUTION = timedelta(microseconds=1)
"""Of the times that a store keeps."""


class DueRound:
    """The answers of one round, and what is known of their outcomes.

    While nothing is known, only the first answer of each call is in memory: the others are pending in the store.

    Attributes:
        answers: By model.
        outcomes: By model, and each as the text that a store keeps; of those that are known.
        aside: Why a prediction is set aside, by model.
        firsts: Of a round of which nothing is known, the first answer to each call; else empty.
        told: What `resolve` has said of these at the newest row, by model.
    """

    def __init__(self, first: Prediction) -> None:
        self.key, self.at, self.resolves_at, self.horizon = first.key, first.at, first.resolves_at, first.horizon
        self.answers: dict[str, Prediction] = {}
        self.outcomes: dict[str, tuple[Any, str | None]] = {}
        self.aside: dict[str, str] = {}
        self.firsts: list[Prediction] = []
        self.told: dict[str, Any] = {}
        self._put_away = 0

    @property
    def identity(self) -> Identity:
        """What tells it from the others."""
        return self.at, self.key

    @property
    def size(self) -> int:
        """How many predictions it has."""
        return self._put_away or len(self.answers)

    @property
    def waiting(self) -> int:
        """How many of them have no known outcome."""
        return self._put_away or len(self.unknown)

    def put_away(self) -> None:
        """Keep only the first answer to each call in memory. Nothing is known."""
        self.firsts = [first for first, *_ in self.calls()]
        self._put_away, self.answers = len(self.answers), {}

    def take_out(self, answers: Iterable[Prediction]) -> None:
        """All answers are needed; these are they."""
        self.answers = {each.model_id: each for each in answers}
        self.firsts, self._put_away = [], 0

    def know(self, prediction: Prediction, outcome: Any, text: str | None) -> None:
        """One more answer, and its outcome, also as the text that a store keeps."""
        self.answers[prediction.model_id] = prediction
        self.outcomes[prediction.model_id] = outcome, text

    def without(self, model_ids: Collection[str]) -> DueRound:
        """The round as it would be had these not answered."""
        first = next(iter(self.answers.values()))
        others = DueRound(first)
        others.answers = {name: each for name, each in self.answers.items() if name not in model_ids}
        others.outcomes = {name: each for name, each in self.outcomes.items() if name not in model_ids}
        others.aside = {name: each for name, each in self.aside.items() if name not in model_ids}
        return others

    @property
    def unknown(self) -> list[Prediction]:
        """Those whose outcome is not known yet."""
        return [each for name, each in self.answers.items() if name not in self.outcomes and name not in self.aside]

    def calls(self) -> list[list[Prediction]]:
        """Those whose outcome is not known yet, apart by what the models were given."""
        unknown = self.unknown
        if not unknown:
            return []
        given = unknown[0].arguments
        if all(each.arguments == given for each in unknown):
            return [unknown]
        calls: dict[str | None, list[Prediction]] = {}
        for each in unknown:
            calls.setdefault(encode(each.arguments), []).append(each)
        return list(calls.values())

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
    """The rounds that wait for their outcomes, and those whose outcomes are known and whose scores are not kept yet.

    Args:
        judge: Calls `resolve`.
        patience: Seconds after its horizon at which a prediction is set aside if its outcome is not known; None for a
            week, or the horizon if that is longer.
        per_round: Whether the outcome is the same for all who were given the same arguments, so that one is asked for.
    """

    def __init__(self, judge: Judge, patience: float | None, *, per_round: bool = False) -> None:
        self._judge = judge
        self._patience = patience
        self._per_round = per_round
        self._open: dict[Identity, DueRound] = {}
        self._taken: dict[Identity, DueRound] = {}
        """Those that were yielded, and are not settled yet."""

    def has(self, key: str, at: datetime) -> bool:
        """Whether a round waits, or is to be settled."""
        return (at, key) in self._open or (at, key) in self._taken

    @property
    def waiting(self) -> int:
        """How many predictions wait for their outcome."""
        return sum(each.waiting for each in self._open.values())

    @property
    def size(self) -> int:
        """How many predictions these rounds have: they are still pending in the store."""
        return sum(each.size for rounds in (self._open, self._taken) for each in rounds.values())

    def add(self, answers: Sequence[Prediction], aside: str | None = None) -> DueRound | None:
        """More answers of one round are due; the round, or None if all are known of already.

        Args:
            answers: Those that are pending in the store. Some may be known of.
            aside: Why they cannot be resolved any more.
        """
        first = answers[0]
        identity = first.at, first.key
        if taken := self._taken.get(identity):
            answers = [each for each in answers if each.model_id not in taken.answers]
        due = self._open.get(identity)
        if not answers or (due is not None and due.firsts and due.size == len(answers)):
            return None
        if due is None:
            due = self._open[identity] = DueRound(first)
        elif due.firsts:
            due.take_out(())
        new = [each for each in answers if each.model_id not in due.answers]
        due.answers.update((each.model_id, each) for each in new)
        if aside is not None:
            due.aside.update((each.model_id, aside) for each in new)
        return due if new else None

    def give_back(self) -> None:
        """What was yielded and not settled is due once more."""
        self._open.update(self._taken)
        self._taken.clear()

    def settled(self, rounds: Iterable[DueRound]) -> None:
        """The scores of these are kept."""
        for due in rounds:
            self._taken.pop(due.identity, None)

    def forget(self) -> None:
        """Forget them all: they are still pending in the store."""
        self._open.clear()
        self._taken.clear()

    def ask_again(self, resolve: Resolve, now: datetime, pending: Pending) -> Iterator[DueRound]:
        """Ask for the outcomes that are not known yet; yield the rounds of which all is known then.

        While `resolve` does not know the outcome of the first answer to a call, it is not asked for the others.

        Args:
            resolve: The game's, given what has arrived by now.
            now: The time of the newest row.
            pending: Reads the rounds that resolve at a moment.
        """
        if not self._open:
            return
        in_memory = [due for due in self._open.values() if not due.firsts]
        asked = [(due, first) for due in self._open.values() for first in due.firsts]
        outcomes = self._judge.each(resolve, [first for _, first in asked], "resolve")
        told: dict[Identity, dict[str, Any]] = {}
        wanted: dict[datetime, dict[Identity, DueRound]] = {}
        for (due, first), outcome in zip(asked, outcomes, strict=True):
            told.setdefault(due.identity, {})[first.model_id] = outcome
            if outcome is not None or self._is_over(first, now):
                wanted.setdefault(due.resolves_at, {})[due.identity] = due
        yield from self.ask(in_memory, resolve, now)
        for moment, rounds in sorted(wanted.items()):
            found = {(each[0].at, each[0].key): each for each in pending(moment)}
            for identity, due in rounds.items():
                due.take_out(found.get(identity, ()))
                due.told = told[identity]
            yield from self.ask([*rounds.values()], resolve, now)

    def ask(self, rounds: Sequence[DueRound], resolve: Resolve, now: datetime) -> Iterator[DueRound]:
        """Ask for the outcomes of these rounds; yield those of which all is known then.

        Args:
            rounds: Rounds that are due.
            resolve: The game's, given what has arrived by now.
            now: The time of the newest row.
        """
        calls = [(due, call) for due in rounds for call in due.calls()]
        asked = [call[0] for due, call in calls if call[0].model_id not in due.told]
        outcomes = iter(self._judge.each(resolve, asked, "resolve"))
        others: list[tuple[DueRound, Prediction]] = []
        for due, (first, *further) in calls:
            outcome = due.told[first.model_id] if first.model_id in due.told else next(outcomes)
            if outcome is None and not self._is_over(first, now):
                continue
            if self._per_round:
                self._take(due, (first, *further), outcome, now)
            else:
                self._take(due, (first,), outcome, now)
                others += [(due, each) for each in further]
        outcomes = iter(self._judge.each(resolve, [each for _, each in others], "resolve"))
        for due, each in others:
            self._take(due, (each,), next(outcomes), now)
        yield from self.complete(rounds)

    def _take(self, due: DueRound, predictions: Sequence[Prediction], outcome: Any, now: datetime) -> None:
        reason, text = self._why_aside(predictions[0], outcome, now), None
        if reason is None and outcome is None:
            return
        if reason is None:
            try:
                text = encode(outcome)
            except ValueError as error:
                reason = f"resolve gave {brief(outcome)}, which cannot be stored: {error}"
        for each in predictions:
            if reason is None:
                due.know(each, outcome, text)
            else:
                due.aside[each.model_id] = reason

    def _why_aside(self, prediction: Prediction, outcome: Any, now: datetime) -> str | None:
        if isinstance(outcome, Failed | Never):
            return outcome.reason
        if outcome is None and self._is_over(prediction, now):
            return f"resolve did not know the truth {self._patience_for(prediction):g} s after the horizon"
        return None

    def _is_over(self, prediction: Prediction, now: datetime) -> bool:
        """Whether its outcome is not waited for any longer."""
        return (now - prediction.resolves_at).total_seconds() > self._patience_for(prediction)

    def _patience_for(self, prediction: Prediction) -> float:
        return max(_WEEK, prediction.horizon) if self._patience is None else self._patience

    def complete(self, rounds: Iterable[DueRound] | None = None) -> Iterator[DueRound]:
        """Yield those of these rounds, or of all, of which all is known. They are to be settled."""
        complete = []
        for due in list(self._open.values()) if rounds is None else rounds:
            if due.firsts:
                continue
            due.told = {}
            if not due.unknown:
                del self._open[due.identity]
                if due.answers:  # unless what was pending is no longer
                    self._taken[due.identity] = due
                    complete.append(due)
            elif not due.outcomes and not due.aside:
                due.put_away()
        yield from complete


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

"""Settler: makes the scores of rounds whose outcomes are known, by a game's rules and by what corrections say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Literal

from crunch_game.game import Game
from crunch_game.outcomes import Status
from crunch_game.storage.base import Prediction, Score, ScoredRound
from crunch_game.workers.settling._due import DueRound, Identity, absences
from crunch_game.workers.settling._executors import Rules
from crunch_game.workers.settling._in_force import InForce
from crunch_game.workers.settling._rules import NEWCOMER, newcomer, newcomers_score, settled


@dataclass(frozen=True, eq=False)
class Settled:
    """A round, and what is stored of it.

    Attributes:
        due: The round.
        record: The same as it is stored, but for what the boards make of it.
        scores: Those of all its answers, and of the absences that the rules score.
        excused: The models whose lack of an answer is nobody's absence.
        absent: What a rule gives one who was not there yet, by metric.
    """

    due: DueRound
    record: ScoredRound
    scores: Sequence[Score]
    excused: Sequence[str] = ()
    absent: Mapping[str, float] = field(default_factory=dict)


class Settler:
    """Scores whole rounds.

    Args:
        game: The game.
        unanswered: The predictions without an answer that resolve after the first time, and at or before the second.
        rules: Calls the game's rules.
    """

    def __init__(
        self, game: Game, unanswered: Callable[[datetime, datetime], Iterable[Prediction]], rules: Rules
    ) -> None:
        self._game = game
        self._unanswered = unanswered
        self._rules = rules
        self._wants_newcomers = any(board.newcomers is not None for board in game.boards)

    def settle(self, rounds: Sequence[DueRound], in_force: InForce) -> Iterator[Settled]:
        """Yield what comes of each round. Of each answer the outcome is known, or why it is set aside."""
        scorable = []
        missing = self._missing(rounds, in_force)
        for due in rounds:
            void = in_force.why_void(due.key, due.at)
            if void is not None:
                scores = [_corrected("void", due, name) for name in due.answers]
                yield Settled(due, replace(due.record, void=void), scores)
                continue
            retracted = in_force.retracted(due.key, due.at, due.answers)
            counting = due.without(retracted) if retracted else due
            if counting.outcomes:
                scorable.append((due, counting, retracted))
            else:
                scores = [*counting.set_aside(), *_retracted(due, retracted)]
                yield Settled(due, _record(due, counting), scores, _excused(missing, due))
        yield from self._scored(scorable, missing)

    def _missing(self, rounds: Sequence[DueRound], in_force: InForce) -> Mapping[Identity, Mapping[str, Prediction]]:
        """The predictions without an answer of the rounds that count."""
        counting = [due for due in rounds if in_force.why_void(due.key, due.at) is None]
        return absences(counting, self._unanswered)

    def _scored(
        self,
        rounds: Sequence[tuple[DueRound, DueRound, Collection[str]]],
        missing: Mapping[Identity, Mapping[str, Prediction]],
    ) -> Iterator[Settled]:
        answered = []
        for due, counting, retracted in rounds:
            absent = {name: each for name, each in missing[due.at, due.key].items() if not each.excused}
            absent |= {name: _unmade(due.answers[name]) for name in retracted}
            answered.append(counting.answered(absent))
            if self._wants_newcomers:
                answered[-1] = replace(answered[-1], absences={**absent, NEWCOMER: newcomer(answered[-1])})
        by_metric = {metric: self._rules.scored(rule, answered) for metric, rule in self._game.rules.items()}
        for number, (due, counting, retracted) in enumerate(rounds):
            values = {metric: found[number] for metric, found in by_metric.items()}
            scores = settled(answered[number], values)
            given = {each.model_id: each for each in scores if each.model_id in retracted}
            own = (each for each in scores if each.model_id not in given)
            all_scores = [*chain(counting.set_aside(), own, _retracted(due, retracted, given))]
            yield Settled(due, _record(due, counting), all_scores, _excused(missing, due), newcomers_score(values))


def _record(due: DueRound, counting: DueRound) -> ScoredRound:
    return counting.record if counting.answers else replace(due.record, answers=0)


def _excused(missing: Mapping[Identity, Mapping[str, Prediction]], due: DueRound) -> list[str]:
    return [name for name, each in missing[due.identity].items() if each.excused]


def _unmade(prediction: Prediction) -> Prediction:
    """The same as if there were no answer."""
    return replace(prediction, status=Status.SKIPPED, value=None)


def _retracted(due: DueRound, names: Iterable[str], given: Mapping[str, Score] | None = None) -> Iterator[Score]:
    """What is stored of answers that count as absences: what the rules give for these, if they do."""
    for name in names:
        score = _corrected("retracted", due, name)
        absence = None if given is None else given.get(name)
        yield score if absence is None else replace(score, value=absence.value, metrics=absence.metrics)


def _corrected(kind: Literal["void", "retracted"], due: DueRound, name: str) -> Score:
    """A score that is none of the answer's own; its outcome is kept, for when the correction is taken back."""
    outcome = due.outcomes[name][0] if name in due.outcomes else None
    return Score(name, due.key, due.at, due.resolves_at, None, outcome, due.aside.get(name), corrected=kind)

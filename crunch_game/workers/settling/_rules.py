"""From rounds whose outcomes are known to scores: every rule of the game is given each round as a whole."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from reprlib import repr as brief
from typing import Any, Final, TypeAlias

from crunch_game.faults import describe_exception
from crunch_game.outcomes import Status
from crunch_game.scoring import LiftedScorer, StepwiseRule
from crunch_game.scoring.base import AnsweredRound, BatchScorer, Rule
from crunch_game.storage.base import Prediction, Score
from crunch_game.workers.settling._judge import Failed, Judge

logger = logging.getLogger("crunch_game")

NEWCOMER: Final = "\ud800"
"""The id of an absentee whom a round is given besides its own: what the rule gives it counts for who came later.

It is half a character, which a store refuses as a name: so no model has it.
"""

Value: TypeAlias = float | Failed
"""A finite score, or why there is none."""
Values: TypeAlias = Mapping[str, Value] | Failed
"""The scores of a round by model, or why the whole round is set aside."""


def newcomer(answered: AnsweredRound) -> Prediction:
    """The prediction that was not made by somebody who was not there yet."""
    key, at, resolves_at = answered.key, answered.at, answered.resolves_at
    return Prediction(NEWCOMER, "", key, at, resolves_at, answered.horizon, answered.arguments, Status.SKIPPED)


def scored(rule: Rule, rounds: Sequence[AnsweredRound], judge: Judge) -> list[Values]:
    """What the rule gives for the answers of each round.

    What it raises for every one of at least two answers sets the round aside: then the rule cannot be trusted, or the
    outcome, and nobody is to pay for that.
    """
    scorer: Any = rule.scorer if isinstance(rule, LiftedScorer) else rule
    # An author's rule is given whole rounds, also one that is made of a ready rule, or has a `score` of its own.
    if isinstance(rule, LiftedScorer) or getattr(type(rule), "score_round", None) is StepwiseRule.score_round:
        found = _one_by_one(scorer, rounds, judge)
    else:
        found = judge.each(rule.score_round, rounds, "score_round")
    return [_values(each, answered) for each, answered in zip(found, rounds, strict=True)]


def _one_by_one(scorer: Any, rounds: Sequence[AnsweredRound], judge: Judge) -> list[Any]:
    """For a scorer that looks at one answer at a time: those of all rounds at once, if it can do that."""
    items = [(each, answered.outcome_of(name)) for answered in rounds for name, each in answered.answers.items()]
    values = iter(_many(scorer, items, judge) or judge.each(lambda each: scorer.score(*each), items, "score"))
    return [dict(zip(answered.answers, islice(values, len(answered.answers)), strict=True)) for answered in rounds]


def _many(scorer: Any, items: Sequence[tuple[Prediction, Any]], judge: Judge) -> Sequence[Any] | None:
    if not items or not isinstance(scorer, BatchScorer):
        return None
    predictions, outcomes = zip(*items, strict=True)
    [values] = judge.each(
        lambda both: list(scorer.score_many(*both)), [(list(predictions), list(outcomes))], "score_many"
    )
    if isinstance(values, Failed):
        logger.warning("%s; scoring one by one", values.reason)  # only the bad ones fail, then
        return None
    return values if len(values) == len(items) else None


def _values(given: Any, answered: AnsweredRound) -> Values:
    """The scores of a round as they count, or why it does not."""
    if isinstance(given, Failed):
        return given
    if not isinstance(given, Mapping):
        return Failed(f"score_round gave {brief(given)}, which is no score for each model")
    names = [*answered.answers, *(name for name in answered.absences if name in given)]
    values = {name: _value(given.get(name, _LEFT_OUT)) for name in names}
    failed = [given.get(name, _LEFT_OUT) for name, each in answered.answers.items() if each.value is not None]
    if len(failed) >= 2 and all(isinstance(each, Failed | Exception) for each in failed):
        return next(value for value in values.values() if isinstance(value, Failed))
    return values


_LEFT_OUT = Failed("score_round left it out")


def _value(value: Any) -> Value:
    if isinstance(value, Failed):
        return value
    if isinstance(value, Exception):
        return Failed(f"score raised {describe_exception(value)}")
    try:
        # float() would accept text, and a scorer that returns text is wrong.
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except Exception:  # noqa: BLE001 - the value is the author's: a tensor of two raises RuntimeError
        number = math.nan
    return number if math.isfinite(number) else Failed(f"score gave {brief(value)}, which is no finite number")


def newcomers_score(by_metric: Mapping[str, Values]) -> dict[str, float]:
    """What the rules give who came later, by metric; nothing where a rule does not score absentees."""
    given = {name: values.get(NEWCOMER) for name, values in by_metric.items() if not isinstance(values, Failed)}
    return {name: value for name, value in given.items() if isinstance(value, float)}


def settled(answered: AnsweredRound, by_metric: Mapping[str, Values]) -> list[Score]:
    """What is stored of a round: a score for each answer, and for each absentee whom the rules score."""
    first = next(iter(by_metric.values()))
    metrics = {name: values for name, values in by_metric.items() if not isinstance(values, Failed)}
    if not metrics:
        reason = first.reason if isinstance(first, Failed) else None
        return [_score(answered, name, None, reason=reason) for name in answered.answers]
    scores = []
    for name in (*answered.answers, *answered.absences):
        given = {metric: values[name] for metric, values in metrics.items() if name in values}
        if name == NEWCOMER or (not given and name not in answered.answers):
            continue
        main = first if isinstance(first, Failed) else first.get(name)
        has_none = name in answered.answers and answered.answers[name].value is None  # it chose not to answer
        numbers = {metric: None if isinstance(value, Failed) else value for metric, value in given.items()}
        scores.append(
            _score(
                answered,
                name,
                None if isinstance(main, Failed) else main,
                reason=main.reason if isinstance(main, Failed) else None,
                unscorable=isinstance(main, Failed) and not isinstance(first, Failed) and not has_none,
                absent=name not in answered.answers or (isinstance(main, Failed) and has_none),
                metrics=numbers if len(by_metric) > 1 else {},
            )
        )
    return scores


def _score(answered: AnsweredRound, name: str, value: float | None, **further: Any) -> Score:
    outcome = answered.outcome_of(name) if name in answered.answers else None
    return Score(name, answered.key, answered.at, answered.resolves_at, value, outcome, **further)

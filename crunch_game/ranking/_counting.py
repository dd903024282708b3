"""Counting: what a round counts on one board, for those who answered and for those who did not."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

from crunch_game.ranking._board import Board, Metric
from crunch_game.ranking._kept import KeptRound, KeptScores
from crunch_game.ranking._skill import MOST, absence, skills, skills_among
from crunch_game.ranking._window import Counted

IS_ZERO = "what is usually lost is 0: the round counts for nobody"
UNKNOWN = "nothing tells what is usually lost: the round counts for nobody"
NO_REFERENCE = "the benchmark {!r} has no score in this round, which is compared with the median of the others"


def by_mean(board: Board, metric: Metric, kept: KeptRound, scores: KeptScores, weight: float) -> Counted | None:
    """What a round counts on a board by the mean: raw scores; None if it counts for nobody.

    Raises:
        GameError: The board's `missing` gave no score. (It is the author's function: it may raise anything else.)
    """
    absent = scores.absent
    if scores.aside or not (scores.raw or absent is not None):
        return None
    if absent is None:
        absent = board.missing_score(sorted(scores.raw), higher_is_better=metric.higher_is_better)
    worst = (min if metric.higher_is_better else max)([*scores.raw, absent])
    values = scores.raw + array("d", [worst] * len(scores.unscorable)) if scores.unscorable else scores.raw
    return _counted(kept, scores, weight, absent, values, scores.given)


def by_skill(
    board: Board, metric: Metric, kept: KeptRound, scores: KeptScores, weight: float, reference: int | None
) -> tuple[Counted | None, str | None]:
    """What a round counts on a board by skill, None if it counts for nobody; and what somebody should know of it.

    Args:
        reference: The number of the board's benchmark.
    """
    facts = scores.facts
    if scores.aside:
        return None, None
    if facts.usual is None:
        return None, UNKNOWN if scores.answered() else None  # that nobody answered is told elsewhere
    if facts.unit is None or facts.absence is None:
        return None, IS_ZERO
    losses, note = scores.losses(metric), None
    loss = None if board.reference is None else scores.loss_of(reference, metric)
    if loss is not None:
        values, missed = skills(losses, loss, facts.unit), absence(loss, facts.unit, usual=metric.unit == "usual")
    else:
        values, missed = skills_among(losses, scores.ordered(losses), facts.usual, facts.unit), facts.absence
        note = None if board.reference is None else NO_REFERENCE.format(board.reference)
    packed = array("d", values + [-MOST] * len(scores.unscorable))
    return _counted(kept, scores, weight, missed, packed, {}), note


def _counted(
    kept: KeptRound,
    scores: KeptScores,
    weight: float,
    absent: float,
    values: array[float],
    given: Mapping[int, float],
) -> Counted:
    answered = scores.answered()
    excused = set(kept.excused).difference(answered) if kept.excused else ()
    place = (kept.resolves_at, kept.at, kept.key)
    return Counted(place, weight, absent, answered, values, scores.raw, {**given, **dict.fromkeys(excused)})

"""Copies: models whose answers are equal, or nearly so, round after round, with how near and who was first.

Nearness is measured in a model's own moves: how much its answer usually changes from one slot of a key to the next. An
answer that has not moved tells nothing, for two people come upon the same constant independently. So only rounds in
which the copy has moved count, and a pair of models must share different answers, not the same one again and again.

Not all pairs are compared. In each round answers are put in the order of one number, a weighted mean of their own, and
only who is near in it is looked at. Of many who are near, only the first to have played are: so a thousand accounts of
one model are compared with its first few.
"""

from __future__ import annotations

import math
import random
import sys
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from crunch_game._public import public, record
from crunch_game._status import Status
from crunch_game.errors import GameError
from crunch_game.ranking.copies._likeness import Likeness, likeness
from crunch_game.storage.base import Prediction

_FIRST_FEW = 4
"""With how many of those that are near an answer is compared in a round."""
_LOOKED_AT = 64
"""Among how many these are looked for."""
_LEAST_MOVE = 1e-3
"""What a move is at least, as a share of the numbers themselves: else noise around a constant would be one."""


@record
class Copy:
    """A model whose answers are those of another.

    Whether somebody took them, or both have the same from a third, such as an example that everybody was given, no
    comparison of answers can tell.

    Attributes:
        model_id: The model.
        of: Whose answers they are: of all that it is near to, who played first; a benchmark before all others. Of two
            that began in the same round, who comes first by its id.
        share: In which share of the rounds, from `since` on, the two are near.
        distance: How far apart they are in the median of these, in usual moves of the model's that moves less; 0.0 if
            they are equal.
        since: The slot of the first of these rounds; aware, UTC.
        rounds: In how many rounds from `since` on both have answered, and the model has moved.
        late: How many slots later than the other it gives an answer: 0 or 1.
    """

    model_id: str
    of: str
    share: float
    distance: float
    since: datetime
    rounds: int
    late: int = 0


@public
def find_copies(
    predictions: Iterable[Prediction],
    *,
    share: float = 0.9,
    tolerance: float = 1e-4,
    least: int = 10,
    benchmarks: Collection[str] = (),
    form: Callable[[Any], Any] | None = None,
) -> list[Copy]:
    """Name the models whose answers are equal to another's, or nearly so, in most rounds.

    Answers may be anything that JSON has. A density is compared by its moments, however it is written down; what a
    model does in one slot is compared with the same and with the previous slot of others.

    Args:
        predictions: Those of the window to look at, of all models; in any order.
        share: In which share of the rounds, up to the last ones, two models are near. Only rounds count in which both
            answered, and the answer of the one that may be a copy has moved.
        tolerance: How far apart two answers may be, in usual moves of the model's that moves less.
        least: How many different answers they share at least. Where there are few to choose from, such as up or down,
            honest models share most of them: give more than there are.
        benchmarks: Ids of models that everybody knows: they are never copies, and always who was first.
        form: What brings an answer to the form that is compared, for instance `sorted` for samples.

    Returns:
        At most one Copy for each model, nearest and longest first.

    Raises:
        GameError: `share` is not within 0 to 1, `tolerance` is negative, or `least` is less than 2.
    """
    if not 0 < share <= 1:
        raise GameError(f"share={share!r} must be greater than 0 and at most 1, such as 0.9")
    if not 0 <= tolerance < float("inf"):
        raise GameError(f"tolerance={tolerance!r} must be a number of usual moves, 0 or more, such as 0.0001")
    if least < 2:
        raise GameError(f"least={least!r} must be at least 2: one answer in common tells nothing")
    played = _AllAnswers(predictions, form)
    order = sorted(played.began, key=lambda model: (model not in benchmarks, played.began[model], model))
    places = {model: place for place, model in enumerate(order)}
    meetings = _meetings(played, order, places, tolerance)
    copies: dict[str, Copy] = {}
    for pair in sorted(meetings, key=lambda pair: (places[pair.of], pair.late)):
        near = meetings[pair]
        if len(near) >= least and pair.model not in benchmarks and pair.model not in copies:
            copy = _judged(played, pair, near, share, least)
            if copy is not None:
                copies[pair.model] = copy
    return sorted(copies.values(), key=lambda copy: (copy.distance, -copy.rounds, copy.model_id))


@dataclass(slots=True)
class _Answer:
    """One model's answer in one round.

    Attributes:
        alike: The answer as numbers.
        moves: The usual move of each number; all of the answers of this model, key and shape have the same.
        lies: What the answers of a round are ordered by.
        reach: How far apart that may be for answers within the tolerance.
        moved: Whether it differs from the model's answer before.
    """

    alike: Likeness
    moves: tuple[float, ...] = ()
    lies: float = 0.0
    reach: float = 0.0
    moved: bool = False

    def roughly(self) -> tuple[Any, ...]:
        """The answer in tenths of the usual moves: noise makes no different one of it."""
        numbers = zip(self.alike.numbers, self.moves, strict=True)
        return self.alike.shape, *(
            round(ratio) if move and math.isfinite(ratio := 10 * (x / move)) else x for x, move in numbers
        )


_Round = tuple[datetime, str]
"""A slot and a key; so rounds are in the order of time."""


class _Pair(NamedTuple):
    model: str
    of: str
    late: int


class _AllAnswers:
    """All answers.

    Attributes:
        rounds: By round and model; the rounds in the order of time.
        before: The previous round of the same key.
        began: The slot of a model's first answer.
        answers: By model and key, in the order of time.
    """

    def __init__(self, predictions: Iterable[Prediction], form: Callable[[Any], Any] | None) -> None:
        rounds: dict[_Round, dict[str, _Answer]] = defaultdict(dict)
        for each in predictions:
            if each.status is Status.OK:
                value = each.value if form is None else form(each.value)
                rounds[each.at, each.key][each.model_id] = _Answer(likeness(value))
        self.rounds = {moment: rounds[moment] for moment in sorted(rounds)}
        self.before: dict[_Round, _Round] = {}
        self.began: dict[str, datetime] = {}
        self.answers: dict[str, dict[str, list[tuple[_Round, _Answer]]]] = defaultdict(lambda: defaultdict(list))
        last: dict[str, _Round] = {}
        for moment, answers in self.rounds.items():
            at, key = moment
            if key in last:
                self.before[moment] = last[key]
            last[key] = moment
            for model, answer in answers.items():
                self.began.setdefault(model, at)
                self.answers[model][key].append((moment, answer))

    def measure(self, tolerance: float) -> None:
        """Fill in what answers are compared by: each one's moves, and where it lies among the others."""
        kinds: dict[tuple[str, Any], list[list[_Answer]]] = defaultdict(list)
        for keys in self.answers.values():
            for key, answers in keys.items():
                own: dict[Any, list[_Answer]] = defaultdict(list)
                for _, answer in answers:
                    own[answer.alike.kind].append(answer)
                for kind, alike in own.items():
                    moves = _usual_moves([answer.alike for answer in alike])
                    for answer in alike:
                        answer.moves = moves
                    kinds[key, kind].append(alike)
                for (_, earlier), (_, later) in pairwise(answers):
                    later.moved = _distance(earlier, later) > tolerance
        for models in kinds.values():
            _put_in_order(models, tolerance)


def _usual_moves(answers: Sequence[Likeness]) -> tuple[float, ...]:
    """How much each number usually changes: as much as that of its group that changes most."""
    rows = [answer.numbers for answer in answers]
    changed = [(x, y) for x, y in pairwise(rows) if x != y] or [(rows[0], rows[0])]
    each = [median(abs(x[n] - y[n]) for x, y in changed) for n in range(len(rows[0]))]
    sizes = [median(abs(row[n]) for row in rows) for n in range(len(rows[0]))]
    moves: list[float] = []
    for group in answers[0].groups:
        own = slice(len(moves), len(moves) + group)
        usual = max(*each[own], _LEAST_MOVE * max(sizes[own]))
        moves += [min(usual, sys.float_info.max)] * group
    return tuple(moves)


def _put_in_order(models: Sequence[Sequence[_Answer]], tolerance: float) -> None:
    """Give the answers of one key and shape, each model's apart, where they lie."""
    count = len(models[0][0].alike.numbers)
    units = [median(answers[0].moves[n] for answers in models) or 1.0 for n in range(count)]
    chance = random.Random(0)  # any weights will do that are always the same
    weights = [chance.uniform(0.5, 1.0) / (unit * count) for unit in units]
    for answers in models:
        reach = tolerance * sum(weight * move for weight, move in zip(weights, answers[0].moves, strict=True))
        for answer in answers:
            lies = sum(weight * x for weight, x in zip(weights, answer.alike.numbers, strict=True))
            answer.lies = lies if math.isfinite(lies) else 0.0
            # Beside the tolerance, what adding up in floats may lose.
            answer.reach = reach + 1e-12 * abs(answer.lies)


def _distance(one: _Answer, other: _Answer) -> float:
    """How far apart two answers are, in usual moves of that which moves less; infinite if their shapes differ."""
    if one.alike.kind != other.alike.kind:
        return float("inf")
    if one.alike.numbers == other.alike.numbers:
        return 0.0
    worst = 0.0
    for x, y, move, move_too in zip(one.alike.numbers, other.alike.numbers, one.moves, other.moves, strict=True):
        if x != y:
            unit = min(move, move_too)
            worst = max(worst, abs(x - y) / unit if unit else float("inf"))
    return worst


def _meetings(
    played: _AllAnswers, order: Sequence[str], places: Mapping[str, int], tolerance: float
) -> dict[_Pair, dict[_Round, float]]:
    """Which answers are near, by pairs of models: how far apart, by round."""
    played.measure(tolerance)
    ordered = {moment: _ordered(answers, places) for moment, answers in played.rounds.items()}
    found: dict[_Pair, dict[_Round, float]] = defaultdict(dict)
    for moment, answers in played.rounds.items():
        for late, other_moment in enumerate((moment, played.before.get(moment))):
            if other_moment is None:
                continue
            there = played.rounds[other_moment]
            for model, answer in answers.items():
                if not answer.moved or (group := ordered[other_moment].get(answer.alike.kind)) is None:
                    continue
                hits = 0
                for place in _who_is_near(answer, *group, places[model], late=bool(late)):
                    distance = _distance(answer, there[order[place]])
                    if distance <= tolerance:
                        found[_Pair(model, order[place], late)][moment] = distance
                        hits += 1
                        if hits == _FIRST_FEW:
                            break
    return found


def _ordered(answers: Mapping[str, _Answer], places: Mapping[str, int]) -> dict[Any, tuple[list[float], list[int]]]:
    """By kind of answer, in ascending order: where the answers of a round lie, and whose they are."""
    kinds: dict[Any, list[tuple[float, int]]] = defaultdict(list)
    for model, answer in answers.items():
        kinds[answer.alike.kind].append((answer.lies, places[model]))
    for found in kinds.values():
        found.sort()
    return {kind: ([lies for lies, _ in found], [place for _, place in found]) for kind, found in kinds.items()}


def _who_is_near(answer: _Answer, lies: list[float], places: list[int], own: int, *, late: bool) -> list[int]:
    """Whose answers may be near, those who played first before others; of the same slot only who played before."""
    low = bisect_left(lies, answer.lies - answer.reach)
    near = places[low : bisect_right(lies, answer.lies + answer.reach)]
    near.sort()
    if not late:
        return near[: min(bisect_left(near, own), _LOOKED_AT)]
    return [place for place in near[:_LOOKED_AT] if place != own]


def _judged(played: _AllAnswers, pair: _Pair, near: Mapping[_Round, float], share: float, least: int) -> Copy | None:
    """The model is a copy since the earliest round from which on it is near in most."""
    moved = [moment for answers in played.answers[pair.model].values() for moment, answer in answers if answer.moved]
    there = {moment: played.before.get(moment) if pair.late else moment for moment in moved}
    telling = [moment for moment, other in there.items() if other is not None and pair.of in played.rounds[other]]
    telling.sort(reverse=True)
    hits = rounds = near_rounds = 0
    for count, moment in enumerate(telling, start=1):
        if moment in near:
            hits += 1
            if hits >= share * count:
                rounds, near_rounds = count, hits
    shared = [moment for moment in telling[:rounds] if moment in near]
    own = {played.rounds[moment][pair.model].roughly() for moment in shared}
    theirs = {played.rounds[there[moment] or moment][pair.of].roughly() for moment in shared}
    if max(len(own), len(theirs)) < least:  # who leaps about in between has great moves, and so few answers
        return None
    distance = median(near[moment] for moment in shared)
    return Copy(pair.model, pair.of, near_rounds / rounds, distance, telling[rounds - 1][0], rounds, pair.late)
